// kill -9 of the VMM, the supervisor, both, or the command itself at random moments of apply and stop: the next apply
// succeeds, the volume's data is intact, and nothing of ours is left at the end. MICROVMC_CRASHES says how many kills
// (ci/crash: 100).

#include "tests/boot/cli.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <random>
#include <sys/wait.h>
#include <thread>

namespace microvmc::boot {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The first boot writes a file and its checksum; every boot checks them before it serves.
constexpr const char* config = R"(name = "crash"
[vm.web]
command = ["sh", "-c", """
  if [ ! -f /data/sum ]; then
    dd if=/dev/urandom of=/data/blob bs=64k count=32 2>/dev/null && sync &&
    md5sum /data/blob > /data/sum.new && sync && mv /data/sum.new /data/sum && sync
  fi
  md5sum -c /data/sum || exit 3
  date >> /data/boots
  exec httpd -f -p 80 -h /data
"""]
volumes.data = { size = "32MiB", mount-point = "/data" }
forward-ports.web.guest.port = 80
ready.http = ":80/sum"
)";

enum class Victim { vmm, supervisor, both, command };
constexpr std::array names{"the VMM", "the supervisor", "VMM and supervisor", "the command"};

void kill_victim(const Cli& cli, Victim victim, pid_t command) {
    if (victim == Victim::command) {
        ::kill(command, SIGKILL);
        return;
    }
    for (const auto& [pid, name] : cli.processes()) {
        const bool is_vmm = name.starts_with("qemu-system");
        const bool is_supervisor = name == "microvmc-supervisor";
        if ((is_vmm && victim != Victim::supervisor) || (is_supervisor && victim != Victim::vmm)) {
            ::kill(pid, SIGKILL);
        }
    }
}

std::string file_text(const std::string& path) {
    return run_program({"cat", path}).out;
}

int crashes() {
    const char* text = std::getenv("MICROVMC_CRASHES");
    return text == nullptr ? 25 : std::atoi(text);
}

} // namespace

TEST(Crash, TheNextApplySucceedsAndNoDataIsLost) {
    const Cli cli;
    cli.write("microvm.toml", config);
    const unsigned seed = std::random_device{}();
    std::mt19937 random(seed);
    RecordProperty("seed", static_cast<int>(seed));
    const auto pick = [&random](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };

    Clock::time_point begin = Clock::now();
    Ran ran = cli.run({"apply", "--yes", "microvm.toml"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const auto apply_time = std::chrono::duration_cast<milliseconds>(Clock::now() - begin);

    for (int i = 0; i < crashes(); ++i) {
        const bool during_stop = pick(3) == 0;
        const auto victim = static_cast<Victim>(pick(4));
        if (!during_stop) {
            ran = cli.run({"stop", "microvm.toml"});
            ASSERT_EQ(ran.status, 0) << ran.err;
        }
        const int window = during_stop ? 600 : static_cast<int>(apply_time.count()) + 200;
        const int moment = pick(window);
        SCOPED_TRACE(fmt::format("seed {}, kill {}: {} after {} ms of {}", seed, i,
                                 names[static_cast<std::size_t>(victim)], moment, during_stop ? "stop" : "apply"));
        const pid_t command =
            during_stop ? cli.start({"stop", "microvm.toml"}) : cli.start({"apply", "--yes", "microvm.toml"});
        std::this_thread::sleep_for(milliseconds(moment));
        kill_victim(cli, victim, command);
        int status = 0;
        begin = Clock::now();
        while (::waitpid(command, &status, WNOHANG) == 0) {
            ASSERT_LT(Clock::now() - begin, std::chrono::seconds(90)) << "the command hangs\n" << file_text(cli.log());
            std::this_thread::sleep_for(milliseconds(10));
        }
        ran = cli.run({"apply", "--yes", "microvm.toml"});
        ASSERT_EQ(ran.status, 0) << ran.out << ran.err << file_text(cli.state() + "/projects/crash/web/console.log");
    }

    ran = cli.run({"stop", "microvm.toml"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_TRUE(cli.processes().empty());
    EXPECT_TRUE(cli.leftovers().empty()) << cli.leftovers().front();
    const std::string image = cli.state() + "/projects/crash/web/volumes/data.img";
    const Ran fsck = run_program({"e2fsck", "-fn", image});
    EXPECT_EQ(fsck.status, 0) << fsck.out;
    ran = run_program({"debugfs", "-R", "cat /boots", image});
    const auto boots = std::count(ran.out.begin(), ran.out.end(), '\n');
    EXPECT_GT(boots, crashes() / 2) << "the volume is the one that all of them booted with";
    std::cout << fmt::format("{} kills, {} boots served from the same volume\n", crashes(), boots);
}

} // namespace microvmc::boot
