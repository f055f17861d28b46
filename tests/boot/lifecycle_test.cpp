// What is done to machines beside applying and stopping them, through the command line, on real QEMU guests.

#include "tests/boot/cli.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <fstream>
#include <functional>
#include <sstream>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>

namespace microvmc::boot {

namespace {

namespace fs = std::filesystem;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

std::string text_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

class Lifecycle : public ::testing::Test {
protected:
    void apply(const std::string& text) {
        cli.write("microvm.toml", "name = \"life\"\n[defaults]\nmem = \"128MiB\"\n" + text);
        const Ran ran = cli.run({"apply", "--yes", "microvm.toml"});
        ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
    }
    Ran run(std::vector<std::string> args) const {
        args.insert(args.begin() + 1, {"-p", "life"});
        return cli.run(args);
    }
    Ran sh(const std::string& script) const { return run({"exec", "a", "--", "sh", "-c", script}); }
    std::vector<nlohmann::json> events() const {
        std::istringstream lines(run({"events", "--no-follow", "--json"}).out);
        std::vector<nlohmann::json> all;
        for (std::string line; std::getline(lines, line);) { all.push_back(nlohmann::json::parse(line)); }
        return all;
    }
    /// When the event was, of the first that there is; empty: never.
    std::string when(const std::string& vm, const std::string& event) const {
        for (const nlohmann::json& each : events()) {
            if (each["vm"] == vm && each["event"] == event) { return each["time"]; }
        }
        return {};
    }
    nlohmann::json status(const std::string& vm) const {
        return nlohmann::json::parse(run({"status", "--json", vm}).out).at("vms").at(0);
    }
    static bool eventually(const std::function<bool()>& condition) {
        for (int i = 0; i < 1200; ++i) {
            if (condition()) { return true; }
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
        return false;
    }
    Cli cli;
};

} // namespace

TEST_F(Lifecycle, ExecCpLogsWaitAndRestart) {
    apply("[vm.a]\ncommand = [\"sh\", \"-c\", \"echo first line; sleep 1; echo second line; sleep 1000000\"]\n"
          "ready.console = \"second line\"\nrestart = \"on-failure\"\nrestart-delay = 1\n");
    // exec: streams, status, environment, directory
    Ran ran = sh("echo out; echo err >&2; exit 7");
    EXPECT_EQ(ran.status, 7);
    EXPECT_EQ(ran.out, "out\n");
    EXPECT_EQ(ran.err, "err\n");
    ran = run({"exec", "--env", "A=b c", "--env", "D=", "--workdir", "/tmp", "a", "--", "sh", "-c", "echo $A.$D; pwd"});
    EXPECT_EQ(ran.out, "b c.\n/tmp\n") << ran.err;
    EXPECT_EQ(run({"exec", "a", "--", "no-such-program"}).status, 127);
    EXPECT_EQ(run({"exec", "a"}).status, 125);
    EXPECT_EQ(run({"exec", "none", "--", "true"}).status, 125);
    EXPECT_EQ(sh("kill -9 $$").status, 137);

    // cp: bytes of every value, directories, links, modes; nothing under its name when it fails
    std::string bytes;
    for (int i = 0; i < 300'000; ++i) { bytes.push_back(static_cast<char>(i * 31 + i / 256)); }
    cli.write("tree/sub dir/bytes", bytes);
    cli.write("tree/empty", "");
    fs::create_symlink("../nowhere", cli.dir() + "/tree/link");
    fs::permissions(cli.dir() + "/tree/empty", static_cast<fs::perms>(0604));
    ran = run({"cp", "tree", "a:/tmp"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    ran = sh("cd /tmp/tree && stat -c '%a %s %n' empty 'sub dir/bytes' && readlink link");
    EXPECT_EQ(ran.out, "604 0 empty\n644 300000 sub dir/bytes\n../nowhere\n") << ran.err;
    ran = run({"cp", "a:/tmp/tree", "back"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(text_of(cli.dir() + "/back/sub dir/bytes"), bytes);
    EXPECT_EQ(fs::read_symlink(cli.dir() + "/back/link"), "../nowhere");
    EXPECT_EQ(fs::status(cli.dir() + "/back/empty").permissions(), static_cast<fs::perms>(0604));
    ran = run({"cp", "tree/sub dir/bytes", "a:/tmp/renamed"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(sh("cmp /tmp/renamed '/tmp/tree/sub dir/bytes' && ls -A /tmp | grep -c part").out, "0\n");
    ran = run({"cp", "a:/etc/passwd/none", "x"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.err, HasSubstr("not copied: can't read /etc/passwd/none"));
    EXPECT_FALSE(fs::exists(cli.dir() + "/x"));
    ran = run({"cp", "tree", "a:/none/such"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.err, HasSubstr("/none"));
    ran = run({"cp", "nothing", "a:/tmp/nothing"});
    EXPECT_THAT(ran.err, HasSubstr("can't read nothing"));
    EXPECT_EQ(sh("ls /tmp/nothing").status, 1);
    // A file system that is full: the old file stays, and nothing else.
    ran = sh("mkdir /tmp/small && mount -t tmpfs -o size=100k none /tmp/small && echo old > /tmp/small/f");
    EXPECT_EQ(ran.status, 0) << ran.err;
    ran = run({"cp", "tree/sub dir/bytes", "a:/tmp/small/f"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.err, HasSubstr("No space left"));
    EXPECT_EQ(sh("cat /tmp/small/f; ls -A /tmp/small").out, "old\nf\n");
    EXPECT_EQ(run({"cp", "tree", "back"}).status, 1);

    // logs: what was written when
    ran = run({"logs", "-t", "-n", "2"});
    EXPECT_THAT(ran.out, ContainsRegex("^2[0-9-]+T[0-9:.]+Z  first line\r?\n2[0-9-]+T[0-9:.]+Z  second line\r?\n$"));
    EXPECT_LT(ran.out.substr(0, 24), ran.out.substr(ran.out.find('\n') + 1, 24)) << "a second is between them";
    EXPECT_THAT(run({"logs", "--since", "1h"}).out, HasSubstr("second line"));
    EXPECT_EQ(run({"logs", "--since", "2099-01-01"}).out, "");
    EXPECT_EQ(run({"logs", "--since", "yesterday"}).status, 1);

    // wait
    EXPECT_EQ(run({"wait"}).out, "a  ready\n");
    ran = run({"wait", "--for", "end", "--timeout", "1"});
    EXPECT_EQ(ran.status, 3);
    EXPECT_THAT(ran.err, HasSubstr("waiting for the machine to end"));

    // restart, and the policy's own when the VMM is killed
    const pid_t vmm = status("a").at("vmm").get<pid_t>();
    ran = run({"restart"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(status("a").at("vmm").get<pid_t>(), vmm);
    EXPECT_EQ(status("a").at("restarts"), 0);
    ::kill(status("a").at("vmm").get<pid_t>(), SIGKILL);
    EXPECT_TRUE(eventually([&] {
        const nlohmann::json now = status("a");
        return now.value("restarts", 0) == 1 && now.value("health", "") == "ok";
    })) << status("a").dump(2);
    EXPECT_EQ(status("a").at("last-end").at("kind"), "vmm-crash");
    EXPECT_THAT(run({"status"}).out, ContainsRegex("a +ready +[0-9a-z]+ +ok +1 "));

    // events, of a supervisor that is killed as well
    const std::string supervisor = std::to_string(status("a").at("supervisor").get<pid_t>());
    const pid_t follower = cli.start({"events", "-p", "life", "--json"});
    EXPECT_TRUE(eventually([&] { return fs::exists(cli.log()); }));
    std::this_thread::sleep_for(std::chrono::seconds(1)); // it looks at what is there first
    ::kill(std::stoi(supervisor), SIGKILL);
    EXPECT_TRUE(eventually([&] { return text_of(cli.log()).find("its supervisor died") != std::string::npos; }));
    ::kill(follower, SIGINT);
    ::waitpid(follower, nullptr, 0);
    std::string kinds;
    for (const nlohmann::json& event : events()) { kinds += event["event"].get<std::string>() + " "; }
    EXPECT_THAT(kinds, HasSubstr("starting running ready stopping ended starting running ready restarting starting "
                                 "running ready"));
}

TEST_F(Lifecycle, EndsAreToldApartByTheirStatus) {
    apply("[vm.exits]\ncommand = [\"sh\", \"-c\", \"exit 5\"]\nready.exit = 5\n"
          "[vm.panics]\ncommand = [\"sh\", \"-c\", \"sleep 1; echo c > /proc/sysrq-trigger\"]\n"
          "[vm.off]\ncommand = [\"sh\", \"-c\", \"sleep 1; poweroff -f\"]\nrestart = \"on-failure\"\n"
          "[vm.killed]\n[vm.crashes]\n");
    EXPECT_EQ(run({"stop", "--kill", "killed"}).status, 0);
    ::kill(status("crashes").at("vmm").get<pid_t>(), SIGKILL);
    for (const auto& [vm, expected, words] :
         {std::tuple{"exits", 5, "exited with status 5"}, std::tuple{"panics", 255, "panicked"},
          std::tuple{"off", 0, "powered off"}, std::tuple{"killed", 137, "killed"},
          std::tuple{"crashes", 254, "its VMM ended"}}) {
        const Ran ran = run({"wait", "--for", "end", vm});
        EXPECT_EQ(ran.status, expected) << vm << ran.out << ran.err;
        EXPECT_THAT(ran.out, HasSubstr(words)) << vm;
    }
}

TEST_F(Lifecycle, EveryFormOfReadyIsAwaitedByWhoDependsOnIt) {
    apply(R"([vm.db]
command = ["sh", "-c", "sleep 2; exec httpd -f -p 5432"]
ready.tcp = 5432
[vm.migrate]
command = ["true"]
depends-on = ["db"]
ready.exit = 0
[vm.web]
command = ["sh", "-c", "sleep 1; echo the service is up; sleep 1000000"]
depends-on = ["migrate"]
ready.console = "the service is up"
[vm.probed]
command = ["sh", "-c", "sleep 1; touch /tmp/up; sleep 1000000"]
depends-on = ["web"]
ready.command = ["test", "-e", "/tmp/up"]
[vm.notifies]
mem = "256MiB"
root.host = true
command = ["perl", "-MIO::Socket::UNIX", "-e", "sleep 1; IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET})->send('READY=1'); sleep 1000000"]
depends-on = ["probed"]
ready.notify = true
[vm.last]
depends-on = ["notifies"]
)");
    const std::vector<std::string> chain{"db", "migrate", "web", "probed", "notifies", "last"};
    for (std::size_t i = 1; i < chain.size(); ++i) {
        const std::string before = chain[i - 1] == "migrate" ? when("migrate", "ended") : when(chain[i - 1], "ready");
        EXPECT_NE(before, "") << chain[i - 1];
        EXPECT_LE(before, when(chain[i], "starting")) << chain[i] << " did not await " << chain[i - 1];
    }
    // Stopping all goes the other way; starting one starts nothing of what has been done.
    EXPECT_EQ(run({"stop"}).status, 0);
    const Ran ran = run({"start", "web"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("web  ready"));
    EXPECT_EQ(status("last").at("state"), "stopped");
    EXPECT_EQ(status("migrate").at("state"), "stopped");
}

TEST_F(Lifecycle, WhatFailsTakesItsDependantsAlongAndNobodyElse) {
    cli.write("microvm.toml", R"(name = "life"
[defaults]
mem = "128MiB"
[vm.bad]
command = ["sh", "-c", "echo it is broken; exit 3"]
ready.tcp = 80
[vm.needs-it]
depends-on = ["bad"]
[vm.other]
)");
    const Ran ran = cli.run({"apply", "microvm.toml"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.err, HasSubstr("bad ended before it was ready: exited with status 3"));
    EXPECT_THAT(ran.err, HasSubstr("  bad | it is broken"));
    EXPECT_THAT(ran.err, HasSubstr("not begun: needs-it (it awaits bad)"));
    EXPECT_THAT(ran.err, HasSubstr("done all the same: other"));
    EXPECT_THAT(ran.out, ContainsRegex("\nother  ready in "));
    EXPECT_EQ(status("other").at("state"), "ready");
    EXPECT_THAT(run({"status"}).out, Not(HasSubstr("needs-it")));
}

TEST_F(Lifecycle, ACommandThatCannotBeRunWasNeverUp) {
    cli.write("microvm.toml", R"(name = "life"
[defaults]
mem = "128MiB"
[vm.program]
command = ["no-such-program", "--help"]
[vm.directory]
command = ["true"]
workdir = "/no/such/directory"
)");
    const Ran ran = cli.run({"apply", "microvm.toml"});
    EXPECT_EQ(ran.status, 1) << ran.out;
    EXPECT_THAT(ran.err, HasSubstr("cannot run no-such-program: No such file or directory"));
    EXPECT_THAT(ran.err, HasSubstr("cannot change to the directory /no/such/directory: No such file or directory"));
    EXPECT_THAT(ran.out, Not(HasSubstr("  ready in ")));
    EXPECT_TRUE(cli.processes().empty());
    EXPECT_TRUE(cli.leftovers().empty());
}

TEST_F(Lifecycle, TargetsReplacementsAndDestruction) {
    const std::string text =
        "name = \"life\"\n[defaults]\nmem = \"128MiB\"\n[vm.a]\n[vm.b]\nautostart = true\ndepends-on = "
        "[\"c\"]\n[vm.c]\n";
    cli.write("microvm.toml", text);
    Ran ran = cli.run({"apply", "--target", "b", "microvm.toml"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_THAT(run({"status"}).out, Not(HasSubstr("\na ")));
    EXPECT_EQ(status("c").at("state"), "ready");
    const pid_t before = status("b").at("vmm").get<pid_t>();
    ran = cli.run({"plan", "--replace", "b", "--target", "b", "--detailed-exitcode", "microvm.toml"});
    EXPECT_EQ(ran.status, 2);
    EXPECT_THAT(ran.out, HasSubstr("! b  restart: as asked"));
    ran = cli.run({"apply", "--yes", "--replace", "b", "--target", "b", "microvm.toml"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(status("b").at("vmm").get<pid_t>(), before);
    EXPECT_EQ(cli.run({"apply", "--target", "none", "microvm.toml"}).status, 1);

    // With the host: what has `autostart`, and what that depends on.
    EXPECT_EQ(cli.run({"stop", "--autostart"}).status, 0);
    EXPECT_EQ(run({"stop", "c"}).status, 0);
    EXPECT_EQ(status("b").at("state"), "stopped");
    ran = cli.run({"start", "--autostart"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("life/b  ready"));
    EXPECT_EQ(status("c").at("state"), "ready");

    ran = cli.run({"plan", "--destroy", "--out", "gone.json", "microvm.toml"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("- b  destroy: as asked"));
    ran = cli.run({"apply", "gone.json"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(run({"status"}).out, "Nothing was applied yet.\n");
    EXPECT_TRUE(cli.processes().empty());
}

} // namespace microvmc::boot
