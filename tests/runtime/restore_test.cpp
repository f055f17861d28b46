#include "runtime/lower.h"

#include "runtime/executor.h"
#include "runtime/snapshot.h"
#include "tests/runtime/real_qemu.h"
#include "tests/runtime/recording_host.h"
#include "tests/runtime/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace microvmc::test {

namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Snapshot snapshot_of(const VmPlan& vm) {
    Snapshot snapshot;
    snapshot.directory = snapshots_dir(vm.state_dir) + "/latest";
    snapshot.ready = true;
    snapshot.plan = vm;
    return snapshot;
}

// hello runs, and was saved before.
RecordingHost saved_host() {
    RecordingHost host;
    host.model.directories = {"/var/lib/microvmc", "/run/microvmc"};
    perform(lower(hello_plan(), one_change(ChangeKind::create), nothing_observed(), sample_facts()), host, {});
    const Snapshot snapshot = snapshot_of(hello_vm());
    host.model.directories.insert({snapshots_dir(hello_vm().state_dir), snapshot.directory, snapshot.state_dir(),
                                   snapshot.directory + "/volumes"});
    host.model.files[snapshot.volume_path("data")] = "the volume as it was";
    host.calls.clear();
    return host;
}

std::vector<Action> restore_hello() {
    const Observed observed = running(hello_vm());
    return lower_restore("hello", hello_vm(), snapshot_of(hello_vm()), observed, sample_facts());
}

std::string failure_of(RecordingHost& host, const std::vector<Action>& actions) {
    try {
        perform(actions, host, {});
    } catch (const Error& error) { return error.what(); }
    return {};
}

// Runs, and where hello's volume lies, what it holds.
std::string content(const RecordingHost& host) {
    return host.model.files.at(hello_vm().volumes.front().image);
}

} // namespace

TEST(Restore, PutsTheSnapshotsVolumesInPlaceAndStartsFromItsState) {
    RecordingHost host = saved_host();
    const HostModel before = host.model;
    const auto actions = restore_hello();
    perform(actions, host, {});
    EXPECT_EQ(content(host), "the volume as it was");
    HostModel after = host.model;
    after.files[hello_vm().volumes.front().image] = before.files.at(hello_vm().volumes.front().image);
    EXPECT_EQ(after, before) << "nothing else has changed, and nothing is left";

    const auto start = std::ranges::find_if(
        actions, [](const Action& action) { return std::holds_alternative<StartMachine>(action); });
    const auto& started = std::get<StartMachine>(*start);
    EXPECT_EQ(started.load, "/var/lib/microvmc/projects/hello/web/snapshots/latest/state");
    EXPECT_TRUE(started.launch.restored);
    EXPECT_TRUE(started.launch.was_ready);
    std::vector<std::string> waiting = started.launch.children.back().argv;
    waiting.insert(waiting.end(), {"-incoming", "defer", "-S"});
    EXPECT_EQ(started.launch.children.back().first_argv, waiting);
}

TEST(Restore, TheMachineIsStoppedOnlyOnceAllCopiesAreThere) {
    RecordingHost host = saved_host();
    perform(restore_hello(), host, {});
    const auto at = [&host](const std::string& call) {
        return std::ranges::find_if(host.calls, [&](const std::string& c) { return c.starts_with(call); });
    };
    EXPECT_LT(at("copy_file"), at("stop_machine"));
    EXPECT_LT(at("stop_machine"), at("swap_files"));
    EXPECT_LT(at("swap_files"), at("start_machine"));
}

// Whatever fails: the volumes are as they were, and nothing is left beside them.
TEST(Restore, WhateverFailsTheVolumesAreAsBefore) {
    RecordingHost plain = saved_host();
    const HostModel before = plain.model;
    perform(restore_hello(), plain, {});
    const std::size_t calls = plain.calls.size();
    for (std::size_t failing = 0; failing + 1 < calls; ++failing) { // the last only removes what was
        RecordingHost host = saved_host();
        host.fail_at = {failing};
        EXPECT_THAT(failure_of(host, restore_hello()), HasSubstr("told to fail")) << failing;
        HostModel after = host.model;
        if (after.machines.empty()) { // it was stopped, and stays so
            after.machines = before.machines;
            after.directories.insert(hello_vm().runtime_dir);
            for (const char* name : {"/control.sock", "/lock"}) { after.files[hello_vm().runtime_dir + name] = ""; }
        }
        EXPECT_EQ(after, before) << "after failing " << plain.calls.at(failing);
    }
    RecordingHost host = saved_host();
    host.never_ready = true;
    EXPECT_NE(failure_of(host, restore_hello()), "");
    EXPECT_EQ(content(host), before.files.at(hello_vm().volumes.front().image));
}

TEST(Restore, SomewhereElseNothingOfTheFirstIsTouched) {
    RecordingHost host = saved_host();
    const HostModel before = host.model;
    const Snapshot snapshot = snapshot_of(hello_vm());
    HostFacts facts = sample_facts();
    facts.state_dir = "/tmp/s";
    facts.runtime_dir = "/tmp/r";
    host.model.directories.insert({"/tmp/s", "/tmp/r"});
    const VmPlan vm = placed_at(snapshot, "/tmp/s/projects/hello/web", "/tmp/r/hello/web");
    EXPECT_EQ(vm.volumes.front().image, "/tmp/s/projects/hello/web/volumes/data.img");
    EXPECT_THAT(against_restore(snapshot, vm), IsEmpty());
    perform(lower_restore("hello", vm, snapshot, {}, facts), host, {});
    EXPECT_EQ(host.model.files.at(vm.volumes.front().image), "the volume as it was");
    EXPECT_EQ(host.model.machines.size(), 2U);
    for (const auto& [path, text] : before.files) { EXPECT_EQ(host.model.files.at(path), text) << path; }
}

