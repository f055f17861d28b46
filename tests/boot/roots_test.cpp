// Roots of every kind, in guests that run, through the command line.

#include "runtime/machine.h"
#include "tests/boot/debian.h"
#include "tests/boot/guest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace microvmc::boot {

namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// Obeys what busybox' poweroff and reboot tell an init.
constexpr const char* small_init = R"(#!/bin/sh
end() {
    kill -TERM -1
    sleep 1
    umount -a -r 2>/dev/null
    umount -a -r 2>/dev/null
    "$@"
}
trap 'end poweroff -f' USR2
trap 'end reboot -f' TERM
echo an init of its own as $$
while :; do
    sleep 1 &
    wait $!
done
)";

/// A root of nothing but busybox and an init that is a shell script.
void make_small_root(const std::string& path) {
    for (const char* name : {"bin", "etc", "sbin", "var"}) { fs::create_directories(path + "/" + name); }
    fs::copy_file("/bin/busybox", path + "/bin/busybox");
    for (const char* applet :
         {"sh",   "cat",      "echo",   "grep", "sleep", "touch",    "ls",       "mount", "umount", "kill",     "yes",
          "head", "poweroff", "reboot", "dd",   "sync",  "readlink", "hostname", "id",    "stat",   "sha256sum"}) {
        fs::create_symlink("busybox", path + "/bin/" + applet);
    }
    std::ofstream(path + "/etc/marker") << "of the root\n";
    std::ofstream(path + "/sbin/init") << small_init;
    fs::permissions(path + "/sbin/init", fs::perms(0755));
}

class Roots : public OneMachine {
protected:
    void SetUp() override { make_small_root(cli.dir() + "/small"); }
    [[nodiscard]] std::string pack(const std::vector<std::string>& flags, const std::string& name) const {
        const std::string path = cli.dir() + "/" + name;
        std::vector<std::string> argv{"tar", "-C", cli.dir() + "/small", "--owner=1234", "--group=4321"};
        argv.insert(argv.end(), flags.begin(), flags.end());
        argv.insert(argv.end(), {"-cf", path, "."});
        EXPECT_EQ(run_program(argv).status, 0);
        return path;
    }
};

} // namespace

TEST_F(Roots, ADirectoryAsErofsWithWritesInMemory) {
    apply("root.dir = \"small\"\nhostname = \"named\"\n");
    EXPECT_EQ(guest("cat /etc/marker"), "of the root\n");
    EXPECT_THAT(guest("grep ' / ' /proc/mounts"), HasSubstr("overlay"));
    EXPECT_THAT(guest("readlink /proc/1/exe"), HasSubstr("busybox")) << "the root's own init is PID 1";
    EXPECT_EQ(guest("echo changed > /etc/marker; cat /etc/marker"), "changed\n");
    EXPECT_EQ(guest("hostname; cat /etc/hostname"), "named\nnamed\n");
    const std::string machine_id = status().at("plan").at("machine-id");
    EXPECT_EQ(machine_id.size(), 32U);
    EXPECT_EQ(guest("cat /etc/machine-id"), machine_id + "\n");
    EXPECT_THAT(guest("cat /sys/block/vda/serial /sys/block/vda/ro"),
                AnyOf(HasSubstr("microvmc-root1"), HasSubstr("microvmc-root\n1")))
        << "the host lets nobody write the image";

    // What was written is gone; what the source says now is there.
    std::ofstream(cli.dir() + "/small/etc/added") << "later\n";
    const std::string plan = done({"plan", "microvm.toml"});
    EXPECT_THAT(plan, HasSubstr("root.content"));
    done({"apply", "--yes", "microvm.toml"});
    EXPECT_EQ(guest("cat /etc/marker /etc/added"), "of the root\nlater\n");
    EXPECT_THAT(done({"plan", "microvm.toml"}), Not(HasSubstr("root.content")));
}

