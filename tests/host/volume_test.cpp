#include "runtime/volume.h"

#include "compiler/file_system.h"
#include "runtime/error.h"
#include "runtime/facts/tools.h"
#include "runtime/files.h"
#include "runtime/image_header.h"
#include "runtime/image_lock.h"
#include "runtime/process.h"
#include "tests/host/temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <map>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

namespace microvmc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* uuid = "0d9e2b7a-3c55-4f0e-9a51-6c1f7d8e9b20";

const ToolFacts& tool(const std::string& name) {
    static std::map<std::string, ToolFacts> known;
    ToolFacts& facts = known[name];
    if (facts.path.empty()) {
        facts.path = find_program(name, "/usr/bin:/bin");
        facts.version = ask_version(facts.path);
    }
    return facts;
}

CreateVolume volume(const TemporaryDirectory& directory, std::uint64_t size_mib = 16, const std::string& fs = "ext4",
                    const std::string& format = "raw") {
    CreateVolume request;
    request.volume.name = "data";
    request.volume.image = directory / "data.img";
    request.volume.size_mib = size_mib;
    request.volume.fs_type = fs;
    request.volume.format = format;
    request.volume.label = fs == "vfat" ? "DATA" : "data";
    request.volume.uuid = fs == "vfat" ? "0D9E-2B7A" : uuid;
    if (const FileSystemInfo* info = find_file_system(fs)) { request.mkfs = tool(std::string(info->mkfs)); }
    request.qemu_img = tool("qemu-img").path;
    return request;
}

// The image as a raw one.
std::string raw_of(const VolumePlan& volume, const TemporaryDirectory& scratch) {
    if (volume.format == "raw") { return volume.image; }
    std::string raw = scratch / "raw";
    const Ran ran =
        run_program({"qemu-img", "convert", "-f", image_driver(volume.format), "-O", "raw", volume.image, raw});
    EXPECT_EQ(ran.status, 0) << ran.err;
    return raw;
}

// By the checker of each file system and, where there is one, of the format.
void expect_clean(const VolumePlan& volume) {
    if (volume.format == "qcow2" || volume.format == "vhdx") {
        const Ran ran = run_program({"qemu-img", "check", "-f", volume.format, volume.image});
        EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
    }
    const TemporaryDirectory scratch;
    const std::map<std::string, std::vector<std::string>> checkers{
        {"ext4", {"e2fsck", "-fn"}},    {"ext3", {"e2fsck", "-fn"}},         {"ext2", {"e2fsck", "-fn"}},
        {"xfs", {"xfs_repair", "-nf"}}, {"btrfs", {"btrfs", "check", "-q"}}, {"vfat", {"fsck.fat", "-n"}},
    };
    std::vector<std::string> argv = checkers.at(volume.fs_type);
    argv.push_back(raw_of(volume, scratch));
    const Ran ran = run_program(argv);
    EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
}

std::string blkid(const std::string& raw, const std::string& tag) {
    std::string value = run_program({"blkid", "-p", "-o", "value", "-s", tag, raw}).out;
    while (value.ends_with('\n')) { value.pop_back(); }
    return value;
}

// Where each keeps it; blkid would write odd characters in its own way.
std::string superblock_label(const std::string& raw, const std::string& fs) {
    const std::map<std::string, std::pair<std::size_t, std::size_t>> places{
        {"ext4", {1024 + 0x78, 16}}, {"xfs", {108, 12}}, {"btrfs", {65536 + 0x12b, 256}}, {"vfat", {43, 11}}};
    const auto [at, bytes] = places.at(fs);
    std::string label = read_file(raw).value_or("").substr(at, bytes);
    label.resize(std::min(label.find('\0'), label.size()));
    while (fs == "vfat" && label.ends_with(' ')) { label.pop_back(); }
    return label;
}

struct Kind {
    std::string fs;
    std::string format;
};

void PrintTo(const Kind& kind, std::ostream* out) {
    *out << kind.fs << " in " << kind.format;
}

