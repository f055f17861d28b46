#include "runtime/commands/machines.h"
#include "runtime/commands/session.h"

#include "runtime/error.h"
#include "runtime/machine.h"

#include <fmt/format.h>

#include <unistd.h>

namespace microvmc {

void add_console(CLI::App& app, Session& session) {
    CLI::App* command = add_command(app, session, "console", "Attach to a machine's serial console; Ctrl-] detaches");
    command->add_option("vm", session.targets, "The machine (default: the only one)");
    command->callback([&session] {
        const KnownMachine machine = one_machine(session, directories());
        if (::isatty(STDIN_FILENO) == 1) { complain(fmt::format("Connected to {}; Ctrl-] detaches.\n", machine.name)); }
        switch (attach_console(machine.runtime_dir)) {
        case ConsoleEnd::detached: complain("\nDetached.\n"); break;
        case ConsoleEnd::machine_ended: {
            const auto end = last_end(machine.runtime_dir);
            complain(fmt::format("\n{} {}.\n", machine.name, end ? describe(*end) : "ended"));
            break;
        }
        }
    });
}

} // namespace microvmc
