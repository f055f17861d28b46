// Shares, as guests and the host see them, on real QEMU guests.

#include "tests/boot/cli.h"

#include "runtime/facts/tools.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <thread>
#include <unistd.h>

namespace microvmc::boot {

namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// What serves the shares of a run.
enum class Server { none, rust, qemu };

std::string name_of(const ::testing::TestParamInfo<Server>& info) {
    switch (info.param) {
    case Server::none: return "NineP";
    case Server::rust: return "RustsVirtiofsd";
    case Server::qemu: return "QemusVirtiofsd";
    }
    return "";
}

std::string text_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// A PATH for the life of a test.
class Path {
public:
    explicit Path(const std::string& path) : before_(std::getenv("PATH")) { ::setenv("PATH", path.c_str(), 1); }
    ~Path() { ::setenv("PATH", before_.c_str(), 1); }
    Path(const Path&) = delete;
    Path& operator=(const Path&) = delete;

private:
    std::string before_;
};

std::string rust_server() {
    const char* path = std::getenv("PATH");
    const std::string found = find_program("virtiofsd", path == nullptr ? "" : path);
    return !found.empty() && ask_version(found).starts_with("1.") ? found : "";
}

constexpr const char* system_path = "/usr/sbin:/usr/bin:/sbin:/bin";

class Shares : public ::testing::TestWithParam<Server> {
protected:
    void SetUp() override {
        switch (GetParam()) {
        case Server::none: break;
        case Server::rust:
            if (rust_server().empty()) { GTEST_SKIP() << "Rust's virtiofsd is not on PATH: cargo install virtiofsd"; }
            break;
        case Server::qemu:
            if (::geteuid() != 0 || ::access("/usr/lib/qemu/virtiofsd", X_OK) != 0) {
                GTEST_SKIP() << "QEMU's virtiofsd is not installed, or this is not root, for whom alone it is";
            }
            path_.emplace(system_path);
            break;
        }
    }
    [[nodiscard]] const char* proto() const { return GetParam() == Server::none ? "9p" : "virtiofs"; }

