#include "runtime/snapshot.h"

#include "compiler/plan_keys.h"
#include "runtime/backend.h"
#include "runtime/copy_file.h"
#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/machine_control.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc {

namespace fs = std::filesystem;

namespace {

constexpr int snapshot_version = 2; // 1 had one file of the VMM's
constexpr std::chrono::milliseconds save_timeout{600'000};

std::string info_path(const std::string& directory) {
    return directory + "/snapshot.json";
}

// Where it is made, until it is whole: ".NAME.part" beside it.
std::string part_path(const std::string& directory) {
    const std::size_t name = directory.rfind('/') + 1;
    return fmt::format("{}.{}.part", directory.substr(0, name), directory.substr(name));
}

// Signals that would end this thread while its machine stands still.
class SignalsHeld {
public:
    SignalsHeld() {
        sigset_t set;
        ::sigemptyset(&set);
        for (const int number : {SIGINT, SIGTERM, SIGHUP}) { ::sigaddset(&set, number); }
        ::pthread_sigmask(SIG_BLOCK, &set, &before_);
    }
    ~SignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsHeld(const SignalsHeld&) = delete;
    SignalsHeld& operator=(const SignalsHeld&) = delete;

private:
    sigset_t before_{};
};

// A machine that stands still until this is gone.
class Still {
public:
    Still(Control& control, std::string runtime_dir)
        : control_(control), runtime_dir_(std::move(runtime_dir)), was_paused_(control.paused()) {
        if (!was_paused_) { control_.pause(); }
    }
    ~Still() {
        if (done_) { return; }
        try {
            go_on();
        } catch (const std::exception&) {} // it ended: the first error says why
    }
    Still(const Still&) = delete;
    Still& operator=(const Still&) = delete;

    void go_on() {
        done_ = true;
        if (was_paused_) { return; }
        control_.resume();
        std::string ignored; // a guest without an agent keeps a clock that is behind
        renew_guest(runtime_dir_, ignored);
    }

private:
    Control& control_;
    std::string runtime_dir_;
    bool was_paused_;
    bool done_ = false;
};

// The directory that it is made in; gone unless it was published.
class Part {
public:
    explicit Part(const std::string& directory) : directory_(directory), path_(part_path(directory)) {
        remove_tree(path_);
        make_directories(path_ + "/volumes", 0700);
    }
    ~Part() {
        try {
            if (!path_.empty()) { remove_tree(path_); }
        } catch (const Error&) {} // swept later
    }
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }

    void publish(const SnapshotOptions& options) {
        const auto rename = [&](unsigned flags) {
            return ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, directory_.c_str(), flags) == 0;
        };
        if (options.sync == Sync::to_disk) {
            sync_directory(path_ + "/volumes");
            sync_directory(path_);
        }
        if (!options.replace || ::access(directory_.c_str(), F_OK) != 0) {
            if (!rename(RENAME_NOREPLACE) && !(errno == EINVAL && rename(0))) { fail(); }
            path_.clear();
        } else if (!rename(RENAME_EXCHANGE)) { // the old one goes with us
            if (errno != EINVAL) { fail(); }
            remove_tree(directory_);
            if (!rename(0)) { fail(); }
            path_.clear();
        }
        if (options.sync == Sync::to_disk) { sync_directory(fs::path(directory_).parent_path().string()); }
    }

private:
    [[noreturn]] void fail() const {
        throw Error(fmt::format("can't make the snapshot {}: {}", directory_, std::strerror(errno)));
    }
    std::string directory_;
    std::string path_;
};

void save_state(Control& control, const std::string& directory, Sync sync) {
    make_directories(directory, 0700);
    control.save(directory, save_timeout);
    if (sync == Sync::to_disk) { sync_tree(directory); }
}

// What of a plan says where things lie on the host, or what the host does beside: a guest doesn't see it.
bool is_of_the_host(const std::string& key, const VmPlan& plan) {
    return (key.starts_with("volumes.") && (key.ends_with(".image") || key.ends_with(".backing"))) ||
           (key.starts_with("interfaces.") && key.ends_with(".id")) || key.starts_with("forward-ports.") ||
           key.starts_with("limits.") || key == "vmm-user" || key == "kernel.pin" || key == "graphics" ||
           key == plan.hypervisor + ".program";
}

// Of these, what is in the state of a hypervisor that goes on only where it was saved.
bool is_a_place(const std::string& key) {
    return (key.starts_with("volumes.") && key.ends_with(".image")) ||
           (key.starts_with("interfaces.") && key.ends_with(".id"));
}

// Memory that comes and goes is in the state, as much as it had.
bool same_room(const VmPlan& a, const VmPlan& b) {
    return a.mem_max_mib != 0 && a.mem_max_mib == b.mem_max_mib && a.mem_boot_mib == b.mem_boot_mib;
}

std::string pin_name(const VmPlan& plan) {
    return fs::path(plan.kernel.pin).filename().string();
}

// "7.2.22" -> "7.2": a VMM reads what another patch level of it wrote.
std::string series(const std::string& version) {
    return version.substr(0, version.find('.', version.find('.') + 1));
}

} // namespace

std::string snapshots_dir(const std::string& state_dir) {
    return state_dir + "/snapshots";
}

