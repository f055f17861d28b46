#include "runtime/commands/inputs.h"
#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"

#include "compiler/show.h"
#include "runtime/backend.h"
#include "runtime/error.h"

#include <algorithm>

namespace microvmc {

namespace {

// Those that were named, by themselves or by the name that their `count` stands under.
void keep_named(std::vector<ShownTable>& tables, const Config& config, const std::vector<std::string>& names) {
    if (names.empty()) { return; }
    std::vector<std::string> wanted;
    for (const std::string& name : names) {
        const std::size_t before = wanted.size();
        for (const VmConfig& vm : config.vms) {
            if (vm.name.value == name || vm.group == name) { wanted.push_back(vm.name.value); }
        }
        if (wanted.size() != before) { continue; }
        std::vector<std::string> all;
        for (const VmConfig& vm : config.vms) { all.push_back(vm.name.value); }
        throw no_machine(name, all);
    }
    std::erase_if(tables, [&](const ShownTable& table) {
        return table.kind != "vm" || std::ranges::find(wanted, table.name) == wanted.end();
    });
}

} // namespace

void add_show(CLI::App& app, Session& session) {
    CLI::App* command = add_command(
        app, session, "show", "Show machines with all that they inherit, as TOML, and where each line was written");
    command->add_option("target", session.targets, "A microvm.toml (default: here or above), or names of machines");
    command->add_flag("--json", session.json, "Print JSON");
    command->callback([&session] {
        Merged merged;
        const Pipeline pipeline = load_sources(session, &merged);
        if (!report(pipeline, session)) {
            session.status = exit_failure;
            return;
        }
        std::vector<ShownTable> tables = show(merged, pipeline.sources, all_traits());
        keep_named(tables, *pipeline.config, vm_names(session));
        print(session.json ? render_shown_json(tables).dump(2) + "\n" : render_toml(tables, colour_on_stdout(session)));
    });
}

} // namespace microvmc