    /// With the host's root in the guest, so that it has the host's tools; `shares`: TOML lines.
    void apply(const std::string& shares, const std::string& more = {}) {
        cli.write("microvm.toml", fmt::format("[vm.a]\nroot.host = true\ncommand = [\"sleep\", \"infinity\"]\n"
                                              "mem = \"256MiB\"\nshutdown-timeout = \"20s\"\n{}\n{}\n",
                                              shares, more));
        const Ran ran = cli.run({"apply", "--yes", "microvm.toml"});
        ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
        plan_ = ran.out;
    }
    Ran sh(const std::string& script) const {
        return cli.run({"exec", "--file", "microvm.toml", "a", "--", "sh", "-c", script});
    }
    void expect_sh(const std::string& script, const std::string& output = {}) const {
        const Ran ran = sh(script);
        EXPECT_EQ(ran.status, 0) << script << "\n" << ran.out << ran.err;
        if (!output.empty()) { EXPECT_EQ(ran.out, output) << script << "\n" << ran.err; }
    }
    nlohmann::json status() const {
        return nlohmann::json::parse(cli.run({"status", "--json", "microvm.toml"}).out).at("vms").at(0);
    }
    pid_t server() const {
        for (const auto& [pid, name] : cli.processes()) {
            if (name == "virtiofsd") { return pid; }
        }
        return 0;
    }
    bool eventually(const std::function<bool()>& condition) const {
        for (int i = 0; i < 1200; ++i) {
            if (condition()) { return true; }
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
        return false;
    }

    Cli cli;
    std::string plan_;
    std::optional<Path> path_;
};

} // namespace

TEST_P(Shares, BothDirectionsWithNamesOfEveryKind) {
    const std::string odd = "so,ur=ce \"q\"; ü%";
    fs::create_directory(cli.dir() + "/" + odd);
    fs::create_directory(cli.dir() + "/ro");
    std::ofstream(cli.dir() + "/" + odd + "/from host") << "hello\n";
    std::ofstream(cli.dir() + "/ro/file") << "kept\n";
    fs::create_symlink("/etc/hostname", cli.dir() + "/" + odd + "/out");
    apply(fmt::format("hostname = \"the-guest\"\n"
                      "shares.odd = {{ source = \"so,ur=ce \\\"q\\\"; ü%\", mount-point = \"/mnt/a,b=c \\\"ü%\", "
                      "tag = \"t,a=g ü\", proto = \"{0}\", xattr = true, posix-acl = true }}\n"
                      "shares.ro = {{ source = \"ro\", mount-point = \"/mnt/ro\", proto = \"{0}\", read-only = true }}",
                      proto()));
    const std::string in = "cd '/mnt/a,b=c \"ü%' && ";
    expect_sh(in + "cat 'from host'", "hello\n");
    expect_sh(in + "mkdir -p d/e && echo written > d/e/f && ln -s ../f d/l && mv d/e/f d/f && chmod 640 d/f");
    const fs::path host = fs::path(cli.dir()) / odd;
    EXPECT_EQ(text_of(host / "d/f"), "written\n");
    EXPECT_EQ(fs::read_symlink(host / "d/l"), "../f");
    EXPECT_EQ(fs::status(host / "d/f").permissions(), static_cast<fs::perms>(0640));
    // The host's link leads into the guest's own files, not the host's.
    expect_sh("hostname; cmp '/mnt/a,b=c \"ü%/out' /etc/hostname", "the-guest\n");

    // Four of the guest's processes and the host at once.
    std::thread writer([&host] {
        for (int i = 0; i < 100; ++i) { std::ofstream(host / fmt::format("host.{}", i)) << i; }
    });
    expect_sh(in + "for p in 1 2 3 4; do (for i in $(seq 100); do echo $p.$i > guest.$p.$i; done) & done; wait; "
                   "cat guest.*.* | wc -l",
              "400\n");
    writer.join();
    std::size_t files = 0;
    for (int p = 1; p <= 4; ++p) {
        for (int i = 1; i <= 100; ++i) {
            files += text_of(host / fmt::format("guest.{}.{}", p, i)) == fmt::format("{}.{}\n", p, i) ? 1 : 0;
        }
    }
    EXPECT_EQ(files, 400U);
    expect_sh(in + "ls host.* | wc -l", "100\n");

    // Attributes and ACLs, on the host as well when it is root's server that keeps them.
    expect_sh(in + "setfattr -n user.color -v red d/f && getfattr --only-values -n user.color d/f", "red");
    expect_sh(in + "setfacl -m u:1234:rw d/f && getfacl -cn d/f | grep 1234", "user:1234:rw-\n");
    std::string value(16, '\0');
    const ssize_t size = ::getxattr((host / "d/f").c_str(), "user.color", value.data(), value.size());
    EXPECT_EQ(value.substr(0, static_cast<std::size_t>(std::max<ssize_t>(size, 0))), "red");
    EXPECT_GT(::getxattr((host / "d/f").c_str(), "system.posix_acl_access", nullptr, 0), 0);

    // Whatever the guest makes of its mount, the host refuses.
    expect_sh("cat /mnt/ro/file", "kept\n");
    EXPECT_NE(sh("mount -o remount,rw /mnt/ro; echo broken > /mnt/ro/file").status, 0);
    EXPECT_NE(sh("echo new > /mnt/ro/new").status, 0);
    EXPECT_NE(sh("rm /mnt/ro/file").status, 0);
    EXPECT_EQ(text_of(cli.dir() + "/ro/file"), "kept\n");
    EXPECT_FALSE(fs::exists(cli.dir() + "/ro/new"));

    const Ran ran = cli.run({"destroy", "--yes", "microvm.toml"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_TRUE(cli.processes().empty()) << "a server outlived its machine";
    EXPECT_TRUE(cli.leftovers().empty()) << cli.leftovers().front();
}

TEST_P(Shares, TenThousandFiles) {
    fs::create_directory(cli.dir() + "/many");
    for (int i = 0; i < 10'000; ++i) { std::ofstream(cli.dir() + fmt::format("/many/{}", i)) << i << "\n"; }
    apply(fmt::format("shares.many = {{ source = \"many\", mount-point = \"/mnt\", proto = \"{}\" }}", proto()));
    expect_sh("ls /mnt | wc -l", "10000\n");
    expect_sh("cd /mnt && ls | xargs cat | sort -n | uniq | wc -l", "10000\n");
    expect_sh("cd /mnt && ls | head -2000 | xargs rm && ls | wc -l", "8000\n");
    EXPECT_EQ(std::distance(fs::directory_iterator(cli.dir() + "/many"), {}), 8000);
}

TEST_P(Shares, AMachineWhoseServerDiedIsStartedAgain) {
    if (GetParam() == Server::none) { GTEST_SKIP() << "QEMU itself serves 9p"; }
    fs::create_directory(cli.dir() + "/data");
    std::ofstream(cli.dir() + "/data/file") << "there\n";
    apply("shares.data = { source = \"data\", mount-point = \"/mnt\", proto = \"virtiofs\" }");
    const pid_t first = server();
    ASSERT_GT(first, 0);
    ::kill(first, SIGKILL);
    ASSERT_TRUE(eventually([&] {
        const nlohmann::json now = status();
        return now.value("restarts", 0) == 1 && now.value("state", "") == "ready";
    })) << status().dump(2);
    EXPECT_EQ(status().at("last-end").at("kind"), "helper-crash");
    expect_sh("cat /mnt/file", "there\n");
    const Ran events = cli.run({"events", "--file", "microvm.toml", "--no-follow"});
    EXPECT_THAT(events.out, HasSubstr("lost  virtiofsd of the share data was killed by signal 9"));
    EXPECT_THAT(events.out, HasSubstr("restarting"));
}

TEST_P(Shares, OrStopped) {
    if (GetParam() == Server::none) { GTEST_SKIP() << "QEMU itself serves 9p"; }
    fs::create_directory(cli.dir() + "/data");
    apply("shares.data = { source = \"data\", mount-point = \"/mnt\", proto = \"virtiofs\", on-death = \"stop\" }");
    ::kill(server(), SIGKILL);
    EXPECT_TRUE(eventually([&] { return status().value("state", "") == "failed"; })) << status().dump(2);
    EXPECT_EQ(status().at("end").at("kind"), "helper-crash");
    EXPECT_TRUE(cli.processes().empty());
}

INSTANTIATE_TEST_SUITE_P(Servers, Shares, ::testing::Values(Server::none, Server::rust, Server::qemu), name_of);

TEST(Share, ASecondOneWithTheWrongSourceIsSeen) {
    Cli cli;
    fs::create_directories(cli.dir() + "/right");
    fs::create_directories(cli.dir() + "/wrong");
    std::ofstream(cli.dir() + "/right/which") << "right\n";
    std::ofstream(cli.dir() + "/wrong/which") << "wrong\n";
    cli.write("microvm.toml", "[vm.a]\nshares.a = { source = \"right\", mount-point = \"/a\" }\n"
                              "shares.b = { source = \"wrong\", mount-point = \"/b\" }\n");
    ASSERT_EQ(cli.run({"apply", "microvm.toml"}).status, 0);
    const Ran ran = cli.run({"exec", "--file", "microvm.toml", "a", "--", "cat", "/a/which", "/b/which"});
    EXPECT_EQ(ran.out, "right\nwrong\n") << ran.err;
}

/// Runs commands as an ordinary user, with nothing of root's.
class OrdinaryUser : public ::testing::Test {
protected:
    static constexpr int uid = 65534;
    void SetUp() override {
        if (::geteuid() != 0) { GTEST_SKIP() << "only root can become another user"; }
        fs::create_directories(cli.dir() + "/bin");
        for (const std::string& path : {cli.dir(), cli.state(), cli.runtime(), cli.dir() + "/bin"}) {
            ASSERT_EQ(::chown(path.c_str(), uid, uid), 0);
        }
    }
    Ran run(std::vector<std::string> args) const {
        const std::string id = std::to_string(uid);
        args.insert(args.begin(),
                    {"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "env", "HOME=" + cli.dir(),
                     fmt::format("PATH={}/bin:{}", cli.dir(), system_path), "MICROVMC_STATE_DIR=" + cli.state(),
                     "MICROVMC_RUNTIME_DIR=" + cli.runtime(), std::string(TEST_BINARY_DIR) + "/runtime/microvmc"});
        RunOptions options;
        options.timeout = std::chrono::seconds(240);
        options.cwd = cli.dir();
        return run_program(args, options);
    }
    /// A machine with a share that its guest writes as root and as another, who becomes the user on the host.
    void share_is_the_users(const std::string& said) {
        fs::create_directories(cli.dir() + "/data");
        fs::create_directories(cli.dir() + "/ro");
        std::ofstream(cli.dir() + "/ro/file") << "kept\n";
        for (const char* each : {"/data", "/ro", "/ro/file"}) {
            ASSERT_EQ(::chown((cli.dir() + each).c_str(), uid, uid), 0);
        }
        cli.write("microvm.toml",
                  "[vm.a]\nmem = \"256MiB\"\nshares.data = { source = \"data\", mount-point = \"/data\" }\n"
                  "shares.ro = { source = \"ro\", mount-point = \"/ro\", read-only = true }\n"
                  "volumes.v = { size = 16, mount-point = \"/v\" }\n"
                  "interfaces.u.type = \"user\"\n");
        Ran ran = run({"apply", "--yes", "microvm.toml"});
        ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
        EXPECT_THAT(ran.out, HasSubstr(said));
        EXPECT_THAT(ran.out, HasSubstr("what the guest writes is yours"));
        ran = run({"exec", "--file", "microvm.toml", "a", "--", "sh", "-c",
                   "echo root > /data/of-root; chmod 777 /data; adduser -D -H -u 1234 joe 2>/dev/null || "
                   "echo joe:x:1234:1234::/:/bin/sh >> /etc/passwd; "
                   "su joe -s /bin/sh -c 'echo joe > /data/of-joe' || true; echo broken > /ro/file; cat /ro/file"});
        EXPECT_THAT(ran.out, HasSubstr("kept\n")) << ran.err;
        for (const char* name : {"of-root"}) {
            struct stat status {};
            ASSERT_EQ(::stat((cli.dir() + "/data/" + name).c_str(), &status), 0) << name << ran.out << ran.err;
            EXPECT_EQ(status.st_uid, static_cast<uid_t>(uid)) << name;
        }
        EXPECT_EQ(text_of(cli.dir() + "/ro/file"), "kept\n");
        ran = run({"destroy", "--yes", "--with-volumes", "microvm.toml"});
        EXPECT_EQ(ran.status, 0) << ran.err;
        EXPECT_TRUE(cli.processes().empty());
    }
    Cli cli;
};

TEST_F(OrdinaryUser, HasSharesOver9p) {
    share_is_the_users("not virtiofs: ");
}

TEST_F(OrdinaryUser, HasSharesOverVirtiofs) {
    const std::string server = rust_server();
    if (server.empty()) { GTEST_SKIP() << "Rust's virtiofsd is not on PATH: cargo install virtiofsd"; }
    fs::copy_file(server, cli.dir() + "/bin/virtiofsd"); // root's own directories are closed to others
    fs::permissions(cli.dir() + "/bin/virtiofsd", static_cast<fs::perms>(0755));
    share_is_the_users("virtiofs, virtiofsd 1.");
}

} // namespace microvmc::boot