class VolumeKind : public testing::TestWithParam<Kind> {};

TEST_P(VolumeKind, MadeWithItsFileSystem) {
    const auto& [fs, format] = GetParam();
    const TemporaryDirectory directory;
    const TemporaryDirectory scratch;
    for (const std::uint64_t size : {64U, 333U}) {
        const CreateVolume request = volume(directory, size, fs, format);
        EXPECT_TRUE(create_volume(request));
        EXPECT_THAT(directory.names(), ElementsAre("data.img"));
        struct stat status {};
        ASSERT_EQ(::stat(request.volume.image.c_str(), &status), 0);
        EXPECT_EQ(virtual_size(request.volume.image, format), size << 20U);
        if (format == "raw") { EXPECT_EQ(status.st_size, static_cast<off_t>(size << 20U)); }
        // Of 333 MiB: xfs' log, and the inode tables of ext2 and ext3, are written.
        const int written_mib = fs == "xfs" ? 80 : fs == "ext2" || fs == "ext3" ? 40 : 12;
        EXPECT_LT(status.st_blocks * 512, written_mib << 20) << "not sparse";
        EXPECT_EQ(status.st_mode & 07777, 0600U);
        expect_clean(request.volume);
        const std::string raw = raw_of(request.volume, scratch);
        EXPECT_EQ(blkid(raw, "TYPE"), fs);
        EXPECT_EQ(blkid(raw, "LABEL"), request.volume.label);
        EXPECT_EQ(blkid(raw, "UUID"), request.volume.uuid);
        std::filesystem::remove(request.volume.image);
    }
}

TEST_P(VolumeKind, WholeOrNotThereWhenKilled) {
    const auto& [fs, format] = GetParam();
    const TemporaryDirectory directory;
    const CreateVolume request = volume(directory, 32, fs, format);
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_TRUE(create_volume(request));
    const auto span = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
    std::filesystem::remove(request.volume.image);
    std::mt19937 random(5);
    int made = 0;
    constexpr int rounds = 16; // of each of the 24 kinds
    for (int round = 0; round < rounds; ++round) {
        kill_during([&] { create_volume(request); }, span * 5 / 4, random);
        if (directory.names().contains("data.img")) {
            ++made;
            EXPECT_EQ(virtual_size(request.volume.image, format), 32U << 20U);
            expect_clean(request.volume);
            std::filesystem::remove(request.volume.image);
        }
        ASSERT_THAT(directory.names(), IsEmpty()) << "round " << round;
    }
    EXPECT_TRUE(create_volume(request));
    std::printf("made before the kill: %d of %d, which takes %lld us\n", made, rounds,
                static_cast<long long>(span.count()));
}

std::vector<Kind> kinds() {
    std::vector<Kind> all;
    for (const char* fs : {"ext4", "ext3", "ext2", "xfs", "btrfs", "vfat"}) {
        for (const char* format : {"raw", "qcow2", "vhd", "vhdx"}) { all.push_back({fs, format}); }
    }
    return all;
}

INSTANTIATE_TEST_SUITE_P(All, VolumeKind, testing::ValuesIn(kinds()),
                         [](const auto& info) { return info.param.fs + "_" + info.param.format; });

TEST(Volume, ItsRootIsRoots) {
    const TemporaryDirectory directory;
    const CreateVolume request = volume(directory);
    ASSERT_TRUE(create_volume(request));
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
    for (const std::string format : {"raw", "qcow2", "vhd", "vhdx"}) {
        const TemporaryDirectory directory;
        const TemporaryDirectory scratch;
        const CreateVolume request = volume(directory, 3, "none", format);
        EXPECT_TRUE(create_volume(request));
        EXPECT_EQ(virtual_size(request.volume.image, format), 3U << 20U);
        EXPECT_EQ(read_file(raw_of(request.volume, scratch)), std::string(3U << 20U, '\0'));
    }
}

