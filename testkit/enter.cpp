#include "testkit/enter.h"

#include "compiler/text.h"
#include "runtime/commands/session.h"
#include "runtime/error.h"
#include "runtime/machine.h"

#include <cstdlib>
#include <fmt/format.h>

namespace microvmc::testkit {

namespace {

const VmPlan* first_that_answers(const Plan& plan) {
    for (const VmPlan& vm : plan.vms) {
        try {
            const auto status = machine_status(vm.runtime_dir);
            if (status && status->agent) { return &vm; }
        } catch (const Error&) {} // one that doesn't answer
    }
    return nullptr;
}

} // namespace

void enter(const CaseResult& failed, const Plan& plan) {
    complain(fmt::format("\n{} on {}: {}\n{}\n{}", failed.id(), failed.target, to_string(failed.outcome),
                         failed.message, failed.console));
    const VmPlan* vm = first_that_answers(plan);
    if (vm == nullptr) {
        complain("No machine of it answers any more.\n");
        return;
    }
    complain(fmt::format("This is a shell in {}; its end goes on with the run.\n", vm->name));
    const char* const terminal = std::getenv("TERM");
    try {
        exec_in_machine(
            vm->runtime_dir,
            {.argv = {"sh"}, .env = {{"TERM", terminal == nullptr ? "linux" : terminal}}, .workdir = {}, .tty = true});
    } catch (const Error& error) { complain(fmt::format("{}\n", printable(error.what()))); }
}

} // namespace microvmc::testkit