TEST_F(Roots, AnArchiveKeepsItsOwnersAndItsCommandsStatusIsTheMachines) {
    for (const auto& [flags, name, fs_type] :
         {std::tuple<std::vector<std::string>, std::string, std::string>{{"--zstd"}, "root.tar.zst", "erofs"},
          {{"--xz"}, "root.tar.xz", "squashfs"}}) {
        pack(flags, name);
        write(fmt::format("root = {{ tar = \"{}\", fs-type = \"{}\", overlay = \"none\" }}\n"
                          "command = [\"/bin/sh\", \"-c\", \"stat -c %u:%g /etc/marker; grep ' / ' /proc/mounts; "
                          "touch /etc/x; cat /etc/machine-id /etc/hostname; exit 7\"]\n"
                          "ready.exit = 7\n",
                          name, fs_type));
        std::ofstream(cli.dir() + "/small/etc/machine-id") << "uninitialized\n";
        std::ofstream(cli.dir() + "/small/etc/hostname") << "localhost\n";
        pack(flags, name);
        done({"apply", "--yes", "microvm.toml"});
        const auto await = await_machine(machine(), Goal::ready, std::chrono::seconds(60));
        ASSERT_TRUE(await.end.has_value());
        EXPECT_EQ(await.end->kind, End::Kind::exited);
        EXPECT_EQ(await.end->status, 7);
        const std::string log = done({"logs", "microvm.toml", "a"});
        EXPECT_THAT(log, HasSubstr("1234:4321"));
        EXPECT_THAT(log, HasSubstr(" / " + fs_type + " ro"));
        EXPECT_THAT(log, HasSubstr("Read-only file system"));
        EXPECT_THAT(log, HasSubstr(status().at("plan").at("machine-id").get<std::string>())) << "covers the root's own";
    }
}

TEST_F(Roots, WritesOnAVolumeSurviveAStopAKillAndAnotherRoot) {
    const std::string keys = "root = { dir = \"small\", overlay = \"changes\" }\nvolumes.changes = { size = 64 }\n";
    apply(keys);
    guest("echo kept > /etc/kept; echo mine > /etc/marker; sync");
    done({"stop", "microvm.toml"});
    EXPECT_EQ(run_program({"e2fsck", "-fn", state() + "/volumes/changes.img"}).status, 0) << "it was unmounted";
    done({"start", "microvm.toml"});
    EXPECT_EQ(guest("cat /etc/kept /etc/marker"), "kept\nmine\n");
    guest("echo more > /etc/more; sync");
    done({"stop", "--kill", "microvm.toml"});
    std::ofstream(cli.dir() + "/small/etc/added") << "by the new root\n";
    apply(keys);
    EXPECT_EQ(guest("cat /etc/kept /etc/marker /etc/more /etc/added"), "kept\nmine\nmore\nby the new root\n");
}

TEST_F(Roots, ADiskImageReadOnlyAndWritten) {
    const std::string image = cli.dir() + "/disk.img";
    std::ofstream(image).close();
    fs::resize_file(image, 64 << 20);
    ASSERT_EQ(run_program({"mke2fs", "-q", "-t", "ext4", "-d", cli.dir() + "/small", image}).status, 0);
    apply("root.image = \"disk.img\"\n");
    EXPECT_EQ(guest("cat /etc/marker; echo x > /etc/marker; cat /etc/marker"), "of the root\nx\n");
    done({"destroy", "--yes", "microvm.toml"});
    EXPECT_THAT(run_program({"debugfs", "-R", "cat /etc/marker", image}).out, HasSubstr("of the root"));

    apply("root = { image = \"disk.img\", read-only = false }\n");
    EXPECT_THAT(guest("grep ' / ' /proc/mounts"), HasSubstr(" / ext4 rw"));
    guest("echo written > /etc/marker");
    done({"stop", "microvm.toml"});
    EXPECT_THAT(run_program({"debugfs", "-R", "cat /etc/marker", image}).out, HasSubstr("written"));
    EXPECT_EQ(run_program({"e2fsck", "-fn", image}).status, 0) << "it was unmounted";
}

TEST_F(Roots, APartitionOfADiskImage) {
    if (run_program({"sh", "-c", "command -v sfdisk"}).status != 0) { GTEST_SKIP() << "sfdisk is not installed"; }
    const std::string image = cli.dir() + "/disk.img";
    std::ofstream(image).close();
    fs::resize_file(image, 96 << 20);
    RunOptions options;
    options.input = "label: gpt\nstart=2048, size=16384\nstart=32768\n";
    ASSERT_EQ(run_program({"sfdisk", "-q", image}, options).status, 0);
    ASSERT_EQ(
        run_program({"mke2fs", "-q", "-t", "ext4", "-E", "offset=16777216", "-d", cli.dir() + "/small", image, "60M"})
            .status,
        0);
    apply("root = { image = \"disk.img\", partition = 2 }\n");
    EXPECT_EQ(guest("cat /etc/marker"), "of the root\n");
    write("root = { image = \"disk.img\", partition = 3 }\n");
    const Ran ran = cli.run({"apply", "--yes", "microvm.toml"});
    EXPECT_NE(ran.status, 0);
    EXPECT_THAT(ran.err, HasSubstr("the root's disk has no partition 3"));
}

