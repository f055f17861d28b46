#include "runtime/volume.h"

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/process.h"
#include "tests/host/temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

namespace microvmc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* uuid = "0d9e2b7a-3c55-4f0e-9a51-6c1f7d8e9b20";

CreateVolume volume(const TemporaryDirectory& directory, std::uint64_t size_mib = 16) {
    CreateVolume request;
    request.volume.name = "data";
    request.volume.image = directory / "data.img";
    request.volume.size_mib = size_mib;
    request.volume.fs_type = "ext4";
    request.volume.label = "data";
    request.volume.uuid = uuid;
    request.mkfs = mkfs_argv(request.volume, "mke2fs");
    return request;
}

void expect_clean(const std::string& image) {
    const Ran ran = run_program({"e2fsck", "-fn", image});
    EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
}

TEST(Volume, MadeWithItsFileSystem) {
    const TemporaryDirectory directory;
    const CreateVolume request = volume(directory, 64);
    EXPECT_TRUE(create_volume(request));
    EXPECT_THAT(directory.names(), ElementsAre("data.img"));
    struct stat status {};
    ASSERT_EQ(::stat(request.volume.image.c_str(), &status), 0);
    EXPECT_EQ(status.st_size, 64 << 20);
    EXPECT_LT(status.st_blocks * 512, 8 << 20) << "not sparse";
    EXPECT_EQ(status.st_mode & 07777, 0600U);
    expect_clean(request.volume.image);
    const std::string super = run_program({"dumpe2fs", "-h", request.volume.image}).out;
    EXPECT_THAT(super, HasSubstr("Filesystem volume name:   data\n"));
    EXPECT_THAT(super, HasSubstr(std::string("Filesystem UUID:          ") + uuid + "\n"));
    EXPECT_THAT(run_program({"debugfs", "-R", "stat /", request.volume.image}).out,
                HasSubstr("User:     0   Group:     0"));
}

TEST(Volume, NeverTouchesWhatIsThere) {
    const TemporaryDirectory directory;
    const CreateVolume request = volume(directory);
    write_whole(request.volume.image, "mine", 0644);
    EXPECT_FALSE(create_volume(request));
    EXPECT_EQ(read_file(request.volume.image), "mine");
    std::filesystem::remove(request.volume.image);
    std::filesystem::create_symlink("nowhere", request.volume.image);
    EXPECT_FALSE(create_volume(request));
    EXPECT_TRUE(std::filesystem::is_symlink(request.volume.image));
}

TEST(Volume, WithoutFileSystemIsEmpty) {
    const TemporaryDirectory directory;
    CreateVolume request = volume(directory, 3);
    request.volume.fs_type = "none";
    request.mkfs = mkfs_argv(request.volume, "mke2fs");
    EXPECT_THAT(request.mkfs, IsEmpty());
    EXPECT_TRUE(create_volume(request));
    EXPECT_EQ(std::filesystem::file_size(request.volume.image), 3U << 20U);
}

TEST(Volume, FailureLeavesNothing) {
    const TemporaryDirectory directory;
    CreateVolume request = volume(directory);
    request.mkfs = {"sh", "-c", "echo no luck >&2; exit 3"};
    try {
        create_volume(request);
        FAIL();
    } catch (const Error& error) { EXPECT_THAT(error.what(), HasSubstr("data.img: sh failed with status 3: no luck")); }
    EXPECT_THAT(directory.names(), IsEmpty());

    request = volume(directory, std::uint64_t{1} << 40U);
    try {
        create_volume(request);
        FAIL();
    } catch (const Error& error) { EXPECT_THAT(error.what(), HasSubstr("has room for")); }
    request = volume(directory, ~std::uint64_t{0});
    EXPECT_THROW(create_volume(request), Error);
    request = volume(directory);
    request.volume.format = "qcow2";
    EXPECT_THROW(create_volume(request), Error);
    EXPECT_THAT(directory.names(), IsEmpty());
}

