// What is done to a guest that runs, through the command line: pausing, its balloon, snapshots. What the guest sees is
// asked of its agent, what the host sees of the kernel.

#include "runtime/executor.h"
#include "runtime/linux_host.h"
#include "runtime/lower.h"
#include "runtime/machine.h"
#include "runtime/snapshot.h"
#include "tests/boot/guest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>
#include <sys/stat.h>
#include <thread>

namespace microvmc::boot {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

constexpr const char* one_volume = "mem = \"192MiB\"\nvolumes.data = { size = \"32MiB\", mount-point = \"/data\" }\n";

} // namespace

TEST_F(OneMachine, ABalloonTakesMemoryFromGuestAndHostAndGivesItBack) {
    apply("mem = \"384MiB\"\nballoon = true\n");
    EXPECT_EQ(done({"balloon", "a", "-p", "c"}), "a  balloon 0MiB, 384MiB left to the guest\n");
    // So that the host has given the guest what it has.
    guest("dd if=/dev/zero of=/run/fill bs=1M count=140 && rm /run/fill");
    const std::uint64_t free_before = mem_free_mib(machine());
    const std::uint64_t resident_before = resident_mib(machine());

    EXPECT_EQ(done({"balloon", "a", "192MiB", "-p", "c"}), "a  balloon 192MiB, 192MiB left to the guest\n");
    EXPECT_LE(mem_free_mib(machine()), free_before - 160) << "the guest has given nothing";
    EXPECT_LE(resident_mib(machine()), resident_before - 90) << "the host has got nothing";

    EXPECT_EQ(done({"balloon", "a", "0", "-p", "c"}), "a  balloon 0MiB, 384MiB left to the guest\n");
    EXPECT_GE(mem_free_mib(machine()), free_before - 20);

    // More than the guest can give: it says how far it got.
    Ran ran = cli.run({"balloon", "a", "380MiB", "--timeout", "2", "-p", "c"});
    EXPECT_EQ(ran.status, 3) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("after 2s, not 380MiB"));
    done({"balloon", "a", "0", "-p", "c"});
    ran = cli.run({"balloon", "a", "384MiB", "-p", "c"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.err, HasSubstr("would take all of the guest's 384 MiB"));
}

TEST_F(OneMachine, ABalloonIsInflatedAtEveryBoot) {
    apply("mem = \"256MiB\"\nballoon = true\ninitial-balloon-mem = \"96MiB\"\n");
    const auto inflated = [this] {
        for (int i = 0; i < 300; ++i) {
            if (done({"balloon", "a", "-p", "c"}) == "a  balloon 96MiB, 160MiB left to the guest\n") { return true; }
            std::this_thread::sleep_for(100ms);
        }
        return false;
    };
    EXPECT_TRUE(inflated());
    EXPECT_LE(mem_free_mib(machine()), 160U);
    reboot_guest();
    EXPECT_TRUE(inflated());
}

