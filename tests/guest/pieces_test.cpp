#include "runtime/guest/ending.h"
#include "runtime/guest/environment.h"
#include "runtime/guest/exit_status.h"
#include "runtime/guest/mount_options.h"
#include "runtime/guest/mount_table.h"
#include "runtime/guest/probe.h"
#include "runtime/guest/renew.h"
#include "runtime/guest/resized_disks.h"
#include "runtime/guest/root_disk.h"
#include "runtime/guest/superblock.h"
#include "runtime/guest/system.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace microvmc::guest {
namespace {

class TemporaryDirectory {
public:
    TemporaryDirectory() { mkdtemp(path_); }
    ~TemporaryDirectory() { remove_tree(path_); }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    [[nodiscard]] std::string file(const std::string& name) const { return std::string(path_) + "/" + name; }
    [[nodiscard]] std::string path() const { return path_; }

private:
    char path_[32] = "/tmp/microvmc-guest-XXXXXX";
};

/// Runs a program of the host; 127: it isn't there.
int run(const std::vector<std::string>& argv) {
    const pid_t pid = fork();
    if (pid == 0) {
        std::vector<char*> args;
        for (const auto& arg : argv) { args.push_back(const_cast<char*>(arg.c_str())); }
        args.push_back(nullptr);
        setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
        execvp(args[0], args.data());
        _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return exit_status(status);
}

std::string head_of(const std::string& image) {
    return read_file(image, superblock_bytes).value_or("");
}

TEST(Superblock, ReadsWhatMke2fsMakes) {
    const TemporaryDirectory directory;
    const std::string image = directory.file("image");
    const Fd file(::open(image.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(ftruncate(file.get(), 8 << 20), 0);
    const std::string uuid = "01234567-89ab-cdef-fedc-ba9876543210";
    for (const char* type : {"ext4", "ext2"}) {
        const int status = run({"mke2fs", "-q", "-F", "-t", type, "-b", "1024", "-U", uuid, image, "4000"});
        if (status == 127) { GTEST_SKIP() << "mke2fs is not installed"; }
        ASSERT_EQ(status, 0);
        const std::string head = head_of(image);
        EXPECT_EQ(superblock_uuid(head), uuid) << type;
        EXPECT_EQ(superblock_file_system(head), "ext4") << type;
        EXPECT_EQ(ext_size(head), (ExtSize{4000, 1024})) << type;
        EXPECT_EQ(ext_size(head.substr(0, ext_superblock_bytes)), (ExtSize{4000, 1024})) << type;
        EXPECT_EQ(superblock_uuid(head.substr(0, 1024 + 0x68 + 15)), std::nullopt);
        EXPECT_EQ(ext_size(head.substr(0, 2047)), std::nullopt);
    }
}

TEST(Superblock, OtherFileSystems) {
    std::string head(superblock_bytes, '\0');
    EXPECT_EQ(superblock_uuid(head), std::nullopt);
    EXPECT_EQ(ext_size(head), std::nullopt);
    head.replace(65536 + 0x40, 8, "_BHRfS_M");
    head.replace(65536 + 0x20, 16, "\xaa\xbb\xcc\xdd\xee\xff\x11\x22\x33\x44\x55\x66\x77\x88\x99\x10");
    EXPECT_EQ(superblock_uuid(head), "aabbccdd-eeff-1122-3344-556677889910");
    head.replace(0, 4, "XFSB");
    head.replace(32, 16, "0123456789abcdef");
    EXPECT_EQ(superblock_uuid(head), "30313233-3435-3637-3839-616263646566");
    EXPECT_EQ(superblock_file_system(head), "xfs");
    EXPECT_EQ(superblock_uuid(""), std::nullopt);
    EXPECT_EQ(superblock_file_system(""), "");
    head.assign(superblock_bytes, '\0');
    EXPECT_EQ(superblock_file_system(head), "");
    head.replace(0, 4, "hsqs");
    EXPECT_EQ(superblock_file_system(head), "squashfs");
    EXPECT_EQ(superblock_uuid(head), std::nullopt) << "squashfs has none";
    head.replace(0, 4, 4, '\0');
    head.replace(1024, 4, "\xe2\xe1\xf5\xe0");
    head.replace(1024 + 48, 16, "0123456789abcdef");
    EXPECT_EQ(superblock_file_system(head), "erofs");
    EXPECT_EQ(superblock_uuid(head), "30313233-3435-3637-3839-616263646566");
}

TEST(RootDisk, PartitionsAreNamedAsTheKernelNamesThem) {
    EXPECT_EQ(partition_device("/dev/vda", 0), "/dev/vda");
    EXPECT_EQ(partition_device("/dev/vda", 2), "/dev/vda2");
    EXPECT_EQ(partition_device("/dev/nvme0n1", 15), "/dev/nvme0n1p15");
}

TEST(Superblock, FatVolumeIds) {
    for (const char* bits : {"12", "16", "32"}) {
        const std::string image = "/tmp/microvmc-fat-" + std::to_string(getpid());
        const std::string command =
            "mkfs.vfat -C -i 54b3b3b2 -F " + std::string(bits) + " " + image + " 40000 >/dev/null 2>&1";
        const int status = std::system(command.c_str());
        if (status >> 8 == 127) { GTEST_SKIP() << "mkfs.vfat is not installed"; }
        const std::string head = read_file(image, superblock_bytes).value_or("");
        unlink(image.c_str());
        EXPECT_EQ(superblock_uuid(head), "54B3-B3B2") << bits;
        EXPECT_EQ(superblock_uuid(head.substr(0, 511)), std::nullopt);
    }
}

TEST(ResizedDisks, OnlyWhatTheKernelSaysOfABlockDevice) {
    const auto message = [](const std::string& lines) {
        std::string text = "change@/devices/x/block/vda";
        for (const auto line : split(lines, ' ')) { text.append(1, '\0').append(line); }
        return text.append(1, '\0');
    };
    EXPECT_EQ(resized_disk(message("ACTION=change SUBSYSTEM=block RESIZE=1 DEVNAME=vda SEQNUM=4")), "vda");
    EXPECT_EQ(resized_disk(message("ACTION=change SUBSYSTEM=block DEVNAME=vda")), "");
    EXPECT_EQ(resized_disk(message("ACTION=change SUBSYSTEM=net RESIZE=1 DEVNAME=vda")), "");
    EXPECT_EQ(resized_disk(message("SUBSYSTEM=block RESIZE=10 DEVNAME=vda")), "");
    EXPECT_EQ(resized_disk(""), "");
}

TEST(Superblock, SizesBeyond32Bits) {
    std::string head(4096, '\0');
    head.replace(1024 + 0x38, 2, "\x53\xef");
    head[1024 + 0x4] = 5;
    head[1024 + 0x18] = 2;
    head[1024 + 0x150] = 1;
    EXPECT_EQ(ext_size(head), (ExtSize{5, 4096})) << "without the 64bit feature the upper half means nothing";
    head[1024 + 0x60] = static_cast<char>(0x80);
    EXPECT_EQ(ext_size(head), (ExtSize{(1ULL << 32) + 5, 4096}));
    head[1024 + 0x18] = 40;
    EXPECT_EQ(ext_size(head), std::nullopt) << "a block size that doesn't exist";
}

TEST(MountOptions, WordsBecomeFlagsAndTheRestIsData) {
    EXPECT_EQ(parse_mount_options(""), (MountOptions{0, ""}));
    EXPECT_EQ(parse_mount_options("defaults,ro,noatime"), (MountOptions{MS_RDONLY | MS_NOATIME, ""}));
    EXPECT_EQ(parse_mount_options("ro,rw"), (MountOptions{0, ""}));
    EXPECT_EQ(parse_mount_options("noatime,strictatime"), (MountOptions{MS_STRICTATIME, ""}));
    EXPECT_EQ(parse_mount_options("data=ordered,,nosuid,commit=5"), (MountOptions{MS_NOSUID, "data=ordered,commit=5"}));
}

TEST(MountTable, UnmountsTheNewestFirstAndLeavesTheKernelsAlone) {
    const auto mounts = parse_mounts("rootfs / rootfs rw 0 0\n"
                                     "proc /proc proc rw 0 0\n"
                                     "/dev/vda /data ext4 rw 0 0\n"
                                     "/dev/vdb /data/a\\040b\\134 xfs rw 0 0\n"
                                     "src /src 9p ro 0 0\n"
                                     "tmpfs /run tmpfs rw 0 0\n"
                                     "short line\n");
    ASSERT_EQ(mounts.size(), 6U);
    EXPECT_EQ(mounts[3], (Mount{"/data/a b\\", "xfs"}));
    EXPECT_EQ(unmount_order(mounts), (std::vector<std::string>{"/src", "/data/a b\\", "/data"}));
    EXPECT_TRUE(unmount_order(parse_mounts("overlay / overlay rw 0 0\n")).empty());
}

TEST(MountTable, HalfAnEscapeStaysAsItIs) {
    EXPECT_EQ(parse_mounts("a /x\\04 ext4").at(0).target, "/x\\04");
    EXPECT_EQ(parse_mounts("a /x\\ ext4").at(0).target, "/x\\");
    EXPECT_EQ(parse_mounts("a /x\\049 ext4").at(0).target, "/x\\049");
}

TEST(ExitStatus, AsAShellShowsIt) {
    const auto ended = [](auto body) {
        const pid_t pid = fork();
        if (pid == 0) {
            body();
            _exit(0);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        return exit_status(status);
    };
    EXPECT_EQ(ended([] {}), 0);
    EXPECT_EQ(ended([] { _exit(42); }), 42);
    EXPECT_EQ(ended([] { raise(SIGKILL); }), 137);
    EXPECT_EQ(status_of_failed_exec(ENOENT), 127);
    EXPECT_EQ(status_of_failed_exec(EACCES), 126);
}

TEST(Environment, TheNearerWins) {
    EXPECT_EQ(merge_environment({"A=1", "AB=2"}, {"A=3", "C=4"}), (std::vector<std::string>{"A=3", "AB=2", "C=4"}));
}

TEST(Probe, HttpAnswers) {
    EXPECT_TRUE(is_good_answer("HTTP/1.1 200 OK\r\n"));
    EXPECT_TRUE(is_good_answer("HTTP/1.0 304 N"));
    EXPECT_FALSE(is_good_answer("HTTP/1.1 404 Not"));
    EXPECT_FALSE(is_good_answer("HTTP/1.1 500"));
    EXPECT_FALSE(is_good_answer("HTTP/1.1 2"));
    EXPECT_FALSE(is_good_answer("220 smtp ready"));
    EXPECT_FALSE(is_good_answer(""));
}

TEST(Probe, Notifications) {
    EXPECT_TRUE(says_ready("READY=1"));
    EXPECT_TRUE(says_ready("STATUS=up\nREADY=1\n"));
    EXPECT_FALSE(says_ready("STATUS=READY=1"));
    EXPECT_FALSE(says_ready("READY=10"));
}

TEST(IgnoresSignal, ReadsTheMask) {
    const std::string_view status =
        "Name:\tsh\nSigBlk:\t0000000000004000\nSigIgn:\t0000000000380004\nSigCgt:\t0000000000004000\n";
    EXPECT_TRUE(ignores_signal(status, SIGQUIT));
    EXPECT_FALSE(ignores_signal(status, SIGTERM));
    EXPECT_TRUE(ignores_signal("SigIgn:\t0000000000004000\n", SIGTERM));
    EXPECT_FALSE(ignores_signal("Name:\tx\n", SIGTERM));
    EXPECT_TRUE(takes_signal("SigBlk:\t0000000000000800\nSigCgt:\t0000000000000000\n", SIGUSR2)) << "systemd";
    EXPECT_TRUE(takes_signal("SigBlk:\t0000000000000000\nSigCgt:\t0000000000000800\n", SIGUSR2));
    EXPECT_FALSE(takes_signal("SigBlk:\t0000000000000400\nSigIgn:\t0000000000000800\n", SIGUSR2));
}

TEST(Text, SplitAndTrim) {
    EXPECT_EQ(split(",a,,b,", ','), (std::vector<std::string_view>{"a", "b"}));
    EXPECT_EQ(trim(" \n x y\t\n"), "x y");
    EXPECT_EQ(trim(" \n"), "");
    EXPECT_EQ(with_errno({"cannot read ", "/x"}, ENOENT), "cannot read /x: No such file or directory");
}

TEST(System, DirectoriesAndTrees) {
    const TemporaryDirectory directory;
    EXPECT_EQ(make_directories(directory.file("a/b/c")), std::nullopt);
    EXPECT_EQ(make_directories(directory.file("a/b/c")), std::nullopt) << "again";
    ASSERT_TRUE(write_file(directory.file("a/b/file"), "text"));
    EXPECT_EQ(read_file(directory.file("a/b/file")), "text");
    EXPECT_EQ(read_file(directory.file("a/b/file"), 2), "te");
    EXPECT_EQ(read_file(directory.file("none")), std::nullopt);
    EXPECT_EQ(list_directory(directory.file("a/b")), (std::vector<std::string>{"c", "file"}));
    const auto failure = make_directories(directory.file("a/b/file/d"));
    EXPECT_EQ(failure, "cannot make the directory " + directory.file("a/b/file") + ": File exists");
    ASSERT_EQ(symlink("/etc", directory.file("a/link").c_str()), 0);
    remove_tree(directory.file("a"));
    EXPECT_TRUE(list_directory(directory.path()).empty());
    EXPECT_EQ(access("/etc/passwd", F_OK), 0) << "the link was followed";
}

TEST(System, ReadsFilesLargerThanAPiece) {
    const TemporaryDirectory directory;
    const std::string text(100'001, 'x');
    ASSERT_TRUE(write_file(directory.file("big"), text));
    EXPECT_EQ(read_file(directory.file("big")), text);
}

} // namespace
TEST(Renew, HexadecimalDigitsAreBytes) {
    EXPECT_EQ(parse_hex(""), "");
    EXPECT_EQ(parse_hex("00ff7f"), std::string("\x00\xff\x7f", 3));
    for (const char* bad : {"0", "0g", "0G", "FF", " 0", "0x"}) { EXPECT_FALSE(parse_hex(bad)) << bad; }
}

} // namespace microvmc::guest
