#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"

#include <fmt/format.h>

namespace microvmc {

void add_check(CLI::App& app, Session& session) {
    CLI::App* command = add_command(app, session, "check", "Check a microvm.toml against the language and this host");
    command->add_option("file", session.targets, "The microvm.toml (default: here or above)");
    command->add_flag("--json", session.json, "Print the diagnostics as JSON");
    command->callback([&session] {
        const Pipeline pipeline = compile(session, {});
        if (!report(pipeline, session)) {
            session.status = exit_failure;
            return;
        }
        if (session.json) {
            if (pipeline.diagnostics.all().empty()) { print("[]\n"); }
            return;
        }
        const std::size_t count = pipeline.plan->vms.size();
        print(fmt::format("{} is right: {} machine{}.\n", pipeline.project, count, count == 1 ? "" : "s"));
    });
}

} // namespace microvmc
