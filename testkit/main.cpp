#include "runtime/commands/session.h"
#include "testkit/command.h"
#include "testkit/command_line.h"
#include "testkit/subcommands.h"

#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
    using namespace microvmc;
    CLI::App app("Boots real guests from specs, on each hypervisor, and says what held.", "microvm-test");
    app.set_version_flag("--version", MICROVMC_VERSION);
    Session session;
    testkit::CommandLine line;
    testkit::add_options(app, session, line);
    testkit::add_schema(app);
    testkit::add_completion(app);
    app.callback([&] {
        if (app.get_subcommands().empty()) { testkit::perform(line, session); }
    });
    return run_app(app, session, argc, argv);
}
