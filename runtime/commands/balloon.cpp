#include "runtime/commands/inputs.h"
#include "runtime/commands/machines.h"
#include "runtime/commands/session.h"

#include "compiler/text.h"
#include "runtime/balloon.h"
#include "runtime/error.h"
#include "runtime/machine_control.h"
#include "runtime/terminal.h"

#include <fmt/format.h>

#include <memory>
#include <unistd.h>

namespace microvmc {

namespace {

std::uint64_t size_in_mib(const std::string& text) {
    std::string problem;
    const auto number = parse_number(text);
    const auto size = number ? number : parse_size(text, problem);
    if (!size) { throw Error(fmt::format("{} is no size: {}", printable(text), problem), "for example: 256MiB"); }
    return static_cast<std::uint64_t>(*size);
}

std::string outcome(const std::string& vm, std::uint64_t balloon_mib, const VmPlan& plan) {
    const std::uint64_t left = plan.mem_mib - std::min(plan.mem_mib, balloon_mib);
    return fmt::format("{}  balloon {}, {} left to the guest\n", vm, format_size(balloon_mib), format_size(left));
}

} // namespace

void add_balloon(CLI::App& app, Session& session) {
    auto timeout_s = std::make_shared<int>(30);
    auto size = std::make_shared<std::string>();
    CLI::App* command = add_command(app, session, "balloon",
                                    "Take memory from a running machine, or give it back; without a size, show it");
    add_machine_option(*command, session);
    command->add_option("size", *size, "Memory that the balloon takes from the guest: 256MiB; 0 gives all back")
        ->type_name("SIZE");
    command->add_option("-t,--timeout", *timeout_s, "Seconds that the guest has for it")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    add_lock_timeout(*command, session);
    command->callback([&session, size, timeout_s] {
        const Directories where = directories();
        const KnownMachine machine = one_machine(session, where);
        const FileLock lock = lock_project(session, where, machine.project);
        const auto status = machine_status(machine.runtime_dir);
        if (!status) { throw Error(fmt::format("{} doesn't run", machine.name)); }
        const VmPlan plan = plan_of(*status);
        require_balloon(plan);
        const auto control = attach_control(*status);
        if (!size->empty()) {
            ProgressLine progress(STDERR_FILENO);
            set_balloon(*control, size_in_mib(*size), std::chrono::seconds(*timeout_s),
                        [&](std::uint64_t now) { progress.show(outcome(machine.name, now, plan)); });
        }
        print(outcome(machine.name, control->balloon_mib(), plan));
    });
}

} // namespace microvmc