TEST(Volume, FailureLeavesNothing) {
    const TemporaryDirectory directory;
    const std::string program = directory / "mkfs";
    write_whole(program, "#!/bin/sh\necho no luck >&2; exit 3\n", 0755);
    const auto expect_failure = [](const CreateVolume& request, const std::string& why) {
        try {
            create_volume(request);
            FAIL();
        } catch (const Error& error) { EXPECT_THAT(error.what(), HasSubstr(why)); }
    };
    CreateVolume request = volume(directory);
    request.mkfs.path = program;
    expect_failure(request, "can't create " + request.volume.image + ": " + program + " failed with status 3: no luck");
    request = volume(directory, 16, "ext4", "qcow2");
    request.qemu_img = program;
    expect_failure(request, "failed with status 3: no luck");
    expect_failure(volume(directory, ~std::uint64_t{0}), "can't have a size");
    EXPECT_THAT(directory.names(), ElementsAre("mkfs"));
}

TEST(Volume, CommandsOfMkfs) {
    VolumePlan plan;
    plan.name = "data";
    plan.fs_type = "ext4";
    plan.size_mib = 64;
    plan.uuid = uuid;
    plan.mkfs_args = {"-m", "0"};
    const auto argv = [&plan](const std::string& version = "6.1.0") {
        return mkfs_argv(plan, {.path = "/sbin/mkfs", .version = version, .identity = {}}, "IMAGE");
    };
    EXPECT_THAT(argv(),
                ElementsAre("/sbin/mkfs", "-q", "-t", "ext4", "-F", "-U", uuid, "-E",
                            "root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1,nodiscard", "IMAGE", "-m", "0"));
    plan.mkfs_args.clear();
    plan.fs_type = "xfs";
    const std::string xfs_uuid = std::string("uuid=") + uuid;
    EXPECT_THAT(argv(), ElementsAre("/sbin/mkfs", "-q", "-f", "-K", "-m", xfs_uuid, "--unsupported", "IMAGE"));
    EXPECT_THAT(argv("5.13.0"), ElementsAre("/sbin/mkfs", "-q", "-f", "-K", "-m", xfs_uuid, "IMAGE"));
    plan.size_mib = 300;
    EXPECT_THAT(argv(), ElementsAre("/sbin/mkfs", "-q", "-f", "-K", "-m", xfs_uuid, "IMAGE"));
    plan.fs_type = "btrfs";
    EXPECT_THAT(argv(), ElementsAre("/sbin/mkfs", "-q", "-f", "-K", "-U", uuid, "IMAGE"));
    plan.size_mib = 64;
    EXPECT_THAT(argv(), ElementsAre("/sbin/mkfs", "-q", "-f", "-K", "-U", uuid, "--mixed", "IMAGE"));
    plan.fs_type = "vfat";
    EXPECT_THROW(argv(), Error) << "FAT has no such UUID";
    plan.uuid = "0D9E-2B7A";
    EXPECT_THAT(argv(), ElementsAre("/sbin/mkfs", "-i", "0D9E2B7A", "IMAGE"));
    plan.label = "data";
    EXPECT_THROW(argv(), Error) << "upper case only";
    plan.fs_type = "ext4";
    plan.uuid = "random";
    EXPECT_THROW(argv(), Error);
    plan.uuid = uuid;
    plan.label = "seventeen bytes..";
    EXPECT_THROW(argv(), Error);
    plan.label = "line\nbreak";
    EXPECT_THROW(argv(), Error);
    plan.label = "data";
    EXPECT_NO_THROW(argv());
    plan.fs_type = "ntfs";
    EXPECT_THROW(argv(), Error);
    plan.fs_type = "none";
    EXPECT_THAT(argv(), IsEmpty());
}

