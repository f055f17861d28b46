#include "runtime/executor.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <vector>

namespace microvmc {

namespace {

// How one action is taken back. Without `undo`: it can't be, and `what` tells the user how things stand.
struct Undo {
    std::string what;
    std::function<void()> undo;
};

// What came of an action.
struct Done {
    std::string outcome;
    std::optional<Undo> undo;
};

// The state that the actions of one run share.
struct Run {
    explicit Run(Host& its_host) : host(its_host) {}
    Host& host;
    std::function<void(const Action&, const std::string&)> advance;
    std::set<std::string> images_in_use; ///< of volumes whose machine was started in this run
};

// Puts a file back as it was.
Undo restore(Host& host, const std::string& path, std::optional<std::string> before, std::uint32_t mode) {
    return {fmt::format("{} could not be put back", path), [&host, path, before = std::move(before), mode] {
                if (before) {
                    host.write_file(path, *before, mode);
                } else {
                    host.remove_file(path);
                }
            }};
}

// Does one action, and says how it is taken back.
struct Performer {
    Run& run;

    [[nodiscard]] Undo remove_again(const std::string& path) const {
        return {fmt::format("{} stays", path), [&host = run.host, path] { host.remove_file(path); }};
    }

    Done operator()(const MakeDirectory& action) const {
        if (!run.host.make_directory(action.path, action.mode)) { return {"was there", std::nullopt}; }
        return {"made", Undo{fmt::format("the directory {} stays", action.path),
                             [&host = run.host, path = action.path] { host.remove_directory(path); }}};
    }

    Done operator()(const WriteFile& action) const {
        std::optional<std::string> before = run.host.read_file(action.path);
        if (before == action.content) {
            return {"was so", std::nullopt};
        } // forcing it to disk takes longer than a VMM's start
        run.host.write_file(action.path, action.content, action.mode);
        return {"written", restore(run.host, action.path, std::move(before), action.mode)};
    }

    Done operator()(const PinKernel& action) const {
        // A pin that was there may have been given its vmlinux now; that belongs to what it was made from, and stays.
        const bool was_there = run.host.exists(action.kernel.pin);
        if (!run.host.pin_kernel(action.kernel)) { return {"was pinned", std::nullopt}; }
        if (was_there) { return {"extracted", std::nullopt}; }
        return {"pinned", Undo{fmt::format("the pinned kernel {} stays", action.kernel.pin),
                               [&host = run.host, pin = action.kernel.pin] { host.remove_tree(pin); }}};
    }

    Done operator()(const BuildInitramfs& action) const {
        if (!run.host.build_initramfs(action)) { return {"was there", std::nullopt}; }
        return {"built", remove_again(action.output)};
    }

    Done operator()(const ReadCredentials& action) const {
        run.host.read_credentials(action);
        return {"read", std::nullopt};
    }

    Done operator()(const BuildRoot& action) const {
        const auto told = [this, &action](std::uint64_t done, std::uint64_t total) {
            if (!run.advance) { return; }
            run.advance(action, total == 0 ? fmt::format("{} MiB", done) : fmt::format("{} of {} MiB", done, total));
        };
        if (!run.host.build_root(action, told)) { return {"was there", std::nullopt}; }
        return {"made", remove_again(action.output)};
    }

    Done operator()(const BuildCloudInit& action) const {
        const bool was_there = run.host.exists(action.output);
        run.host.build_cloud_init(action);
        if (was_there) { return {"made", std::nullopt}; } // the old one is of no more use
        return {"made", remove_again(action.output)};
    }

    Done operator()(const BuildShareImage& action) const {
        const bool was_there = run.host.exists(action.output);
        run.host.build_share_image(action);
        if (was_there) { return {"made", std::nullopt}; } // the old one is of no more use
        return {"made", remove_again(action.output)};
    }

    Done operator()(const CreateVolume& action) const {
        const std::string& image = action.volume.image;
        if (!run.host.create_volume(action)) { return {"was there", std::nullopt}; }
        return {"created", Undo{fmt::format("the new volume {} stays", image), [&run = run, image] {
                                    if (!run.images_in_use.contains(image)) {
                                        run.host.remove_file(image);
                                        return;
                                    }
                                    throw Error("its machine ran, so it may hold data");
                                }}};
    }

    Done operator()(const GrowVolume& action) const {
        run.host.grow_volume(action);
        return {"grown", Undo{fmt::format("the volume {} stays grown; its data is the same", action.image), nullptr}};
    }

    Done operator()(const GrowRunningVolume& action) const {
        run.host.grow_running_volume(action);
        return {"grown", Undo{fmt::format("the volume {} stays grown; its data is the same", action.image), nullptr}};
    }

    Done operator()(const DeleteVolume& action) const {
        run.host.remove_file(action.image);
        return {"deleted", Undo{fmt::format("the volume {} is deleted", action.image), nullptr}};
    }

    Done operator()(const EnsureNetwork& action) const {
        if (!run.host.ensure_network(action.up)) { return {"was up", std::nullopt}; }
        return {"up", Undo{fmt::format("the bridge {} stays", action.up.network.bridge),
                           [&host = run.host, bridge = action.up.network.bridge, dir = action.up.runtime_dir] {
                               host.release_network({.bridge = bridge, .runtime_dir = dir});
                           }}};
    }

    Done operator()(const MakeTap& action) const {
        run.host.make_tap(action);
        return {"made", Undo{fmt::format("the tap {} stays", action.tap.name),
                             [&host = run.host, action] { host.remove_tap(action); }}};
    }

