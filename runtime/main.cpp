#include "runtime/commands/session.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/terminal.h"

#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <string_view>

namespace microvmc {

namespace {

// A message may have several lines, and names that others gave: of files, of what a guest printed.
std::string printable_lines(std::string_view text) {
    std::string out;
    for (;;) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        out += printable(text.substr(0, end));
        if (end == text.size()) { return out; }
        out += '\n';
        text.remove_prefix(end + 1);
    }
}

void report_error(const Session& session, const std::exception& error, const std::string& help) {
    const bool colour = colour_on_stderr(session);
    complain(fmt::format("{}error:{} {}\n", colour ? "\x1b[1;31m" : "", colour ? "\x1b[0m" : "",
                         printable_lines(error.what())));
    if (!help.empty()) {
        complain(
            fmt::format("{}help:{} {}\n", colour ? "\x1b[1;36m" : "", colour ? "\x1b[0m" : "", printable_lines(help)));
    }
}

int run_command(int argc, char** argv) {
    CLI::App app("Describes virtual machines in a microvm.toml and runs them on any hypervisor.", "microvmc");
    app.set_version_flag("--version", MICROVMC_VERSION);
    app.require_subcommand(1);
    Session session;
    // Behind `--` stands the guest's command line, which is none of CLI11's business.
    char** const dashes =
        std::find_if(argv, argv + argc, [](const char* word) { return std::string_view(word) == "--"; });
    if (dashes != argv + argc) { session.after_dashes.assign(dashes + 1, argv + argc); }
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
        if (dashes == argv + argc || app.got_subcommand("run") || app.got_subcommand("exec")) { return; }
        throw CLI::ExtrasError("behind -- stands a command for the guest, which only `run` and `exec` take",
                               CLI::ExitCodes::ExtrasError);
    });
    try {
        app.parse(static_cast<int>(dashes - argv), argv);
    } catch (const CLI::ParseError& error) {
        const int status = app.exit(error);
        return status == 0 ? exit_ok : exit_usage;
    } catch (const TimeoutError& error) {
        report_error(session, error, error.help);
        return exit_timeout;
    } catch (const Error& error) {
        report_error(session, error, error.help);
        return session.failure;
    } catch (const std::exception& error) {
        report_error(session, error, {});
        return session.failure;
    }
    return session.status;
}

} // namespace

} // namespace microvmc

int main(int argc, char** argv) {
    return microvmc::run_command(argc, argv);
}