TEST(Volume, OddLabelsArriveAsTheyAre) {
    const std::map<std::string, std::vector<std::string>> labels{
        {"ext4", {"-n", "a b,c={}", "\"quoted'$HOME", "{}", "äöü-16-bytes.", "16 bytes exactly", "%s%n%d"}},
        {"xfs", {"-n", "a b,c={}", "\"q'$HOME", "äöü12by.", "12 bytes exa", "%s%n%d"}},
        {"btrfs", {"-n", "a b,c={}/", "\"quoted'$HOME", "äöü", std::string(254, 'x'), "%s%n%d"}},
        {"vfat", {"-N", "A B{}", "Q'$HOME", "%S%N%D", "11 BYTES EX"}},
    };
    for (const auto& [fs, texts] : labels) {
        for (const std::string& label : texts) {
            const TemporaryDirectory directory;
            CreateVolume request = volume(directory, 16, fs);
            request.volume.label = label;
            ASSERT_TRUE(create_volume(request)) << label;
            EXPECT_EQ(superblock_label(request.volume.image, fs), label) << fs;
        }
    }
}

TEST(Volume, OddPathsAreFilesLikeOthers) {
    for (const std::string name :
         {"a,b c=d.img", "-rf", "per%cent %s", "quo\"te'$(x)", "li\nne", "json:{}", "nbd:x", "äöü"}) {
        for (const std::string format : {"raw", "qcow2"}) {
            const TemporaryDirectory directory;
            CreateVolume request = volume(directory, 16, "ext4", format);
            request.volume.image = directory / name;
            ASSERT_TRUE(create_volume(request)) << name;
            EXPECT_THAT(directory.names(), ElementsAre(name));
            grow_volume(
                {.image = request.volume.image, .size_mib = 32, .format = format, .qemu_img = request.qemu_img});
            EXPECT_EQ(virtual_size(request.volume.image, format), 32U << 20U) << name;
        }
    }
}

TEST(Volume, GrowsAndNeverShrinks) {
    for (const std::string format : {"raw", "qcow2"}) {
        const TemporaryDirectory directory;
        const CreateVolume request = volume(directory, 16, "ext4", format);
        create_volume(request);
        const auto grow = [&](std::uint64_t size) {
            grow_volume(
                {.image = request.volume.image, .size_mib = size, .format = format, .qemu_img = request.qemu_img});
        };
        grow(32);
        grow(32);
        EXPECT_EQ(virtual_size(request.volume.image, format), 32U << 20U);
        expect_clean(request.volume);
        try {
            grow(16);
            FAIL();
        } catch (const Error& error) { EXPECT_THAT(error.what(), HasSubstr("can't shrink")); }
        EXPECT_EQ(virtual_size(request.volume.image, format), 32U << 20U);
        EXPECT_THROW(grow_volume({.image = directory / "none", .size_mib = 16}), Error);
        EXPECT_THROW(grow_volume({.image = directory.path(), .size_mib = 16}), Error);
    }
}

// A volume of 48 MiB that starts from another image of 32 MiB.
CreateVolume copy_of(const TemporaryDirectory& directory, const VolumePlan& from, const std::string& format) {
    CreateVolume request = volume(directory, 48, "ext4", format);
    request.volume.image = directory / "copy.img";
    request.volume.label.clear();
    request.volume.uuid.clear();
    request.volume.backing = from.image;
    request.volume.backing_format = from.format;
    return request;
}

TEST(Volume, StartsFromAnotherImage) {
    for (const std::string from_format : {"raw", "qcow2", "vhd", "vhdx"}) {
        const TemporaryDirectory directory;
        const CreateVolume from = volume(directory, 32, "ext4", from_format);
        ASSERT_TRUE(create_volume(from));
        for (const std::string format : {"raw", "qcow2", "vhd", "vhdx"}) {
            SCOPED_TRACE(from_format + " to " + format);
            const CreateVolume request = copy_of(directory, from.volume, format);
            ASSERT_TRUE(create_volume(request));
            EXPECT_THAT(directory.names(), ElementsAre("copy.img", "data.img"));
            EXPECT_EQ(virtual_size(request.volume.image, format), 48U << 20U);
            struct stat status {};
            ASSERT_EQ(::stat(request.volume.image.c_str(), &status), 0);
            EXPECT_LT(status.st_blocks * 512, 4 << 20) << "not sparse";
            const TemporaryDirectory scratch;
            EXPECT_EQ(blkid(raw_of(request.volume, scratch), "UUID"), uuid);
            expect_clean(request.volume);
            const std::optional<ImageFacts> header = read_image_header(request.volume.image);
            ASSERT_EQ(header.has_value(), format != "raw");
            if (header) {
                EXPECT_EQ(header->backing, format == "qcow2" ? from.volume.image : "");
                EXPECT_EQ(header->backing_format, format == "qcow2" ? image_driver(from_format) : "");
            }
            std::filesystem::remove(request.volume.image);
        }
    }
}