    // Whoever needs it brings it up again, so nothing is put back.
    Done operator()(const ReleaseNetwork& action) const {
        return {run.host.release_network(action) ? "removed" : "stays", std::nullopt};
    }

    Done operator()(const CopyFile& action) const {
        run.host.copy_file(action.from, action.to);
        return {"copied", Undo{fmt::format("the copy {} stays", action.to),
                               [&host = run.host, path = action.to] { host.remove_file(path); }}};
    }

    Done operator()(const SwapFiles& action) const {
        const bool was_there = run.host.exists(action.path);
        run.host.swap_files(action.path, action.other);
        return {"swapped", Undo{fmt::format("what {} was is now {}", action.path, action.other),
                                [&host = run.host, action, was_there] {
                                    if (was_there) {
                                        host.swap_files(action.path, action.other);
                                    } else {
                                        host.remove_file(action.path);
                                    }
                                }}};
    }

    Done operator()(const ResizeMemory& action) const {
        run.host.resize_memory(action.runtime_dir, action.mib);
        return {"changed", Undo{fmt::format("the memory of {} stays changed", action.vm), [&host = run.host, action] {
                                    host.resize_memory(action.runtime_dir, action.before_mib);
                                }}};
    }

    Done operator()(const AmendMachine& action) const {
        run.host.amend_machine(action.runtime_dir, action.after);
        return {"told", Undo{fmt::format("the supervisor of {} could not be told otherwise", action.vm),
                             [&host = run.host, action] { host.amend_machine(action.runtime_dir, action.before); }}};
    }

    Done operator()(const StartMachine& action) const {
        const Launch& launch = action.launch;
        run.host.start_machine(action);
        if (launch.plan.is_object()) {
            for (const VolumePlan& volume : launch.plan.get<VmPlan>().volumes) {
                run.images_in_use.insert(volume.image);
            }
        }
        return {"started", Undo{fmt::format("{} could not be stopped", launch.vm),
                                [&host = run.host, vm = launch.vm, runtime_dir = launch.runtime_dir] {
                                    host.stop_machine({.vm = vm, .runtime_dir = runtime_dir, .timeout_ms = 0});
                                    host.remove_tree(runtime_dir);
                                }}};
    }

    Done operator()(const AwaitReady& action) const {
        run.host.await_ready(action);
        return {"ready", std::nullopt};
    }

    Done operator()(const StopMachine& action) const {
        const StopOutcome outcome = run.host.stop_machine(action);
        switch (outcome.kind) {
        case StopOutcome::Kind::was_not_running: return {outcome.detail, std::nullopt};
        case StopOutcome::Kind::graceful:
        case StopOutcome::Kind::killed: break;
        }
        return {outcome.detail, Undo{fmt::format("{} was stopped and stays so", action.vm), nullptr}};
    }

    // What a machine's runtime directory holds is of no use once it has stopped, so nothing is put back.
    Done operator()(const RemoveTree& action) const {
        run.host.remove_tree(action.path);
        return {"removed", std::nullopt};
    }

    Done operator()(const RemoveFile& action) const {
        std::optional<std::string> before = run.host.read_file(action.path);
        if (!before) { return {"was not there", std::nullopt}; }
        run.host.remove_file(action.path);
        return {"removed", restore(run.host, action.path, std::move(before), 0600)};
    }

    Done operator()(const RemoveDirectory& action) const {
        if (!run.host.remove_directory(action.path)) { return {"stays", std::nullopt}; }
        return {"removed", Undo{fmt::format("the directory {} could not be made again", action.path),
                                [&host = run.host, path = action.path] { host.make_directory(path, 0700); }}};
    }
};

// Takes back what was done, the last first; the lines that say what could not be.
std::string unwind(const std::vector<Undo>& undos) {
    std::string left;
    for (auto undo = undos.rbegin(); undo != undos.rend(); ++undo) {
        if (!undo->undo) {
            left += fmt::format("\n  not undone: {}", undo->what);
            continue;
        }
        try {
            undo->undo();
        } catch (const std::exception& error) {
            left += fmt::format("\n  not undone: {}: {}", undo->what, error.what());
        }
    }
    return left;
}

} // namespace

struct Performed::State {
    explicit State(Host& host) : run(host) {}
    Run run;
    std::vector<Undo> undos;
};

Performed::Performed(Host& host) : state_(std::make_unique<State>(host)) {}
Performed::~Performed() = default;

void Performed::perform(std::span<const Action> actions, const Progress& progress) {
    state_->run.advance = progress.advance;
    try {
        for (const Action& action : actions) {
            if (progress.begin) { progress.begin(action); }
            Done result = std::visit(Performer{state_->run}, action);
            if (result.undo) { state_->undos.push_back(std::move(*result.undo)); }
            if (progress.end) { progress.end(action, result.outcome); }
        }
    } catch (const TimeoutError& error) {
        throw TimeoutError(error.what() + undo(), error.help);
    } catch (const Error& error) {
        throw Error(error.what() + undo(), error.help);
    } catch (const std::exception& error) { throw Error(error.what() + undo()); }
}

std::string Performed::undo() {
    return unwind(std::exchange(state_->undos, {}));
}

void perform(std::span<const Action> actions, Host& host, const Progress& progress) {
    Performed(host).perform(actions, progress);
}

} // namespace microvmc
