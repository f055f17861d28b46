#include "tests/runtime/recording_host.h"

#include <fmt/format.h>

#include <algorithm>

namespace microvmc::test {

namespace {

std::string parent_of(const std::string& path) {
    return path.substr(0, path.rfind('/'));
}

} // namespace

void RecordingHost::record(const std::string& call) {
    calls.push_back(call);
    if (fail_at.contains(calls.size() - 1)) { throw Error("told to fail: " + call); }
}

void RecordingHost::add_file(const std::string& path, const std::string& content) {
    if (!model.directories.contains(parent_of(path))) { throw Error("no directory for " + path); }
    model.files[path] = content;
}

bool RecordingHost::has_entries(const std::string& directory) const {
    const std::string prefix = directory + '/';
    const auto inside = [&prefix](const std::string& path) { return path.starts_with(prefix); };
    return std::ranges::any_of(model.directories, inside) ||
           std::ranges::any_of(model.files, [&inside](const auto& file) { return inside(file.first); });
}

bool RecordingHost::exists(const std::string& path) {
    return model.directories.contains(path) || model.files.contains(path);
}

bool RecordingHost::make_directory(const std::string& path, std::uint32_t /*mode*/) {
    record("make_directory " + path);
    if (!model.directories.contains(parent_of(path))) { throw Error("no directory for " + path); }
    return model.directories.insert(path).second;
}

std::optional<std::string> RecordingHost::read_file(const std::string& path) {
    const auto found = model.files.find(path);
    return found == model.files.end() ? std::nullopt : std::optional(found->second);
}

void RecordingHost::write_file(const std::string& path, const std::string& content, std::uint32_t /*mode*/) {
    record("write_file " + path);
    add_file(path, content);
}

void RecordingHost::remove_file(const std::string& path) {
    record("remove_file " + path);
    model.files.erase(path);
}

void RecordingHost::remove_tree(const std::string& path) {
    record("remove_tree " + path);
    if (model.machines.contains(path)) { throw Error("a machine runs in " + path); }
    const auto inside = [&path](const std::string& entry) { return entry == path || entry.starts_with(path + '/'); };
    std::erase_if(model.directories, inside);
    std::erase_if(model.files, [&inside](const auto& file) { return inside(file.first); });
}

bool RecordingHost::remove_directory(const std::string& path) {
    record("remove_directory " + path);
    return !has_entries(path) && model.directories.erase(path) != 0;
}

bool RecordingHost::pin_kernel(const KernelPlan& kernel) {
    record("pin_kernel " + kernel.pin);
    if (model.directories.contains(kernel.pin)) { return false; }
    if (!model.directories.contains(parent_of(kernel.pin))) { throw Error("no directory for " + kernel.pin); }
    model.directories.insert(kernel.pin);
    add_file(kernel.pin + "/vmlinuz", kernel.source);
    return true;
}

bool RecordingHost::build_initramfs(const BuildInitramfs& request) {
    record("build_initramfs " + request.output);
    if (model.files.contains(request.output)) { return false; }
    add_file(request.output, request.spec);
    return true;
}

void RecordingHost::read_credentials(const ReadCredentials& request) {
    record("read_credentials " + request.runtime_dir);
}

bool RecordingHost::build_root(const BuildRoot& request, const RootProgress& progress) {
    record("build_root " + request.output);
    if (model.files.contains(request.output)) { return false; }
    if (progress) { progress(1, 2); }
    add_file(request.output, request.source);
    return true;
}

void RecordingHost::build_cloud_init(const BuildCloudInit& request) {
    record("build_cloud_init " + request.output);
    add_file(request.output, request.source.user_data);
}

void RecordingHost::build_share_image(const BuildShareImage& request) {
    record("build_share_image " + request.output);
    add_file(request.output, request.source);
}

bool RecordingHost::create_volume(const CreateVolume& request) {
    record("create_volume " + request.volume.image);
    if (model.files.contains(request.volume.image)) { return false; }
    add_file(request.volume.image, fmt::format("{} MiB", request.volume.size_mib));
    return true;
}

void RecordingHost::grow_running_volume(const GrowRunningVolume& request) {
    record("grow_running_volume " + request.image);
    model.files.at(request.image) = fmt::format("{} MiB", request.size_mib);
}

void RecordingHost::grow_volume(const GrowVolume& request) {
    record("grow_volume " + request.image);
    model.files.at(request.image) = fmt::format("{} MiB", request.size_mib);
}

bool RecordingHost::ensure_network(const NetworkUp& up) {
    record("ensure_network " + up.network.bridge);
    return model.bridges.insert(up.network.bridge).second;
}

bool RecordingHost::release_network(const ReleaseNetwork& request) {
    record("release_network " + request.bridge);
    const auto is_port = [&request](const auto& tap) { return tap.second == request.bridge; };
    if (std::ranges::any_of(model.taps, is_port)) { return false; }
    return model.bridges.erase(request.bridge) != 0;
}

void RecordingHost::make_tap(const MakeTap& request) {
    record("make_tap " + request.tap.name);
    if (!request.bridge.empty() && !model.bridges.contains(request.bridge)) { throw Error("no bridge"); }
    if (!model.taps.emplace(request.tap.name, request.bridge).second) { throw Error("there is such a tap"); }
}

void RecordingHost::remove_tap(const MakeTap& request) {
    record("remove_tap " + request.tap.name);
    model.taps.erase(request.tap.name);
}

void RecordingHost::copy_file(const std::string& from, const std::string& to) {
    record("copy_file " + to);
    add_file(to, model.files.at(from));
}

void RecordingHost::swap_files(const std::string& path, const std::string& other) {
    record("swap_files " + path);
    if (model.files.contains(path)) {
        std::swap(model.files[path], model.files.at(other));
    } else {
        add_file(path, model.files.at(other));
        model.files.erase(other);
    }
}

void RecordingHost::start_machine(const StartMachine& request) {
    const Launch& launch = request.launch;
    record("start_machine " + launch.runtime_dir);
    if (model.machines.contains(launch.runtime_dir)) { throw Error("runs already"); }
    if (!request.load.empty() && !model.directories.contains(request.load)) { throw Error("no saved state"); }
    add_file(launch.runtime_dir + "/control.sock", "");
    add_file(launch.runtime_dir + "/lock", "");
    add_file(launch.console_log, "");
    add_file(launch.vmm_log, "");
    model.machines[launch.runtime_dir] = launch.vm;
    for (const Tap& tap : launch.taps) {
        if (!model.taps.contains(tap.name)) { throw Error("no tap"); }
        taps_of_[launch.runtime_dir].push_back(tap.name);
    }
    for (const auto& volume : launch.plan.at("volumes")) {
        if (!model.files.contains(volume.at("image").get<std::string>())) { throw Error("no volume"); }
    }
}

void RecordingHost::resize_memory(const std::string& runtime_dir, std::uint64_t mib) {
    record("resize_memory " + runtime_dir);
    if (!model.machines.contains(runtime_dir)) { throw Error("no machine"); }
    model.memory[runtime_dir] = mib;
}

void RecordingHost::amend_machine(const std::string& runtime_dir, const Amendment& amendment) {
    record("amend_machine " + runtime_dir);
    if (!model.machines.contains(runtime_dir)) { throw Error("no machine"); }
    model.amended[runtime_dir] = amendment;
}

void RecordingHost::await_ready(const AwaitReady& request) {
    record("await_ready " + request.runtime_dir);
    if (never_ready) { throw TimeoutError("not ready", "look at its console"); }
}

StopOutcome RecordingHost::stop_machine(const StopMachine& request) {
    record("stop_machine " + request.runtime_dir);
    if (model.machines.erase(request.runtime_dir) == 0) {
        return {.kind = StopOutcome::Kind::was_not_running, .detail = "was not running"};
    }
    model.files.erase(request.runtime_dir + "/control.sock");
    for (const std::string& tap : taps_of_[request.runtime_dir]) { model.taps.erase(tap); }
    taps_of_.erase(request.runtime_dir);
    return {.kind = StopOutcome::Kind::graceful, .detail = "powered off"};
}

} // namespace microvmc::test