TEST(Volume, NoCopyOfWhatIsWritten) {
    const TemporaryDirectory directory;
    const CreateVolume from = volume(directory, 32);
    ASSERT_TRUE(create_volume(from));
    const Fd user(::open(from.volume.image.c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(lock_image(user.get(), ImageAccess::write));
    EXPECT_THROW(create_volume(copy_of(directory, from.volume, "raw")), Error);
    EXPECT_THAT(directory.names(), ElementsAre("data.img"));
}

// What came of making a volume where there are so many KiB, in a mount namespace of its own.
enum SmallDisk { made = 0, left_something = 1, left_nothing = 2, no_namespace = 77 };

int make_on_small_disk(const std::string& directory, unsigned kib, const CreateVolume& request) {
    const pid_t child = ::fork();
    if (child == 0) {
        const std::string options = "size=" + std::to_string(kib) + "k";
        if (::unshare(::geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
            ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("small", directory.c_str(), "tmpfs", 0, options.c_str()) != 0) {
            ::_exit(no_namespace);
        }
        try {
            create_volume(request);
        } catch (const Error&) {
            ::_exit(std::filesystem::is_empty(directory) ? left_nothing : left_something);
        } catch (...) { ::_exit(left_something); }
        expect_clean(request.volume);
        ::_exit(testing::Test::HasFailure() ? left_something : made);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : left_something;
}

TEST_P(VolumeKind, AFullDiskLeavesNothing) {
    const TemporaryDirectory directory;
    const CreateVolume request = volume(directory, 32, GetParam().fs, GetParam().format);
    int failed = 0;
    unsigned kib = 16;
    for (;; kib += kib / 3, ++failed) {
        const int outcome = make_on_small_disk(directory.path(), kib, request);
        if (outcome == no_namespace) { GTEST_SKIP() << "no mount namespace can be made here"; }
        if (outcome == made) { break; }
        ASSERT_EQ(outcome, left_nothing) << kib << " KiB";
        ASSERT_LT(kib, 64U << 10U);
    }
    EXPECT_GT(failed, 2);
    std::printf("made with %u KiB, after %d disks that were too small\n", kib, failed);
}

TEST(Volume, GrowsOnlyWhatItIsSaidToBe) {
    const TemporaryDirectory directory;
    const CreateVolume request = volume(directory);
    create_volume(request);
    for (const std::string format : {"qcow2", "vhd", "vhdx"}) {
        try {
            grow_volume(
                {.image = request.volume.image, .size_mib = 32, .format = format, .qemu_img = request.qemu_img});
            FAIL();
        } catch (const Error& error) { EXPECT_THAT(error.what(), HasSubstr("is no " + format + " image")); }
    }
    EXPECT_EQ(std::filesystem::file_size(request.volume.image), 16U << 20U);
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
        EXPECT_THROW(grow_volume({.image = request.volume.image, .size_mib = 32}), Error);
    }
    {
        const Fd user(::open(request.volume.image.c_str(), O_RDWR | O_CLOEXEC));
        ASSERT_EQ(::flock(user.get(), LOCK_SH), 0);
        EXPECT_THROW(grow_volume({.image = request.volume.image, .size_mib = 32}), Error);
    }
    grow_volume({.image = request.volume.image, .size_mib = 32});
}

} // namespace
} // namespace microvmc
