#include "runtime/commands/session.h"

namespace microvmc {

namespace {

int run_command(int argc, char** argv) {
    CLI::App app("Describes virtual machines in a microvm.toml and runs them on any hypervisor.", "microvmc");
    app.set_version_flag("--version", MICROVMC_VERSION);
    app.require_subcommand(1);
    Session session;
    add_check(app, session);
    add_plan(app, session);
    add_apply(app, session);
    add_status(app, session);
    add_start(app, session);
    add_stop(app, session);
    add_restart(app, session);
    add_wait(app, session);
    add_destroy(app, session);
    add_pause(app, session);
    add_resume(app, session);
    add_balloon(app, session);
    add_snapshot(app, session);
    add_restore(app, session);
    add_stats(app, session);
    add_exec(app, session);
    add_cp(app, session);
    add_events(app, session);
    add_console(app, session);
    add_logs(app, session);
    add_show(app, session);
    add_run(app, session);
    add_doctor(app, session);
    add_hypervisors(app, session);
    add_explain(app, session);
    add_init(app, session);
    add_schema(app, session);
    add_completion(app, session);
    app.parse_complete_callback([&] { // before the command's own
        if (!session.dashes || app.got_subcommand("run") || app.got_subcommand("exec")) { return; }
        throw CLI::ExtrasError("behind -- stands a command for the guest, which only `run` and `exec` take",
                               CLI::ExitCodes::ExtrasError);
    });
    return run_app(app, session, argc, argv);
}

} // namespace

} // namespace microvmc

int main(int argc, char** argv) {
    return microvmc::run_command(argc, argv);
}
