#include "runtime/error.h"
#include "runtime/supervisor/cgroup.h"
#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <thread>
#include <unistd.h>

// What children may use of the host, by a real cgroup v2. A host that gives its controllers to cgroup v1 skips most;
// tests/boot runs these in a guest, whose kernel has them.

namespace microvmc::test {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

namespace {

bool can_limit(const std::string& controller) {
    const auto usable = supervisor::usable_controllers();
    return std::ranges::find(usable, controller) != usable.end();
}

class LimitsOf : public MachineTest {
protected:
    Launch limited(std::vector<std::string> argv, Limits limits) const {
        Launch launch = plain(std::move(argv));
        launch.limits = std::move(limits);
        return launch;
    }
};

// utime and stime; proc(5).
double cpu_seconds(pid_t pid) {
    std::string text = read_text("/proc/" + std::to_string(pid) + "/stat");
    text.erase(0, text.rfind(')') + 2);
    std::istringstream fields(text);
    std::string skipped;
    for (int i = 3; i < 14; ++i) { fields >> skipped; }
    double user = 0;
    double system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

} // namespace

TEST_F(LimitsOf, TheProcessor) {
    if (!can_limit("cpu")) { GTEST_SKIP() << "no cpu controller in cgroup v2 here"; }
    const auto begin = std::chrono::steady_clock::now();
    const Started started = start(limited({"/bin/sh", "-c", "while :; do :; done"}, {.cpu = 0.2}));
    std::this_thread::sleep_for(3s);
    const double used = cpu_seconds(started.vmm);
    EXPECT_LT(used, seconds_since(begin) * 0.2 + 0.3);
    EXPECT_GT(used, 0.05);
}

TEST_F(LimitsOf, Memory) {
    if (!can_limit("memory")) { GTEST_SKIP() << "no memory controller in cgroup v2 here"; }
    const std::vector<std::string> hungry{"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=60M", "count=1"};
    start(limited(hungry, {.mem_mib = 600}));
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
    start(limited(hungry, {.mem_mib = 40}));
    EXPECT_THAT(ended().detail, HasSubstr("killed by signal 9"));
}

TEST_F(LimitsOf, Processes) {
    if (!can_limit("pids")) { GTEST_SKIP() << "no pids controller in cgroup v2 here"; }
    start(limited({"/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all; exec sleep 1000"},
                  {.pids = 5}));
    EXPECT_TRUE(eventually([this] { return vmm_log().find("annot fork") != std::string::npos; })) << vmm_log();
    EXPECT_EQ(console_log(), "");
}

TEST_F(LimitsOf, WritingToADisk) {
    if (!can_limit("io")) { GTEST_SKIP() << "no io controller in cgroup v2 here"; }
    const std::string file = fs::current_path().string() + "/limited-io";
    const auto seconds = [&](std::uint64_t mib) {
        const auto begin = std::chrono::steady_clock::now();
        start(limited({"/bin/dd", "if=/dev/zero", "of=" + file, "bs=1M", "count=12", "oflag=direct"},
                      {.io_write_mib = mib, .io_paths = {fs::current_path().string()}}));
        EXPECT_EQ(ended().kind, End::Kind::poweroff) << vmm_log();
        return seconds_since(begin);
    };
    EXPECT_GT(seconds(3), 2.5);
    EXPECT_LT(seconds(3000), 2.5);
    fs::remove(file);
}

TEST_F(LimitsOf, WhereTheyCannotBeSetNothingStarts) {
    if (can_limit("cpu")) { GTEST_SKIP() << "they can be set here"; }
    try {
        start(limited({"/bin/cat"}, {.cpu = 1}));
        FAIL() << "it started without its limit";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("no cgroup in which you may make one has the controllers cpu"));
    }
    EXPECT_FALSE(is_locked(run_));
}

TEST_F(LimitsOf, AFileSystemOnNoDiskHasNone) {
    if (!can_limit("io")) { GTEST_SKIP() << "no io controller in cgroup v2 here"; }
    try {
        start(limited({"/bin/cat"}, {.io_read_mib = 1, .io_paths = {"/proc/self/status"}}));
        FAIL() << "it started without its limit";
    } catch (const Error& error) { EXPECT_THAT(error.what(), HasSubstr("to be on a disk")); }
}

} // namespace microvmc::test
