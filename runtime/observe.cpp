#include "runtime/observe.h"

#include "compiler/diff.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/image_header.h"
#include "runtime/machine.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <set>

namespace microvmc {

namespace fs = std::filesystem;

namespace {

std::set<std::string> directories_in(const std::string& path) {
    std::set<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(path, error)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with('.') && entry.is_directory(error)) { names.insert(name); }
    }
    return names;
}

std::optional<VmPlan> recorded_plan(const std::string& path) {
    const std::optional<std::string> text = read_file(path);
    if (!text) { return std::nullopt; }
    try {
        return nlohmann::json::parse(*text).get<VmPlan>();
    } catch (const nlohmann::json::exception& error) {
        throw Error(
            fmt::format("{}: not a machine's record: {}", path, error.what()),
            "it was written by another version or damaged; the volumes beside it are not affected. Move the file "
            "away, then apply");
    }
}

std::vector<NetworkPlan> recorded_networks(const std::string& path) {
    const std::optional<std::string> text = read_file(path);
    if (!text) { return {}; }
    try {
        return nlohmann::json::parse(*text).get<std::vector<NetworkPlan>>();
    } catch (const nlohmann::json::exception& error) {
        throw Error(fmt::format("{}: not a record of networks: {}", path, error.what()),
                    "it was written by another version or damaged. Move the file away, then apply");
    }
}

ObservedVm observe_vm(const std::string& name, const std::string& state, const std::string& runtime) {
    ObservedVm vm;
    vm.name = name;
    vm.plan = recorded_plan(state + "/plan.json");
    if (const auto running = machine_status(runtime)) {
        vm.running = true;
        if (!running->plan.is_null()) {
            VmPlan started = running->plan.get<VmPlan>();
            if (vm.plan) { take_in_place(started, *vm.plan); }
            vm.plan = std::move(started);
        }
    }
    if (vm.plan) {
        const auto ended = vm.running ? std::nullopt : read_recorded_end(state + "/end.json");
        vm.completed = ended && ended->ready;
        for (const VolumePlan& volume : vm.plan->volumes) {
            const auto bytes = virtual_size(volume.image, volume.format);
            if (bytes || fs::exists(volume.image)) { vm.volumes[volume.name] = bytes.value_or(0) >> 20U; }
        }
    }
    return vm;
}

} // namespace

std::string project_state_dir(const std::string& state_dir, const std::string& project) {
    return state_dir + "/projects/" + project;
}

std::string project_runtime_dir(const std::string& runtime_dir, const std::string& project) {
    return runtime_dir + "/" + project;
}

std::vector<std::string> observed_names(const std::string& state_dir, const std::string& runtime_dir,
                                        const std::string& project) {
    std::set<std::string> names = directories_in(project_runtime_dir(runtime_dir, project));
    const std::string state = project_state_dir(state_dir, project);
    for (const std::string& name : directories_in(state)) {
        if (fs::exists(state + "/" + name + "/plan.json")) { names.insert(name); }
    }
    return {names.begin(), names.end()};
}

Observed observe(const std::string& state_dir, const std::string& runtime_dir, const std::string& project) {
    const std::string state = project_state_dir(state_dir, project);
    const std::string runtime = project_runtime_dir(runtime_dir, project);
    Observed observed;
    observed.networks = recorded_networks(state + "/networks.json");
    for (const std::string& name : observed_names(state_dir, runtime_dir, project)) {
        ObservedVm vm = observe_vm(name, state + "/" + name, runtime + "/" + name);
        if (vm.plan || vm.running) { observed.vms.push_back(std::move(vm)); }
    }
    return observed;
}

std::vector<std::string> known_projects(const std::string& state_dir) {
    const std::set<std::string> names = directories_in(state_dir + "/projects");
    return {names.begin(), names.end()};
}

} // namespace microvmc
