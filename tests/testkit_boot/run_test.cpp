#include "testkit/workspace.h"
#include "tests/testkit_boot/cases.h"

#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

// Runs of cases on real guests: their steps, and how a run goes on when one fails.

namespace microvmc::testkit {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

constexpr const char* machine = "[vm.a]\nmem = 256\n";
constexpr const char* with_volume = "[vm.a]\nmem = 256\nvolumes.data = { size = 32, mount-point = \"/data\" }\n";

std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

Step host(const std::string& script) {
    Step step;
    step.what = HostStep{{text("sh"), text("-c"), text(script)}};
    step.timeout_ms = 60'000;
    return step;
}

Step console(const std::string& type, std::int64_t times, const std::string& matches) {
    Step step;
    step.what = ConsoleStep{text(type), times};
    step.on = "a";
    step.expect.matches = text(matches);
    step.within_ms = 60'000;
    step.timeout_ms = 60'000;
    return step;
}

Step volume(const std::string& path, const std::string& equals) {
    Step step;
    step.what = VolumeStep{text("data"), text(path)};
    step.on = "a";
    step.expect.equals = text(equals);
    step.timeout_ms = 180'000;
    return step;
}

Step ping(const std::string& address) {
    Step step;
    step.what = PingStep{text(address)};
    step.on = "a";
    step.timeout_ms = 5'000;
    return step;
}

Step with_status(Step step, const std::string& status) {
    step.expect.status = text(status);
    return step;
}

} // namespace

class Runs : public CasesTest {
protected:
    ~Runs() override { fs::remove_all(dir_); }
    static const CaseResult& only(const RunReport& report) { return report.results.at(0); }

    std::string dir_ = fs::temp_directory_path().string() + "/runs-" + std::to_string(::getpid());
};

