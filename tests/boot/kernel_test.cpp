// Kernels and initramfs of the user's own.

#include "runtime/process.h"
#include "tests/boot/guest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>

namespace microvmc::boot {

namespace {

using ::testing::HasSubstr;

/// An initramfs whose init says `word`; compressed, so that what follows it isn't where it happens to fit.
void make_initramfs(const Cli& cli, const std::string& word) {
    const std::string top = cli.dir() + "/initramfs";
    std::filesystem::remove_all(top);
    std::filesystem::create_directories(top + "/bin");
    std::filesystem::copy_file("/bin/busybox", top + "/bin/busybox");
    std::filesystem::create_symlink("busybox", top + "/bin/sh");
    cli.write("initramfs/init", "#!/bin/sh\nbusybox echo " + word + " > /said\nwhile :; do busybox sleep 1000; done\n");
    std::filesystem::permissions(top + "/init", std::filesystem::perms::owner_all);
    const Ran ran = run_program({"/bin/busybox", "sh", "-c",
                                 "cd " + top +
                                     " && busybox find . | busybox cpio -o -H newc | busybox gzip > ../initrd.img && "
                                     "[ $(($(busybox stat -c %s ../initrd.img) % 4)) != 0 ] || "
                                     "busybox printf '\\0' >> ../initrd.img"});
    ASSERT_EQ(ran.status, 0) << ran.err;
}

} // namespace

TEST_F(OneMachine, AnInitramfsOfTheUsersOwnRunsBehindOurs) {
    make_initramfs(cli, "first");
    apply("initrd = \"initrd.img\"\nshutdown-timeout = 1\nvolumes.data = { size = \"64MiB\", mount-point = \"/data\" }\n");
    const auto busybox = [this](const std::string& words) { return guest("busybox " + words); };
    const char* const awaited = "sh -c 'until busybox test -s /said; do busybox sleep 0.1; done; busybox cat /said'";
    EXPECT_EQ(busybox(awaited), "first\n");
    EXPECT_THAT(busybox("head -c 20 /proc/1/cmdline"), HasSubstr("/bin/sh"));
    EXPECT_THAT(busybox("grep /data /proc/mounts"), HasSubstr("ext4"));
    EXPECT_THAT(done({"apply", "microvm.toml"}), HasSubstr("Nothing to do"));

    make_initramfs(cli, "second"); // the same path, another content
    done({"apply", "--yes", "microvm.toml"});
    EXPECT_EQ(busybox(awaited), "second\n");
}

TEST_F(OneMachine, ModulesOfTheUsersOwnAreLoaded) {
    std::string theirs;
    for (const auto& entry : std::filesystem::directory_iterator("/lib/modules")) {
        const std::string release = entry.path().filename().string();
        if (std::filesystem::exists("/boot/vmlinuz-" + release)) { theirs = entry.path().string(); }
    }
    if (theirs.empty()) { GTEST_SKIP() << "no kernel in /boot that has modules"; }
    const std::filesystem::path ours = cli.dir() + "/modules";
    std::filesystem::create_directory(ours);
    std::filesystem::create_directory_symlink(theirs + "/kernel", ours / "kernel");
    for (const auto& entry : std::filesystem::directory_iterator(theirs)) {
        if (entry.is_regular_file()) { std::filesystem::copy_file(entry.path(), ours / entry.path().filename()); }
    }
    apply("modules = \"modules\"\n");
    EXPECT_THAT(guest("cat /proc/modules"), HasSubstr("virtio_console"));
    EXPECT_THAT(done({"apply", "microvm.toml"}), HasSubstr("Nothing to do"));
    EXPECT_EQ(nlohmann::json::parse(done({"status", "-p", "c", "--json"})).dump().find(theirs), std::string::npos);
}

} // namespace microvmc::boot
