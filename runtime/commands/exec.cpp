#include "runtime/commands/machines.h"
#include "runtime/commands/session.h"

#include "runtime/error.h"
#include "runtime/machine.h"

#include <fmt/format.h>

#include <memory>
#include <unistd.h>

namespace microvmc {

namespace {

struct ExecFlags {
    std::vector<std::string> env;
    std::string workdir;
    bool tty = false;
    bool no_tty = false;
};

std::map<std::string, std::string> environment(const std::vector<std::string>& assignments) {
    std::map<std::string, std::string> env;
    for (const std::string& assignment : assignments) {
        const std::size_t equals = assignment.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw Error(fmt::format("--env {}: not NAME=VALUE", assignment));
        }
        env[assignment.substr(0, equals)] = assignment.substr(equals + 1);
    }
    return env;
}

} // namespace

void add_exec(CLI::App& app, Session& session) {
    auto flags = std::make_shared<ExecFlags>();
    CLI::App* command = add_command(app, session, "exec", "Run a command in a machine; its status is that of this one");
    command->footer("The command stands behind --: microvmc exec web -- sh -c 'echo $HOSTNAME'. Signals are passed on; "
                    "the third within 2 seconds ends this program whatever the guest does.\n"
                    "125: it could not be run at all.");
    command->add_option("vm", session.targets, "The machine (default: the only one)");
    command->add_option("-e,--env", flags->env, "A variable of its environment")
        ->allow_extra_args(false)
        ->type_name("NAME=VALUE");
    command->add_option("-w,--workdir", flags->workdir, "The guest's directory that it runs in (default: /)");
    command->add_flag("-t,--tty", flags->tty, "Give it a terminal (default: when this program has one)");
    command->add_flag("-T,--no-tty", flags->no_tty, "Give it none")->excludes("--tty");
    command->callback([&session, flags] {
        session.failure = exit_never_ran;
        if (session.after_dashes.empty()) { throw Error("no command", "it stands behind --: microvmc exec web -- ls"); }
        const KnownMachine machine = one_machine(session, directories());
        ExecRequest request;
        request.argv = session.after_dashes;
        request.env = environment(flags->env);
        request.workdir = flags->workdir;
        const bool on_terminal = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
        request.tty = flags->tty || (on_terminal && !flags->no_tty);
        session.status = exec_in_machine(machine.runtime_dir, request);
    });
}

} // namespace microvmc