TEST_F(Roots, ASystemInAStoreThatIsShared) {
    const std::string store = cli.dir() + "/nix/store";
    const std::string system = store + "/0123-nixos-system";
    const std::string busybox = store + "/4567-busybox";
    fs::create_directories(system);
    fs::create_directories(busybox);
    fs::copy(cli.dir() + "/small/bin", busybox, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    std::ofstream(system + "/init") << "#!" + busybox + "/sh\nexport PATH=" + busybox +
                                           "\necho a system of the store\n" +
                                           std::string(small_init).substr(std::string_view(small_init).find('\n'));
    fs::permissions(system + "/init", fs::perms(0755));
    // A system like this makes what it needs itself; a shell is what this test needs.
    apply(fmt::format("root.store = \"{}\"\nenv.PATH = \"{}\"\ncommand = [\"{}/init\"]\n", system, busybox, system));
    EXPECT_EQ(guest("readlink /proc/self/exe"), busybox + "/busybox\n");
    EXPECT_THAT(guest("grep ' / ' /proc/mounts"), HasSubstr("tmpfs"));
    EXPECT_THAT(guest("grep " + store + " /proc/mounts"), HasSubstr("9p ro"));
    EXPECT_THAT(guest("echo x > /written && cat /written; echo x > " + system + "/x || echo refused"),
                HasSubstr("x\n"));
    EXPECT_FALSE(fs::exists(system + "/x"));
    done({"destroy", "--yes", "microvm.toml"});
    apply(fmt::format("root = {{ store = \"{}\", overlay = \"kept\" }}\nvolumes.kept = {{ size = 64 }}\nready.console "
                      "= \"a system of the store\"\n",
                      system));
    done({"stop", "microvm.toml"});
    EXPECT_THAT(run_program({"debugfs", "-R", "ls -p /", state() + "/volumes/kept.img"}).out, HasSubstr("tmp"))
        << "the volume is the root";
}

TEST_F(Roots, ARootWithoutAnInitSaysSo) {
    fs::remove(cli.dir() + "/small/sbin/init");
    write("root.dir = \"small\"\n");
    const Ran ran = cli.run({"apply", "--yes", "microvm.toml"});
    EXPECT_NE(ran.status, 0);
    EXPECT_THAT(ran.err, HasSubstr("cannot run the init /sbin/init"));
    EXPECT_TRUE(cli.processes().empty());
}

// A secret of each source reaches the main process, and is nowhere else.
TEST_F(Roots, CredentialsReachTheGuestAndNothingElse) {
    const std::string from_file = std::string("file\0secret\xff 1f6a", 17);
    cli.write("token", from_file);
    ::setenv("MICROVMC_TEST_SECRET", "environment-secret-77c1", 1);
    write(R"toml(root.dir = "small"
command = ["/bin/sh", "-c", "ls -l $CREDENTIALS_DIRECTORY; sha256sum < $CREDENTIALS_DIRECTORY/token; sleep 1000"]
ready.command = ["/bin/sh", "-c", "cat $CREDENTIALS_DIRECTORY/from-program"]
[vm.a.credentials]
token.file = "token"
from-env.env = "MICROVMC_TEST_SECRET"
from-program.command = ["sh", "-c", "echo program-secret-$((40 + 2))"]
large.command = ["sh", "-c", "yes | head -c 299999"]
)toml");
    const Ran ran = cli.run({"apply", "--yes", "microvm.toml"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const std::string at = "/run/credentials/@system/";
    EXPECT_EQ(guest("sha256sum < " + at + "token"),
              run_program({"sh", "-c", "sha256sum < " + cli.dir() + "/token"}).out);
    EXPECT_EQ(guest("cat " + at + "from-env; echo; cat " + at + "from-program"),
              "environment-secret-77c1\nprogram-secret-42");
    EXPECT_EQ(guest("stat -c '%a %u' " + at + "token; stat -c %a " + at), "400 0\n700\n");
    EXPECT_EQ(guest("cat " + at + "large | sha256sum"),
              run_program({"sh", "-c", "yes | head -c 299999 | sha256sum"}).out);
    EXPECT_THAT(guest("echo x > " + at + "token || echo refused"), HasSubstr("refused"));
    EXPECT_THAT(done({"logs", "microvm.toml", "a"}), HasSubstr("from-program")) << "the command found its directory";

    const std::vector<std::string> secrets{"environment-secret-77c1", "program-secret-42", "secret\xff 1f6a"};
    const auto expect_none = [&secrets](const std::string& text, const std::string& where) {
        for (const std::string& secret : secrets) { EXPECT_EQ(text.find(secret), std::string::npos) << where; }
    };
    expect_none(ran.out + ran.err, "what apply says");
    expect_none(done({"plan", "--json", "microvm.toml"}) + done({"show", "microvm.toml"}) +
                    done({"status", "--json", "microvm.toml"}),
                "what commands say");
    for (const auto& [pid, name] : cli.processes()) {
        for (const char* file : {"cmdline", "environ"}) {
            std::ifstream in("/proc/" + std::to_string(pid) + "/" + file, std::ios::binary);
            expect_none({std::istreambuf_iterator<char>(in), {}}, name + " " + file);
        }
    }
    for (const std::string& top : {cli.state(), cli.runtime()}) {
        for (const auto& entry : fs::recursive_directory_iterator(top)) {
            if (!entry.is_regular_file()) { continue; }
            std::ifstream in(entry.path(), std::ios::binary);
            expect_none({std::istreambuf_iterator<char>(in), {}}, entry.path().string());
        }
    }
    ::unsetenv("MICROVMC_TEST_SECRET");

    // The supervisor has them for the next boot.
    reboot_guest();
    EXPECT_EQ(guest("cat " + at + "from-program"), "program-secret-42");
}

TEST_F(Roots, ACredentialThatCantBeReadStopsNothing) {
    apply("root.dir = \"small\"\n");
    write("root.dir = \"small\"\nmem = \"300MiB\"\ncredentials.token.command = [\"sh\", \"-c\", \"echo leaked-77; echo "
          "why >&2; exit 3\"]\n");
    const Ran ran = cli.run({"apply", "--yes", "microvm.toml"});
    EXPECT_NE(ran.status, 0);
    EXPECT_THAT(ran.err, HasSubstr("can't read the credential token"));
    EXPECT_THAT(ran.err, HasSubstr("failed with status 3: why"));
    EXPECT_THAT(ran.err, Not(HasSubstr("leaked-77")));
    EXPECT_EQ(status().at("state"), "ready") << "it runs on";
}

// One boot for all that a distribution's own init must find: it takes a while.
TEST_F(Roots, DebianBootsToALoginAndItsServices) {
    std::string why_not;
    const std::string root = debian_root(why_not);
    if (root.empty()) { GTEST_SKIP() << "no Debian root: " << why_not; }
    cli.write("microvm.toml",
              fmt::format("name = \"c\"\n[vm.a]\nroot.tar = \"{}\"\nmem = \"512MiB\"\nhostname = \"bookworm\"\n"
                          "startup-timeout = 300\nready.console = \"bookworm login:\"\n"
                          "interfaces.user.type = \"user\"\n"
                          "credentials.token.command = [\"printf\", \"for systemd\"]\n",
                          root));
    const Ran ran = cli.run({"apply", "--yes", "microvm.toml"}, std::chrono::minutes(8));
    ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
    EXPECT_THAT(guest("readlink /proc/1/exe"), HasSubstr("systemd"));
    EXPECT_EQ(guest("systemctl is-active systemd-journald dbus"), "active\nactive\n");
    EXPECT_THAT(guest("systemctl is-system-running --wait || systemctl --failed --no-legend"), StartsWith("running"));
    EXPECT_EQ(guest("hostname; cat /etc/hostname"), "bookworm\nbookworm\n");
    EXPECT_EQ(guest("cat /etc/machine-id"), status().at("plan").at("machine-id").get<std::string>() + "\n");
    EXPECT_EQ(guest("stat -fc %T /sys/fs/cgroup"), "cgroup2fs\n");
    EXPECT_THAT(guest("ip -brief address show"), HasSubstr("10.0.2.15/24"));
    EXPECT_EQ(guest("systemd-run --wait --pipe --quiet echo from a service"), "from a service\n");
    EXPECT_EQ(guest("stat -c %U:%G:%a /etc/shadow"), "root:shadow:640\n");

    EXPECT_EQ(guest("systemd-creds --system cat token"), "for systemd");
    EXPECT_EQ(
        guest("systemd-run --wait --pipe --quiet -p LoadCredential=token sh -c 'cat $CREDENTIALS_DIRECTORY/token'"),
        "for systemd");

    reboot_guest();
    EXPECT_THAT(guest("readlink /proc/1/exe"), HasSubstr("systemd"));
    const std::string said = done({"stop", "microvm.toml"});
    EXPECT_THAT(said, HasSubstr("powered off"));
    EXPECT_EQ(status().at("end").at("kind"), "poweroff");
}

} // namespace microvmc::boot
