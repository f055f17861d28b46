#include "runtime/commands/perform.h"

#include "runtime/commands/machines.h"
#include "runtime/error.h"
#include "runtime/executor.h"
#include "runtime/initramfs_cache.h"
#include "runtime/linux_host.h"
#include "runtime/parallel.h"
#include "runtime/paths.h"
#include "runtime/terminal.h"

#include <algorithm>
#include <array>
#include <thread>
#include <unistd.h>

namespace microvmc {

namespace {

// The end of the console of the machine that the group was to start.
std::string console_of_started(const ActionGroup& group) {
    for (const Action& action : group.actions) {
        const auto* start = std::get_if<StartMachine>(&action);
        if (start == nullptr) { continue; }
        const std::string& log = start->launch.console_log;
        return console_excerpt(start->launch.vm, log.substr(0, log.rfind('/')));
    }
    return {};
}

} // namespace

void perform_here(const std::vector<Action>& actions) {
    const FileLock cache = hold_initramfs_cache(directories().state);
    LinuxHost host(supervisor_path());
    ProgressLine progress(STDERR_FILENO);
    std::size_t done = 0;
    Progress told;
    const auto line = [&](const Action& action) {
        return "[" + std::to_string(done) + "/" + std::to_string(actions.size()) + "] " + describe(action);
    };
    told.begin = [&](const Action& action) {
        ++done;
        progress.show(line(action));
    };
    told.advance = [&](const Action& action, const std::string& how_far) {
        progress.show(line(action) + ": " + how_far);
    };
    told.end = [&](const Action&, const std::string&) { progress.clear(); };
    perform(actions, host, told);
}

void perform_here(const std::vector<ActionGroup>& groups, unsigned parallelism,
                  const std::function<void(const ActionGroup&, double seconds)>& done) {
    const FileLock cache = hold_initramfs_cache(directories().state);
    LinuxHost host(supervisor_path());
    ProgressLines progress(STDERR_FILENO);
    std::vector<std::pair<const ActionGroup*, std::string>> running; // and what each does now
    const auto show = [&] {
        std::vector<std::string> lines;
        for (const auto& [group, what] : running) { lines.push_back(group->name + "  " + what); }
        progress.show(lines);
    };
    GroupProgress told;
    const auto set = [&](const ActionGroup& group, const std::string& what) {
        const auto at = std::ranges::find(running, &group, &std::pair<const ActionGroup*, std::string>::first);
        (at == running.end() ? running.emplace_back(&group, "") : *at).second = what;
        show();
    };
    told.begin = [&](const ActionGroup& group, const Action& action) { set(group, describe(action)); };
    told.advance = [&](const ActionGroup& group, const Action& action, const std::string& how_far) {
        set(group, describe(action) + ": " + how_far);
    };
    told.end = [&](const ActionGroup& group, const GroupResult& result) {
        std::erase_if(running, [&group](const auto& each) { return each.first == &group; });
        progress.clear();
        if (result.state == GroupResult::State::done && done) { done(group, result.seconds); }
        if (result.state == GroupResult::State::failed) { complain(console_of_started(group)); }
        show();
    };
    if (parallelism == 0) { parallelism = std::max(2U, std::thread::hardware_concurrency()); }
    throw_failures(groups, perform_groups(groups, host, parallelism, told));
}

void add_parallelism(CLI::App& command, unsigned& parallelism) {
    command
        .add_option("--parallelism", parallelism,
                    "Machines worked on at once (default: as many as there are processors)")
        ->check(CLI::PositiveNumber)
        ->type_name("N");
}

bool confirmed(const std::string& question) {
    if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDERR_FILENO) != 1) { return false; }
    complain(question + " [y/N] ");
    std::array<char, 256> answer{};
    const ssize_t got = ::read(STDIN_FILENO, answer.data(), answer.size());
    return got > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

} // namespace microvmc