Snapshot take_snapshot(const std::string& runtime_dir, const std::string& directory, const SnapshotOptions& options) {
    const auto status = machine_status(runtime_dir);
    if (!status) { throw Error("the machine doesn't run, so that there is nothing to save"); }
    Snapshot snapshot;
    snapshot.plan = plan_of(*status);
    snapshot.ready = status->state == MachineState::ready;
    snapshot.taken =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    require_capability(snapshot.plan, "snapshot");
    if (!options.replace && ::access(directory.c_str(), F_OK) == 0) {
        throw Error(fmt::format("there is a snapshot {} already", directory));
    }
    if (snapshot.plan.root.kind == RootPlan::Kind::image && !snapshot.plan.root.read_only) {
        throw Error(fmt::format("{} writes its root image {}, which is not saved with it", status->vm,
                                snapshot.plan.root.source),
                    "root.read-only = true with an `overlay` on a volume makes it one that can be saved");
    }
    const auto control = attach_control(*status);
    control->require_savable(snapshot.plan);
    if (snapshot.plan.mem_max_mib != 0) { snapshot.plan.mem_mib = control->memory_mib(); }

    const SignalsHeld held;
    Part part(directory);
    snapshot.directory = part.path();
    {
        Still still(*control, runtime_dir);
        save_state(*control, snapshot.state_dir(), options.sync);
        for (const VolumePlan& volume : snapshot.plan.volumes) {
            copy_file(volume.image, snapshot.volume_path(volume.name), options.sync);
        }
        still.go_on();
    }
    const nlohmann::json info{
        {"version", snapshot_version}, {"taken", snapshot.taken}, {"ready", snapshot.ready}, {"plan", snapshot.plan}};
    write_whole(info_path(part.path()), info.dump(2) + '\n', 0600);
    part.publish(options);
    snapshot.directory = directory;
    return snapshot;
}

Snapshot read_snapshot(const std::string& directory) {
    const std::string path = info_path(directory);
    const auto text = read_file(path);
    if (!text) { throw Error(fmt::format("there is no snapshot {}", directory)); }
    Snapshot snapshot;
    snapshot.directory = directory;
    try {
        const auto json = nlohmann::json::parse(*text);
        if (const int version = json.at("version").get<int>(); version != snapshot_version) {
            throw Error(fmt::format("{}: version {} of a snapshot is not one that this microvmc reads", path, version));
        }
        json.at("taken").get_to(snapshot.taken);
        json.at("ready").get_to(snapshot.ready);
        json.at("plan").get_to(snapshot.plan);
    } catch (const nlohmann::json::exception& error) {
        throw Error(fmt::format("{}: not a snapshot's description: {}", path, error.what()),
                    "it was written by another version of microvmc, or damaged");
    }
    return snapshot;
}

std::vector<Snapshot> list_snapshots(const std::string& state_dir) {
    std::vector<Snapshot> snapshots;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(snapshots_dir(state_dir), error)) {
        if (entry.path().filename().string().starts_with('.')) { continue; }
        if (!fs::exists(info_path(entry.path().string()))) { continue; }
        snapshots.push_back(read_snapshot(entry.path().string()));
    }
    std::ranges::sort(snapshots, [](const Snapshot& a, const Snapshot& b) {
        return a.taken != b.taken ? a.taken > b.taken : a.directory < b.directory;
    });
    return snapshots;
}

void sweep_snapshots(const std::string& state_dir) {
    std::vector<std::string> stale;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(snapshots_dir(state_dir), error)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with('.') && name.ends_with(".part")) { stale.push_back(entry.path().string()); }
    }
    for (const std::string& path : stale) { remove_tree(path); }
}

std::vector<std::string> against_restore(const Snapshot& snapshot, const VmPlan& plan) {
    std::vector<std::string> differences;
    const bool mem_moves = same_room(snapshot.plan, plan);
    const Traits& traits = backend(plan.hypervisor).traits;
    const bool anywhere = refusal(traits, "snapshot.elsewhere", plan.program_version).empty();
    const auto may_differ = [anywhere](const PlanKey& key, const VmPlan& its) {
        return !key.fixed_at_start || (is_of_the_host(key.key, its) && (anywhere || !is_a_place(key.key)));
    };
    const auto differ = [&](const std::string& key, const std::string& was, const std::string& is) {
        if (was == is || (key == "mem" && mem_moves)) { return; }
        differences.push_back(
            fmt::format("{} was {}, is {}", key, was.empty() ? "absent" : was, is.empty() ? "absent" : is));
    };
    std::map<std::string, std::string> keys;
    for (const PlanKey& key : plan_keys(plan)) {
        if (!may_differ(key, plan)) { keys.emplace(key.key, key.text); }
    }
    for (const PlanKey& key : plan_keys(snapshot.plan)) {
        if (may_differ(key, snapshot.plan)) { continue; }
        const auto found = keys.find(key.key);
        differ(key.key, key.text, found == keys.end() ? std::string() : found->second);
        if (found != keys.end()) { keys.erase(found); }
    }
    for (const auto& [key, text] : keys) { differ(key, {}, text); }
    if (!anywhere) { differ("its runtime directory", snapshot.plan.runtime_dir, plan.runtime_dir); }
    differ("graphics.backend", snapshot.plan.graphics.backend, plan.graphics.backend);
    differ("kernel.pin", pin_name(snapshot.plan), pin_name(plan));
    differ("the hypervisor's version", series(snapshot.plan.program_version), series(plan.program_version));
    return differences;
}

VmPlan placed_at(const Snapshot& snapshot, const std::string& state_dir, const std::string& runtime_dir) {
    VmPlan plan = snapshot.plan;
    const std::string old = plan.state_dir + '/';
    for (VolumePlan& volume : plan.volumes) {
        volume.image = volume.image.starts_with(old) ? state_dir + '/' + volume.image.substr(old.size())
                                                     : fmt::format("{}/volumes/{}", state_dir, volume.name);
    }
    if (plan.graphics.socket.starts_with(plan.runtime_dir + '/')) {
        plan.graphics.socket.replace(0, plan.runtime_dir.size(), runtime_dir);
    }
    plan.state_dir = state_dir;
    plan.runtime_dir = runtime_dir;
    return plan;
}

} // namespace microvmc