TEST(Restore, AnImageThatLiesElsewhereGetsAPlaceOfItsOwn) {
    VmPlan vm = hello_vm();
    vm.volumes.front().image = "/srv/data.img";
    EXPECT_EQ(placed_at(snapshot_of(vm), "/s", "/r").volumes.front().image, "/s/volumes/data");
}

TEST(Restore, WhatHasChangedSinceIsNamed) {
    const Snapshot snapshot = snapshot_of(hello_vm());
    EXPECT_THAT(against_restore(snapshot, hello_vm()), IsEmpty());
    VmPlan vm = hello_vm();
    vm.vcpu = 2;
    vm.volumes.front().size_mib = 96;
    vm.kernel.pin = "/var/lib/microvmc/kernels/6.2.0-1111";
    vm.program_version = "8.0.1";
    vm.cpu = "Haswell";
    EXPECT_THAT(against_restore(snapshot, vm),
                ElementsAre("vcpu was 1, is 2", "volumes.data.size was 64MiB, is 96MiB", "cpu was absent, is Haswell",
                            HasSubstr("kernel.pin was"), "the hypervisor's version was 7.2, is 8.0"));
    vm = hello_vm();
    vm.volumes.clear();
    EXPECT_THAT(against_restore(snapshot, vm), ::testing::Contains("volumes.data.size was 64MiB, is absent"));
}

TEST(Restore, WhatTheGuestDoesNotSeeMayDiffer) {
    const Snapshot snapshot = snapshot_of(hello_vm());
    VmPlan vm = hello_vm();
    vm.program = "/opt/qemu";
    vm.program_version = "7.2.99";
    vm.interfaces.front().forwards.front().host_port = 1;
    vm.shutdown_timeout_ms = 1;
    vm.limits.cpu = 0.5;
    vm.volumes.front().protect = true;
    EXPECT_THAT(against_restore(snapshot, vm), IsEmpty());
}

TEST(Restore, AStateThatHasItsPlaceInItGoesOnNowhereElse) {
    VmPlan vm = kvm_vm("firecracker", "/usr/bin/firecracker");
    const Snapshot snapshot = snapshot_of(vm);
    EXPECT_THAT(against_restore(snapshot, vm), IsEmpty());
    vm.interfaces.front().id = "mv1";
    vm.volumes.front().image = "/srv/data.img";
    vm.runtime_dir = "/r";
    EXPECT_THAT(against_restore(snapshot, vm),
                ElementsAre(HasSubstr("volumes.data.image was /var/lib"), "interfaces.user.id was mv0123456789, is mv1",
                            HasSubstr("its runtime directory was")));
}

TEST(Restore, MemoryThatComesAndGoesIsAsMuchAsItWas) {
    VmPlan vm = hello_vm();
    vm.mem_boot_mib = vm.mem_mib;
    vm.mem_max_mib = 4 * vm.mem_mib;
    const Snapshot snapshot = snapshot_of(vm);
    vm.mem_mib *= 2;
    EXPECT_THAT(against_restore(snapshot, vm), IsEmpty());
    vm.mem_max_mib *= 2;
    EXPECT_THAT(against_restore(snapshot, vm), ::testing::Contains(HasSubstr("mem was")));
}

TEST(Restore, ADisplayMovesWithItsMachine) {
    VmPlan vm = hello_vm();
    vm.graphics = {.backend = "default", .address = {}, .port = 0, .socket = vm.runtime_dir + "/display.sock"};
    const Snapshot snapshot = snapshot_of(vm);
    VmPlan moved = placed_at(snapshot, "/s", "/r");
    EXPECT_EQ(moved.graphics.socket, "/r/display.sock");
    EXPECT_THAT(against_restore(snapshot, moved), IsEmpty());
    moved.graphics = {};
    EXPECT_THAT(against_restore(snapshot, moved), ElementsAre("graphics.backend was default, is absent"));
}

TEST(Restore, ASnapshotIsWhatItsFileSays) {
    const TemporaryDirectory directory;
    const std::string state = directory.path();
    const auto write = [&state](const std::string& name, const std::string& text) {
        fs::create_directories(snapshots_dir(state) + "/" + name);
        std::ofstream(snapshots_dir(state) + "/" + name + "/snapshot.json") << text;
    };
    const auto text = [](std::int64_t taken) {
        return nlohmann::json{{"version", 2}, {"taken", taken}, {"ready", true}, {"plan", hello_vm()}}.dump();
    };
    EXPECT_THAT(list_snapshots(state), IsEmpty());
    write("b", text(2));
    write("a", text(1));
    write("c", text(3));
    write(".d.part", text(4));
    fs::create_directories(snapshots_dir(state) + "/empty");
    std::vector<std::int64_t> taken;
    for (const Snapshot& snapshot : list_snapshots(state)) {
        EXPECT_EQ(snapshot.plan, hello_vm());
        EXPECT_TRUE(snapshot.ready);
        taken.push_back(snapshot.taken);
    }
    EXPECT_THAT(taken, ElementsAre(3, 2, 1));
    sweep_snapshots(state);
    EXPECT_FALSE(fs::exists(snapshots_dir(state) + "/.d.part"));
    EXPECT_TRUE(fs::exists(snapshots_dir(state) + "/a"));

    for (const char* bad : {"", "[]", "{\"version\":2}", "{\"version\":1,\"taken\":1}", "nonsense"}) {
        write("bad", bad);
        EXPECT_THROW(read_snapshot(snapshots_dir(state) + "/bad"), Error) << bad;
    }
    EXPECT_THROW(read_snapshot(snapshots_dir(state) + "/none"), Error);
}

} // namespace microvmc::test
