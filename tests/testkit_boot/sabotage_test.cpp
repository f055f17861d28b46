#include "runtime/backend.h"
#include "runtime/backends/list.h"
#include "tests/testkit_boot/cases.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <functional>

// Proof that a run can fail: a QEMU that is given another command line than the plan says, guests that panic and hang,
// and processes that are killed. Each must be told apart from the others.

namespace microvmc::testkit {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

using Spoil = std::function<void(std::vector<std::string>& argv)>;
Spoil spoil; // lower is a plain function

Lowered spoiled_lower(const VmPlan& vm, const std::string& initramfs) {
    Lowered lowered = qemu.lower(vm, initramfs);
    if (spoil) { spoil(lowered.children.back().argv); }
    return lowered;
}

const Backend& spoiled_qemu() {
    static const Backend spoiled = [] {
        Backend backend = qemu;
        backend.lower = spoiled_lower;
        return backend;
    }();
    return spoiled;
}

void replace(std::string& text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    if (at != std::string::npos) { text.replace(at, from.size(), to); }
}

/// In each argument that has it.
Spoil replacing(const std::string& from, const std::string& to) {
    return [from, to](std::vector<std::string>& argv) {
        for (std::string& word : argv) { replace(word, from, to); }
    };
}

} // namespace

class Sabotage : public CasesTest {
protected:
    Sabotage() : stand_ins_({&spoiled_qemu()}) {}
    ~Sabotage() override {
        spoil = nullptr;
        fs::remove_all(dir_);
    }

    const CaseResult& only(const RunReport& report) { return report.results.at(0); }
    std::string directory(const std::string& name, const std::string& file, const std::string& content) {
        fs::create_directories(dir_ + "/" + name);
        std::ofstream(dir_ + "/" + name + "/" + file) << content;
        return dir_ + "/" + name;
    }

    std::string dir_ = fs::temp_directory_path().string() + "/sabotage-" + std::to_string(::getpid());
    StandInBackends stand_ins_;
};

TEST_F(Sabotage, AVolumeThatIsReadOnlyIsWrong) {
    spoil = replacing("read-only=off", "read-only=on");
    add("volume", "[vm.a]\nmem = 256\nvolumes.v = { size = 16, mount-point = \"/v\" }\n").steps = {
        guest("echo x > /v/x")};
    const RunReport report = run();
    EXPECT_EQ(only(report).outcome, Outcome::wrong) << only(report);
    EXPECT_THAT(only(report).message, HasSubstr("/v"));
}

TEST_F(Sabotage, AShareWithAnotherSourceIsWrong) {
    const std::string right = directory("right", "file", "right");
    const std::string other = directory("other", "file", "other");
    spoil = replacing(right, other);
    add("share", "[vm.a]\nmem = 256\nshares.s = { source = \"" + right + "\", mount-point = \"/s\", proto = \"9p\" }\n")
        .steps = {guest("cat /s/file", "right")};
    const RunReport report = run();
    EXPECT_EQ(only(report).outcome, Outcome::wrong) << only(report);
    EXPECT_EQ(only(report).message, "step 1: expected \"right\", got \"other\"");
}

TEST_F(Sabotage, AForwardThatIsMissingIsWrong) {
    spoil = [](std::vector<std::string>& argv) {
        for (std::string& word : argv) {
            const std::size_t at = word.find(",hostfwd=");
            if (at != std::string::npos) { word.erase(at, word.find(',', at + 1) - at); }
        }
    };
    Step http;
    http.what = HttpStep{text("http://127.0.0.1:${vm.a.forward-ports.web.host.port}/index.html")};
    http.timeout_ms = 5'000;
    http.within_ms = 3'000;
    add("forward", "[vm.a]\nmem = 256\nforward-ports.web.guest.port = 80\n").steps = {
        guest("mkdir /www; echo hello > /www/index.html; httpd -h /www"), http};
    RunReport report = run();
    EXPECT_EQ(only(report).outcome, Outcome::wrong) << only(report);
    EXPECT_EQ(only(report).message, "step 2: connection refused");
    spoil = nullptr;
    report = run();
    EXPECT_EQ(only(report).outcome, Outcome::passed) << only(report);
}