TEST(Volume, WholeOrNotThereWhenKilled) {
    const TemporaryDirectory directory;
    const CreateVolume request = volume(directory);
    std::mt19937 random(5);
    int made = 0;
    for (int round = 0; round < 30; ++round) {
        kill_during([&] { create_volume(request); }, std::chrono::milliseconds(60), random);
        if (directory.names().contains("data.img")) {
            ++made;
            expect_clean(request.volume.image);
            std::filesystem::remove(request.volume.image);
        }
        ASSERT_THAT(directory.names(), IsEmpty()) << "round " << round;
    }
    EXPECT_TRUE(create_volume(request));
    std::printf("made before the kill: %d of 30\n", made);
}

TEST(Volume, CommandOfMke2fs) {
    VolumePlan plan;
    plan.name = "data";
    plan.fs_type = "ext4";
    EXPECT_THAT(mkfs_argv(plan, "/sbin/mke2fs"),
                ElementsAre("/sbin/mke2fs", "-q", "-t", "ext4", "-F", "-E",
                            "root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1,nodiscard", "{}"));
    plan.uuid = "random";
    EXPECT_THROW(mkfs_argv(plan, "mke2fs"), Error);
    plan.uuid = uuid;
    plan.label = "seventeen bytes..";
    EXPECT_THROW(mkfs_argv(plan, "mke2fs"), Error);
    plan.label = "line\nbreak";
    EXPECT_THROW(mkfs_argv(plan, "mke2fs"), Error);
    plan.label = "data";
    plan.fs_type = "ntfs";
    EXPECT_THROW(mkfs_argv(plan, "mke2fs"), Error);
}

TEST(Volume, OddLabelsArriveAsTheyAre) {
    for (const std::string label : {"-n", "a b,c={}", "\"quoted'$HOME", "{}", "äöü-16-bytes.", "16 bytes exactly"}) {
        const TemporaryDirectory directory;
        CreateVolume request = volume(directory, 4);
        request.volume.label = label;
        request.mkfs = mkfs_argv(request.volume, "mke2fs");
        ASSERT_TRUE(create_volume(request));
        EXPECT_EQ(run_program({"e2label", request.volume.image}).out, label + "\n");
    }
}

TEST(Volume, GrowsAndNeverShrinks) {
    const TemporaryDirectory directory;
    const CreateVolume request = volume(directory);
    create_volume(request);
    grow_volume(request.volume.image, 32);
    grow_volume(request.volume.image, 32);
    EXPECT_EQ(std::filesystem::file_size(request.volume.image), 32U << 20U);
    expect_clean(request.volume.image);
    try {
        grow_volume(request.volume.image, 16);
        FAIL();
    } catch (const Error& error) { EXPECT_THAT(error.what(), HasSubstr("can't shrink")); }
    EXPECT_EQ(std::filesystem::file_size(request.volume.image), 32U << 20U);
    EXPECT_THROW(grow_volume(directory / "none", 16), Error);
    EXPECT_THROW(grow_volume(directory.path(), 16), Error);
}

TEST(Volume, NotWhileAMachineUsesIt) {
    const TemporaryDirectory directory;
    const CreateVolume request = volume(directory);
    create_volume(request);
    {
        const Fd user(::open(request.volume.image.c_str(), O_RDWR | O_CLOEXEC));
        struct flock lock {}; // as QEMU does: a shared lock on one byte behind 100
        lock.l_type = F_RDLCK;
        lock.l_whence = SEEK_SET;
        lock.l_start = 101;
        lock.l_len = 1;
        ASSERT_EQ(::fcntl(user.get(), F_OFD_SETLK, &lock), 0);
        EXPECT_THROW(grow_volume(request.volume.image, 32), Error);
    }
    {
        const Fd user(::open(request.volume.image.c_str(), O_RDWR | O_CLOEXEC));
        ASSERT_EQ(::flock(user.get(), LOCK_SH), 0);
        EXPECT_THROW(grow_volume(request.volume.image, 32), Error);
    }
    grow_volume(request.volume.image, 32);
}

} // namespace
} // namespace microvmc