TEST_F(Runs, StepsDoWhatTheySay) {
    add("answers", machine).steps = {
        guest("printf 'a\\000b'", std::string("a\0b", 3)),
        with_status(guest("exit 7"), "7"),
        guest("echo $axis/$number", "one/"),
    };
    specs_.cases.back().axes = {{"axis", "one"}};
    specs_.cases.back().steps.at(0).capture = {{text("bytes"), text("^a")}};
    add("captures", machine).steps = {guest("echo pid 42"), guest("echo $got; echo $vm_a_mem", "42\n256"),
                                      host("test \"$got\" = 42 && echo \"$PWD\"")};
    std::vector<Step>& captures = specs_.cases.back().steps;
    captures[0].capture = {{text("got"), text("pid ([0-9]+)")}};
    captures[1].env = {{"vm_a_mem", text("${vm.a.mem}")}};
    captures[2].expect.equals = text("/");
    add("network", "[vm.a]\nmem = 256\nforward-ports.web.guest.port = 80\n").steps = {
        guest("mkdir /www; head -c 3000000 /dev/urandom > /www/blob; httpd -h /www; sha256sum /www/blob"), Step{},
        Step{}, ping("10.0.2.2"), with_status(ping("10.0.2.77"), "1")};
    std::vector<Step>& network = specs_.cases.back().steps;
    network[0].capture = {{text("sum"), text("^[0-9a-f]{64}")}};
    network[1].what = HttpStep{text("http://127.0.0.1:${vm.a.forward-ports.web.host.port}/blob")};
    network[1].expect.sha256 = text("${sum}");
    network[1].timeout_ms = 30'000;
    network[1].within_ms = 30'000;
    network[2].what = TcpStep{text("127.0.0.1:${vm.a.forward-ports.web.host.port}")};
    network[2].timeout_ms = 2'000;
    add("console", "[vm.a]\nmem = 256\ncommand = [\"sh\", \"-c\", \"stty raw -echo; echo go; cat\"]\n"
                   "ready.console = \"go\"\n")
        .steps = {console("hello there", 1, "hello there$"), console("x", 20'000, "^x{20000}$"),
                  console("y", 1, "^y$")};
    RunOptions options;
    options.artifacts = dir_;
    const RunReport report = run(options);
    for (const CaseResult& result : report.results) { EXPECT_EQ(result.outcome, Outcome::passed) << result; }
    const std::string kept = result_of(report, "answers").artifacts;
    EXPECT_THAT(read(kept + "/command-lines"), HasSubstr("qemu-system-x86_64"));
    EXPECT_THAT(read(kept + "/a/plan.json"), HasSubstr("\"qemu\""));
    EXPECT_TRUE(fs::exists(kept + "/a/console.log"));
    EXPECT_THAT(read(result_of(report, "console").artifacts + "/a/console.log"), HasSubstr("hello there"));
}

TEST_F(Runs, MachinesAreStoppedKilledRestartedAndReadBack) {
    using Verb = VmStep::Verb;
    for (const Verb ending : {Verb::stop, Verb::kill}) {
        add(ending == Verb::stop ? "stopped" : "killed", with_volume).steps = {
            guest("echo kept > /data/file; echo two > /data/other; sync"), vm(ending), volume("/file", "kept"),
            volume("/other", "two")};
    }
    add("continued", with_volume).steps = {guest("echo kept > /data/file; sync"),
                                           vm(Verb::stop),
                                           volume("/file", "kept"),
                                           vm(Verb::start),
                                           guest("cat /data/file; echo $word; echo more >> /data/file", "kept\nkept"),
                                           vm(Verb::stop),
                                           volume("/file", "kept\nmore")};
    specs_.cases.back().steps[2].capture = {{text("word"), text("[a-z]+")}};
    add("wrong", with_volume).steps = {vm(Verb::stop), volume("/nothing", "")};
    add("restarted", with_volume).steps = {
        guest("echo kept > /data/file; cat /proc/sys/kernel/random/boot_id"), vm(Verb::restart),
        guest("test \"$(cat /proc/sys/kernel/random/boot_id)\" != \"$boot\" && cat /data/file", "kept"),
        vm(Verb::reboot), guest("cat /data/file", "kept")};
    specs_.cases.back().steps[0].capture = {{text("boot"), text("[-0-9a-f]+")}};
    add("ends", machine).steps = {guest("(sleep 0.5; poweroff) &"), vm(Verb::wait)};
    specs_.cases.back().steps[1].expect.equals = text("poweroff");
    add("command", "[vm.a]\nmem = 256\ncommand = [\"sh\", \"-c\", \"read x; exit 3\"]\n").steps = {
        console("x\n", 1, ""), with_status(vm(Verb::wait), "3")};
    add("falls", machine).steps = {guest("(sleep 0.5; poweroff) &"), guest("sleep 20")};
    const RunReport report = run();
    for (const char* name : {"stopped", "killed", "continued", "restarted", "ends", "command"}) {
        EXPECT_EQ(result_of(report, name).outcome, Outcome::passed) << result_of(report, name);
    }
    EXPECT_EQ(result_of(report, "wrong").outcome, Outcome::wrong) << result_of(report, "wrong");
    EXPECT_THAT(result_of(report, "wrong").message, HasSubstr("step 2: "));
    EXPECT_EQ(result_of(report, "falls").outcome, Outcome::wrong) << result_of(report, "falls");
    EXPECT_EQ(result_of(report, "falls").message, "step 2: a powered off");
}

TEST_F(Runs, CasesWithTheSameMachinesShareABoot) {
    for (const char* name : {"one", "two", "three"}) { add(name, machine).steps = {guest("true")}; }
    specs_.cases[1].isolated = true;
    RunOptions options;
    options.snapshots = false;
    const RunReport report = run(options);
    for (const CaseResult& result : report.results) { EXPECT_EQ(result.outcome, Outcome::passed) << result; }
    EXPECT_NE(result_of(report, "one").boot_ms, 0);
    EXPECT_NE(result_of(report, "two").boot_ms, 0);
    EXPECT_EQ(result_of(report, "three").boot_ms, 0);
}

TEST_F(Runs, IsolatedCasesGoOnFromOneSnapshotEachAsIfItHadBooted) {
    for (const char* name : {"one", "two", "three"}) {
        Case& which = add(name, with_volume);
        which.isolated = true;
        which.steps = {guest("mkdir /seen && mkdir /data/seen && cat /proc/sys/kernel/random/uuid"), guest("date +%s"),
                       host("test $(($(date +%s) - now)) -lt 60"), vm(VmStep::Verb::stop),
                       host("echo $uuid >> " + dir_ + "/uuids")};
        which.steps[0].capture = {{text("uuid"), text("[-0-9a-f]+")}};
        which.steps[1].capture = {{text("now"), text("[0-9]+")}};
    }
    fs::create_directories(dir_);
    RunOptions options;
    options.artifacts = dir_;
    const RunReport report = run(options);
    int from_snapshot = 0;
    for (const CaseResult& result : report.results) {
        EXPECT_EQ(result.outcome, Outcome::passed) << result;
        EXPECT_NE(result.boot_ms, 0);
        from_snapshot += read(result.artifacts + "/result.json").find("goes on from a snapshot") != std::string::npos;
    }
    EXPECT_EQ(from_snapshot, 2);
    std::istringstream uuids(read(dir_ + "/uuids"));
    std::set<std::string> different;
    for (std::string uuid; uuids >> uuid;) { different.insert(uuid); }
    EXPECT_EQ(different.size(), 3U) << "each has random numbers of its own";
}

TEST_F(Runs, MachinesArePausedAndSavedAndGiveMemory) {
    using Verb = VmStep::Verb;
    add("paused", machine).steps = {guest("echo before > /file"), vm(Verb::pause), vm(Verb::resume),
                                    guest("cat /file", "before")};
    add("saved", with_volume).steps = {guest("echo before > /data/file; echo before > /file"), vm(Verb::snapshot),
                                       guest("echo after > /data/file; echo after > /file; sync"), vm(Verb::restore),
                                       guest("cat /data/file /file", "before\nbefore")};
    Step inflate = vm(Verb::balloon);
    std::get<VmStep>(inflate.what).balloon = text("192"); // of 256
    Step much = guest("awk '/^MemAvailable/ {print int($2 / 1024)}' /proc/meminfo");
    much.expect.max = text("150");
    much.within_ms = 60'000;
    add("balloon", "[vm.a]\nmem = 256\nballoon = true\n").steps = {inflate, much};
    const RunReport report = run();
    for (const CaseResult& result : report.results) { EXPECT_EQ(result.outcome, Outcome::passed) << result; }
}

TEST_F(Runs, AFailureSpoilsNoCaseBehindIt) {
    add("before", machine).steps = {guest("echo c > /proc/sysrq-trigger")};
    add("behind", machine).steps = {guest("true")};
    const RunReport report = run();
    EXPECT_EQ(result_of(report, "before").outcome, Outcome::panic) << result_of(report, "before");
    EXPECT_EQ(result_of(report, "behind").outcome, Outcome::passed) << result_of(report, "behind");
}

TEST_F(Runs, FailFastBeginsNothingNew) {
    add("before", machine).steps = {guest("false")};
    add("behind", machine).steps = {guest("true")};
    RunOptions options;
    options.fail_fast = true;
    options.jobs = 1;
    const RunReport report = run(options);
    EXPECT_EQ(result_of(report, "before").outcome, Outcome::wrong);
    EXPECT_EQ(result_of(report, "before").message, "step 1: expected status 0, got 1");
    EXPECT_EQ(result_of(report, "behind").outcome, Outcome::skipped);
    EXPECT_THAT(result_of(report, "behind").message, HasSubstr("before failed"));
}

TEST_F(Runs, AFailedCaseIsTriedAgainInABootOfItsOwn) {
    fs::create_directories(dir_);
    // Fails the first time that it is tried.
    add("flaky", machine).steps = {host("mkdir " + dir_ + "/seen || exit 0; exit 1")};
    add("broken", machine).steps = {guest("false")};
    RunOptions options;
    options.retry_failed = true;
    const RunReport report = run(options);
    ASSERT_EQ(report.results.size(), 2U);
    EXPECT_EQ(result_of(report, "flaky").outcome, Outcome::passed) << result_of(report, "flaky");
    EXPECT_EQ(result_of(report, "flaky").attempt, 2U);
    EXPECT_EQ(result_of(report, "broken").outcome, Outcome::wrong);
    EXPECT_EQ(result_of(report, "broken").attempt, 2U);
}

TEST_F(Runs, ACaseHasADirectoryThatIsPreparedAndTakenAway) {
    const std::string outside = dir_ + "-outside";
    for (const char* name : {"good", "bad", "unprepared"}) {
        Case& which =
            add(name, "[vm.a]\nmem = 256\nshares.s = { source = \"/<scratch>/data\", mount-point = \"/s\" }\n");
        which.apart = true;
        const auto in_shell = [](const std::string& script) {
            return HostStep{{text("sh"), text("-c"), text(script)}};
        };
        which.prepare = {in_shell("mkdir $scratch/data && echo there > $scratch/data/file"),
                         in_shell(std::string(name) == "unprepared" ? "echo why >&2; exit 3" : "true"),
                         {{text("touch"), text("${scratch}/prepared")}}};
        which.cleanup = {in_shell("test -e $scratch/data && echo " + std::string(name) + " $scratch >> " + outside)};
        which.steps = {guest("cat /s/file; echo back > /s/back", "there"),
                       host("cat $scratch/data/back $scratch/prepared")};
        which.steps[1].expect.equals = text(std::string(name) == "bad" ? "nothing" : "back");
    }
    RunOptions options;
    options.repeat = 2;
    const RunReport report = run(options);
    ASSERT_EQ(report.results.size(), 6U);
    const auto count = [&](const std::string& name, Outcome outcome) {
        return std::ranges::count_if(
            report.results, [&](const CaseResult& each) { return each.spec == name && each.outcome == outcome; });
    };
    EXPECT_EQ(count("good", Outcome::passed), 2) << report.results[0];
    EXPECT_EQ(count("bad", Outcome::wrong), 2);
    EXPECT_EQ(count("unprepared", Outcome::error), 2);
    EXPECT_THAT(result_of(report, "unprepared").message, HasSubstr("prepare: sh -c"));
    EXPECT_THAT(result_of(report, "unprepared").message, HasSubstr("status 3: why"));
    std::istringstream lines(read(outside));
    std::set<std::string> directories;
    for (std::string name, directory; lines >> name >> directory;) {
        EXPECT_FALSE(fs::exists(directory));
        directories.insert(directory);
    }
    EXPECT_EQ(directories.size(), 6U) << "each run had its own, whatever came of it\n" << read(outside);
    fs::remove(outside);
}

TEST_F(Runs, MachinesBecomeWhatTheTextSaysThen) {
    const auto apply = [this](const std::string& toml) {
        add("text", toml);
        Step step;
        step.what = ApplyStep{std::make_shared<const Config>(specs_.cases.back().config)};
        step.timeout_ms = 120'000;
        specs_.cases.pop_back();
        return step;
    };
    const auto volume_of = [](int mib) {
        return "[vm.a]\nmem = 256\nforward-ports.web.guest.port = 80\nvolumes.data = { size = " + std::to_string(mib) +
               ", mount-point = \"/data\" }\n";
    };
    std::vector<Step> steps{guest("echo kept > /data/file; sync"),
                            apply(volume_of(64)),
                            apply(volume_of(64)),
                            guest("cat /data/file", "kept"),
                            apply("[vm.a]\nmem = 256\nvcpu = 2\n"),
                            guest("nproc; mount | grep -c /data", "2\n0"),
                            apply(volume_of(32))};
    steps[1].expect.equals = text("a in-place");
    steps[2].expect.equals = text("a none");
    steps[4].expect.equals = text("a restart");
    steps[5].expect.status = text("1");
    add("changed", volume_of(48)).steps = steps;
    const RunReport report = run();
    EXPECT_EQ(only(report).outcome, Outcome::error) << only(report);
    EXPECT_THAT(only(report).message, HasSubstr("step 7: "));
    EXPECT_THAT(only(report).message, HasSubstr("can't shrink to 32MiB")) << "a volume never shrinks";
}

TEST_F(Runs, RoundsAreRunsOfTheirOwn) {
    add("it", machine).steps = {guest("mkdir /seen")};
    RunOptions options;
    options.repeat = 2;
    const RunReport report = run(options);
    ASSERT_EQ(report.results.size(), 2U);
    for (const CaseResult& result : report.results) { EXPECT_EQ(result.outcome, Outcome::passed) << result; }
}

TEST_F(Runs, ACasesTimeIsBounded) {
    Case& slow = add("slow", machine);
    slow.steps = {guest("sleep 100")};
    slow.steps[0].timeout_ms = 200'000;
    RunOptions options;
    options.timeout_ms = 12'000;
    const RunReport report = run(options);
    EXPECT_EQ(result_of(report, "slow").outcome, Outcome::hang) << result_of(report, "slow");
    EXPECT_LT(result_of(report, "slow").duration_ms, 60'000);
}

TEST_F(Runs, AllOfItIsBounded) {
    for (const char* name : {"one", "two", "three"}) {
        add(name, machine).steps = {guest("sleep 100")};
        specs_.cases.back().isolated = true;
    }
    RunOptions options;
    options.jobs = 1;
    options.snapshots = false;
    options.run_timeout_ms = 12'000;
    const RunReport report = run(options);
    EXPECT_EQ(report.count(Outcome::hang), 1U);
    EXPECT_EQ(report.count(Outcome::skipped), 2U) << "those that waited";
    for (const CaseResult& result : report.results) {
        EXPECT_THAT(result.message, HasSubstr("the 12s of the run are over")) << result;
    }
    EXPECT_LT(report.duration_ms, 60'000);
}

TEST_F(Runs, WhatAHypervisorCantDoIsSkippedWithItsReason) {
    add("mistake", "[vm.a]\nshares.s = { source = \"/nonexistent\", mount-point = \"/s\" }\n").steps = {guest("true")};
    add("dax", "[vm.a]\nshares.s = { source = \"/\", mount-point = \"/s\", dax = true }\n").steps = {guest("true")};
    add("excluded", machine).not_on = {{.hypervisor = "qemu", .accel = {}, .interpreted = {}}};
    add("other", "[vm.a]\naccel = \"kvm\"\n").steps = {guest("true")};
    const RunReport report = run();
    EXPECT_EQ(result_of(report, "dax").outcome, Outcome::skipped);
    EXPECT_THAT(result_of(report, "dax").message, HasSubstr("no window to map files into"));
    EXPECT_EQ(result_of(report, "excluded").outcome, Outcome::skipped);
    EXPECT_EQ(result_of(report, "other").outcome, Outcome::skipped);
    EXPECT_EQ(result_of(report, "mistake").outcome, Outcome::error);
    EXPECT_EQ(result_of(report, "mistake").message, "there is no directory `/nonexistent`");
    EXPECT_THAT(result_of(report, "mistake").timeline.at(0).text, HasSubstr("mistake.toml:2:"));
}

TEST_F(Runs, AMissingHypervisorIsSkippedUnlessItIsRequired) {
    add("it", machine).steps = {guest("true")};
    Target missing;
    missing.hypervisor = "qemu";
    missing.accel = "kvm";
    missing.unusable = "it is not there";
    targets_ = {missing};
    EXPECT_EQ(run().results.at(0).outcome, Outcome::skipped);
    RunOptions options;
    options.require = {"qemu:kvm"};
    const RunReport report = run(options);
    EXPECT_EQ(report.results.at(0).outcome, Outcome::error);
    EXPECT_EQ(report.results.at(0).message, "it is required, and it is not there");
}

TEST_F(Runs, AnInterruptLeavesNothing) {
    for (const char* name : {"one", "two", "three"}) { add(name, machine).steps = {guest("sleep 100")}; }
    specs_.cases[2].isolated = true;
    ::sigset_t interrupt;
    ::sigemptyset(&interrupt);
    ::sigaddset(&interrupt, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &interrupt, nullptr); // for the thread as well: the run must get it
    std::thread interrupter([self = ::getpid()] {
        std::this_thread::sleep_for(std::chrono::seconds(6));
        ::kill(self, SIGINT);
    });
    const RunReport report = run();
    interrupter.join();
    ::pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
    EXPECT_EQ(report.results.size(), 3U);
    EXPECT_EQ(report.count(Outcome::passed), 0U);
    EXPECT_GE(report.count(Outcome::error), 1U);
    EXPECT_LT(report.duration_ms, 60'000);
}

TEST_F(Runs, WhatIsKeptStays) {
    add("it", machine).steps = {guest("false")};
    RunOptions options;
    options.keep = true;
    const RunReport report = run(options);
    const CaseResult& result = report.results.at(0);
    EXPECT_EQ(result.outcome, Outcome::wrong);
    const std::string& last = result.timeline.back().text;
    const std::size_t at = last.find("MICROVMC_STATE_DIR=");
    ASSERT_NE(at, std::string::npos) << result;
    const std::string state = last.substr(at + 19, last.find(' ', at) - at - 19);
    EXPECT_TRUE(fs::exists(state + "/projects"));
    EXPECT_FALSE(processes_of_runs().empty());
    for (const std::string& path : runs_left()) { EXPECT_TRUE(remove_run(path)); }
}

} // namespace microvmc::testkit