TEST_F(Sabotage, ABalloonThatDoesNothingIsWrong) {
    spoil = replacing("rdinit=/microvmc/init", "rdinit=/microvmc/init module_blacklist=virtio_balloon");
    Step balloon = vm(VmStep::Verb::balloon);
    balloon.what = VmStep{VmStep::Verb::balloon, text("128")};
    balloon.timeout_ms = 5'000;
    add("balloon", "[vm.a]\nmem = 256\nballoon = true\n").steps = {balloon};
    RunReport report = run();
    EXPECT_EQ(only(report).outcome, Outcome::wrong) << only(report);
    EXPECT_THAT(only(report).message, HasSubstr("step 1: a: "));
    spoil = nullptr;
    specs_.cases.front().steps.front().timeout_ms = 60'000;
    report = run();
    EXPECT_EQ(only(report).outcome, Outcome::passed) << only(report);
}

TEST_F(Sabotage, AVmmThatIsKilledIsACrash) {
    // Whatever time a boot takes: it may also be killed before.
    spoil = [](std::vector<std::string>& argv) {
        argv.insert(argv.begin(), {"/usr/bin/timeout", "--foreground", "-s", "KILL", "8"});
    };
    add("killed", "[vm.a]\nmem = 256\n").steps = {guest("sleep 100")};
    const RunReport report = run();
    EXPECT_EQ(only(report).outcome, Outcome::crash) << only(report);
}

TEST_F(Sabotage, AVmmThatRefusesItsCommandLineIsACrash) {
    spoil = replacing("virtio-rng-device", "virtio-nothing-device");
    add("refused", "[vm.a]\nmem = 256\n").steps = {guest("true")};
    const RunReport report = run();
    EXPECT_EQ(only(report).outcome, Outcome::crash) << only(report);
    EXPECT_THAT(only(report).message, HasSubstr("virtio-nothing-device"));
}

TEST_F(Sabotage, AGuestThatPanicsIsAPanic) {
    spoil = replacing("rdinit=/microvmc/init", "rdinit=/microvmc/nothing");
    add("at-boot", "[vm.a]\nmem = 256\n").steps = {guest("true")};
    RunReport report = run();
    EXPECT_EQ(only(report).outcome, Outcome::panic) << only(report);
    EXPECT_THAT(only(report).console, HasSubstr("Kernel panic"));
    spoil = nullptr;
    specs_.cases.front().steps = {guest("echo c > /proc/sysrq-trigger; sleep 100")};
    report = run();
    EXPECT_EQ(only(report).outcome, Outcome::panic) << only(report);
    EXPECT_THAT(only(report).message, HasSubstr("sysrq triggered crash"));
}

TEST_F(Sabotage, AGuestThatHangsIsAHang) {
    spoil = [](std::vector<std::string>& argv) { argv.push_back("-S"); };
    add("at-boot", "[vm.a]\nmem = 256\nstartup-timeout = 5\n").steps = {guest("true")};
    RunReport report = run();
    EXPECT_EQ(only(report).outcome, Outcome::hang) << only(report);
    EXPECT_EQ(only(report).message, "a was not ready within 5s: waiting for the guest's init to come up");
    spoil = nullptr;
    specs_.cases.clear();
    Step endless = guest("sleep 1000");
    endless.timeout_ms = 2'000;
    add("in-a-step", "[vm.a]\nmem = 256\n").steps = {endless};
    report = run();
    EXPECT_EQ(only(report).outcome, Outcome::hang) << only(report);
    EXPECT_EQ(only(report).message, "step 1: nothing within 2s: guest sleep 1000");
}

TEST_F(Sabotage, AWorkerThatIsKilledSpoilsItsCaseAlone) {
    Step suicide;
    suicide.what = HostStep{{text("sh"), text("-c"), text("kill -9 $PPID; sleep 100")}};
    suicide.timeout_ms = 60'000;
    add("before", "[vm.a]\nmem = 256\n").steps = {guest("true")};
    add("at-it", "[vm.a]\nmem = 256\n").steps = {suicide};
    add("after", "[vm.a]\nmem = 256\n").steps = {guest("true")};
    const RunReport report = run();
    EXPECT_EQ(result_of(report, "before").outcome, Outcome::passed) << result_of(report, "before");
    EXPECT_EQ(result_of(report, "at-it").outcome, Outcome::error) << result_of(report, "at-it");
    EXPECT_EQ(result_of(report, "at-it").message, "the process that ran it was killed by signal 9");
    EXPECT_EQ(result_of(report, "after").outcome, Outcome::passed) << result_of(report, "after");
}

} // namespace microvmc::testkit