TEST_F(OneMachine, StatsAreOfThisMachine) {
    apply("mem = \"256MiB\"\nballoon = true\nvolumes.data = { size = \"32MiB\", mount-point = \"/data\" }\n");
    const auto stats = [this] { return nlohmann::json::parse(done({"stats", "--json", "-p", "c"})).at("vms").at(0); };
    const auto before = stats();
    EXPECT_EQ(before.at("name"), "a");
    EXPECT_EQ(before.at("mem-mib"), 256);
    EXPECT_EQ(before.at("balloon-mib"), 0);
    const auto guest_free = before.at("guest").at("free").get<std::uint64_t>() >> 20U;
    EXPECT_NEAR(static_cast<double>(guest_free), static_cast<double>(mem_free_mib(machine())), 12);
    EXPECT_NEAR(static_cast<double>(before.at("vmm").at("resident-bytes").get<std::uint64_t>() >> 20U),
                static_cast<double>(resident_mib(machine())), 30);
    guest("dd if=/dev/urandom of=/data/blob bs=1M count=8; sync; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    const auto after = stats();
    const auto grown = [&](const char* part, const char* key) {
        const auto get = [&](const nlohmann::json& all) {
            const auto& one = std::string(part) == "volumes" ? all.at(part).at("data") : all.at(part);
            return one.at(key).get<std::uint64_t>();
        };
        return get(after) - get(before);
    };
    EXPECT_GE(grown("volumes", "written-bytes"), 8U << 20U);
    EXPECT_LT(grown("volumes", "written-bytes"), 32U << 20U);
    EXPECT_GT(grown("vmm", "cpu-ms"), 0U);
    EXPECT_THAT(done({"stats", "-p", "c"}), HasSubstr("\na "));
    done({"stop", "-p", "c"});
    EXPECT_EQ(done({"stats", "-p", "c"}), "Nothing runs.\n");
}

TEST_F(OneMachine, WithoutABalloonThatIsSaid) {
    apply("mem = \"192MiB\"\n");
    const Ran ran = cli.run({"balloon", "a", "64", "-p", "c"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.err, HasSubstr("a has no balloon"));
    EXPECT_THAT(ran.err, HasSubstr("balloon = true"));
}

TEST_F(OneMachine, FreePagesGoBackByThemselves) {
    apply("mem = \"384MiB\"\nballoon = \"auto\"\n");
    guest("dd if=/dev/zero of=/run/fill bs=1M count=140");
    const std::uint64_t full = resident_mib(machine());
    guest("rm /run/fill");
    std::uint64_t now = full;
    for (int i = 0; i < 300 && now > full - 90; ++i) {
        std::this_thread::sleep_for(100ms);
        now = resident_mib(machine());
    }
    EXPECT_LE(now, full - 90) << "what the guest freed stays with it";
}

TEST_F(OneMachine, PausedItStandsStillAndResumedItGoesOnWithTheRightTime) {
    apply("mem = \"192MiB\"\n");
    constexpr double pause = 6;
    const auto uptime = [this] { return std::strtod(guest("cat /proc/uptime").c_str(), nullptr); };
    const double guest_before = uptime();
    const double before = seconds_now();
    EXPECT_EQ(done({"pause", "a", "-p", "c"}), "a  paused\n");
    EXPECT_EQ(done({"pause", "a", "-p", "c"}), "a  was paused\n");
    EXPECT_EQ(status().at("state"), "paused");
    std::this_thread::sleep_for(std::chrono::duration<double>(pause));
    EXPECT_EQ(done({"resume", "a", "-p", "c"}), "a  runs on\n");
    EXPECT_EQ(done({"resume", "a", "-p", "c"}), "a  was not paused\n");
    const double ran = uptime() - guest_before;
    EXPECT_LE(ran, seconds_now() - before - pause) << "its clock ticked while it was paused";
    EXPECT_GT(ran, 0);
    EXPECT_EQ(status().at("state"), "ready");
    const double earliest = seconds_now() - 1.5;
    const double said = std::strtod(guest("date +%s").c_str(), nullptr);
    EXPECT_GE(said, earliest) << "its clock is behind by the pause";
    EXPECT_LE(said, seconds_now() + 1.5);

    // One that is paused is stopped all the same, without waiting until it is killed.
    done({"pause", "a", "-p", "c"});
    EXPECT_THAT(done({"stop", "a", "-p", "c"}), HasSubstr("powered off"));
}

TEST_F(OneMachine, ASnapshotIsGoneBackTo) {
    apply(one_volume);
    guest("echo one > /run/memory; echo one > /data/disk; sync");
    const std::string boot = guest("cat /proc/sys/kernel/random/boot_id");
    EXPECT_THAT(done({"snapshot", "a", "first", "-p", "c"}), HasSubstr("a  snapshot first in "));
    EXPECT_EQ(guest("cat /run/memory"), "one\n") << "it goes on";
    guest("echo two > /run/memory; echo two > /data/disk; sync");

    // The memory has secrets in it.
    const std::string directory = state() + "/snapshots/first";
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
        struct stat found {};
        ASSERT_EQ(::stat(entry.path().c_str(), &found), 0);
        EXPECT_EQ(found.st_mode & 07777, S_ISDIR(found.st_mode) ? 0700U : 0600U) << entry.path();
    }
    EXPECT_THAT(done({"snapshot", "a", "--list", "-p", "c"}), HasSubstr("\nfirst "));

    Ran ran = cli.run({"restore", "a", "first", "-p", "c"});
    EXPECT_EQ(ran.status, 1) << "it asks before it throws away what there is";
    EXPECT_THAT(ran.err, HasSubstr("What it has now is lost: its memory, volumes.data."));
    EXPECT_EQ(guest("cat /run/memory"), "two\n");

    EXPECT_THAT(done({"restore", "a", "--yes", "-p", "c"}), HasSubstr("a  restored from first of "));
    EXPECT_EQ(guest("cat /run/memory"), "one\n");
    EXPECT_EQ(guest("cat /data/disk"), "one\n");
    EXPECT_EQ(guest("cat /proc/sys/kernel/random/boot_id"), boot) << "it booted instead of going on";
    const double said = std::strtod(guest("date +%s").c_str(), nullptr);
    EXPECT_NEAR(said, seconds_now(), 5) << "its clock is as it was when it was saved";
    EXPECT_EQ(status().at("state"), "ready");
    EXPECT_EQ(std::distance(fs::directory_iterator(state() + "/volumes"), {}), 1)
        << "something is left beside the volume";
    EXPECT_THAT(done({"apply", "microvm.toml"}), HasSubstr("Nothing to do"));

    // What it writes now doesn't change the snapshot; a stopped machine goes on from it as well.
    guest("echo three > /data/disk; sync");
    done({"stop", "a", "-p", "c"});
    done({"restore", "a", "first", "--yes", "-p", "c"});
    EXPECT_EQ(guest("cat /data/disk /run/memory"), "one\none\n");

    // A reboot is a boot: nothing is loaded again.
    guest("echo four > /run/memory; echo four > /data/disk; sync");
    reboot_guest();
    EXPECT_NE(guest("cat /proc/sys/kernel/random/boot_id"), boot);
    EXPECT_EQ(guest("cat /data/disk"), "four\n");
    const Ran fsck = (done({"stop", "a", "-p", "c"}), run_program({"e2fsck", "-fn", state() + "/volumes/data.img"}));
    EXPECT_EQ(fsck.status, 0) << fsck.out;

    // A machine that is another by now can't.
    apply(std::string("vcpu = 2\n") + one_volume);
    ran = cli.run({"restore", "a", "--yes", "-p", "c"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.err, HasSubstr("a has changed since its snapshot first was taken: vcpu was 1, is 2"));

    ran = cli.run({"snapshot", "a", "first", "-p", "c"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.err, HasSubstr("a has a snapshot first already"));
    done({"snapshot", "a", "first", "--replace", "-p", "c"});
    guest("echo five > /data/disk; sync");
    done({"restore", "a", "--yes", "-p", "c"});
    EXPECT_EQ(guest("cat /data/disk; nproc"), "four\n2\n");
    done({"snapshot", "a", "first", "--delete", "-p", "c"});
    EXPECT_FALSE(fs::exists(directory));
    ran = cli.run({"restore", "a", "--yes", "-p", "c"});
    EXPECT_THAT(ran.err, HasSubstr("a has no snapshots"));
}

// Two that go on from one snapshot, at the same time and elsewhere, neither of which is the first.
TEST_F(OneMachine, RestoredElsewhereEachIsAnother) {
    apply(one_volume);
    guest("echo first > /data/disk; sync");
    const std::string directory = cli.dir() + "/saved";
    const Snapshot snapshot = take_snapshot(machine(), directory, {});
    guest("echo of the first > /data/disk; sync");

    const auto facts = [this](const std::string& name) {
        HostFacts there = nlohmann::json::parse(done({"doctor", "--json"})).get<HostFacts>();
        there.state_dir = cli.dir() + "/" + name + "/s";
        there.runtime_dir = cli.dir() + "/" + name + "/r";
        fs::create_directories(there.state_dir);
        fs::create_directories(there.runtime_dir);
        return there;
    };
    LinuxHost host(std::string(TEST_BINARY_DIR) + "/runtime/supervisor/microvmc-supervisor");
    std::vector<std::string> random{guest("head -c 16 /dev/urandom | md5sum")};
    std::vector<std::string> machines;
    for (const char* name : {"x", "y"}) {
        const HostFacts there = facts(name);
        const VmPlan vm = placed_at(snapshot, there.state_dir + "/projects/c/a", there.runtime_dir + "/c/a");
        perform(lower_restore("c", vm, read_snapshot(directory), {}, there), host, {});
        machines.push_back(vm.runtime_dir);
        random.push_back(in_guest(vm.runtime_dir, "head -c 16 /dev/urandom | md5sum"));
        EXPECT_EQ(in_guest(vm.runtime_dir, "cat /data/disk"), "first\n");
        in_guest(vm.runtime_dir, fmt::format("echo of {} > /data/disk; sync", name));
    }
    EXPECT_NE(random[1], random[2]) << "both have the same random numbers";
    EXPECT_NE(random[0], random[1]);
    EXPECT_EQ(guest("cat /data/disk"), "of the first\n");
    EXPECT_EQ(in_guest(machines[0], "cat /data/disk"), "of x\n");
    EXPECT_EQ(in_guest(machines[1], "cat /data/disk"), "of y\n");
    for (const std::string& one : machines) { stop_machine(one, 60s); }
}

TEST_F(OneMachine, WithAShareItIsNotSavedAndGoesOn) {
    cli.write("www/file", "text\n");
    apply("mem = \"192MiB\"\nshares.www = { source = \"www\", mount-point = \"/www\" }\n");
    Ran ran = cli.run({"snapshot", "a", "-p", "c"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.err, HasSubstr("can't save a machine that has a 9p share mounted"));
    EXPECT_THAT(ran.err, HasSubstr("unmount the shares in the guest"));
    EXPECT_EQ(status().at("state"), "ready");
    EXPECT_FALSE(fs::exists(state() + "/snapshots/latest"));
    guest("umount /www");
    EXPECT_THAT(done({"snapshot", "a", "-p", "c"}), HasSubstr("snapshot latest"));
}

// A full disk, a signal: no half a snapshot, and the machine goes on.
TEST_F(OneMachine, AFailedSnapshotLeavesNothingAndTheMachineRuns) {
    apply(one_volume);
    const std::string snapshots = state() + "/snapshots";
    fs::create_directories(snapshots);
    ASSERT_EQ(run_program({"mount", "-t", "tmpfs", "-o", "size=4m", "none", snapshots}).status, 0);
    const Ran ran = cli.run({"snapshot", "a", "-p", "c"});
    EXPECT_EQ(ran.status, 1) << ran.out;
    EXPECT_THAT(ran.err, HasSubstr("No space left on device"));
    EXPECT_TRUE(fs::is_empty(snapshots)) << "half a snapshot is there";
    EXPECT_EQ(run_program({"umount", snapshots}).status, 0);
    EXPECT_EQ(status().at("state"), "ready");
    EXPECT_EQ(guest("echo on"), "on\n");
    // Once more, by who was killed in the middle.
    fs::create_directories(snapshots + "/.latest.part/volumes");
    done({"snapshot", "a", "-p", "c"});
    EXPECT_FALSE(fs::exists(snapshots + "/.latest.part"));
    done({"destroy", "--yes", "--with-volumes", "-p", "c"});
    EXPECT_FALSE(fs::exists(state()));
}

} // namespace microvmc::boot
