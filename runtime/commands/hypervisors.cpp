#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"

#include "compiler/reference_markdown.h"
#include "runtime/backend.h"
#include "runtime/terminal.h"

#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>

namespace microvmc {

namespace {

/// The program that runs machines of this host's architecture; null when it isn't installed.
const ToolFacts* installed(const Traits& traits, const HostFacts& facts) {
    for (const Traits::Program& program : traits.programs) {
        const auto found = facts.tools.find(std::string(program.name));
        if (program.arch == facts.arch && found != facts.tools.end()) { return &found->second; }
    }
    return nullptr;
}

nlohmann::json as_json(const HostFacts& facts) {
    nlohmann::json all = nlohmann::json::array();
    for (const Backend* backend : backends()) {
        const Traits& traits = backend->traits;
        nlohmann::json capabilities = nlohmann::json::object();
        for (const CapabilityName& known : known_capabilities()) {
            const Capability& capability = traits.capability(known.name);
            nlohmann::json& entry = capabilities[std::string(known.name)];
            entry["support"] =
                capability.support == Support::unsupported ? "unsupported" : support_word(capability.support);
            if (!capability.why.empty()) { entry["why"] = capability.why; }
            if (!capability.remedy.empty()) { entry["remedy"] = capability.remedy; }
        }
        nlohmann::json& entry = all.emplace_back();
        entry = {{"name", traits.name},
                 {"title", traits.title},
                 {"accels", traits.accels},
                 {"capabilities", std::move(capabilities)}};
        const ToolFacts* tool = installed(traits, facts);
        entry["installed"] =
            tool == nullptr ? nlohmann::json() : nlohmann::json{{"path", tool->path}, {"version", tool->version}};
    }
    return {{"version", 1}, {"hypervisors", std::move(all)}};
}

std::string programs_text(const HostFacts& facts, bool colour) {
    std::vector<std::vector<std::string>> rows{{"HYPERVISOR", "VERSION", "PROGRAM"}};
    for (const Backend* backend : backends()) {
        const ToolFacts* tool = installed(backend->traits, facts);
        const std::string name(backend->traits.name);
        if (tool == nullptr) {
            rows.push_back({name, "-", "not installed"});
        } else {
            rows.push_back({name, tool->version.empty() ? "?" : tool->version, tool->path});
        }
    }
    return render_table(rows, colour);
}

std::string table_text(bool colour) {
    std::vector<std::vector<std::string>> rows{{"CAPABILITY"}};
    for (const Backend* backend : backends()) { rows[0].emplace_back(backend->traits.name); }
    rows[0].emplace_back("WHAT IT IS");
    for (const CapabilityName& known : known_capabilities()) {
        auto& row = rows.emplace_back();
        row.emplace_back(known.name);
        for (const Backend* backend : backends()) {
            row.emplace_back(support_word(backend->traits.capability(known.name).support));
        }
        row.emplace_back(known.doc);
    }
    return render_table(rows, colour);
}

std::string reasons_text(bool colour) {
    std::vector<std::vector<std::string>> rows{{"CAPABILITY", "HYPERVISOR", "WHY", "INSTEAD"}};
    for (const CapabilityName& known : known_capabilities()) {
        for (const Backend* backend : backends()) {
            const Capability& capability = backend->traits.capability(known.name);
            if (capability.support == Support::native) { continue; }
            rows.push_back({std::string(known.name), std::string(backend->traits.name), std::string(capability.why),
                            std::string(capability.remedy)});
        }
    }
    return render_table(rows, colour);
}

} // namespace

void add_hypervisors(CLI::App& app, Session& session) {
    auto why = std::make_shared<bool>(false);
    CLI::App* command = app.add_subcommand("hypervisors", "Show what each hypervisor can do, and which are installed");
    command->add_flag("--why", *why, "Why a capability is missing, and what would do it");
    command->add_flag("--json", session.json, "Print JSON");
    command->add_flag("--no-color", session.no_color, "Never colour the output");
    command->callback([&session, why] {
        const HostFacts facts = host_facts();
        if (session.json) {
            print(as_json(facts).dump(2) + "\n");
            return;
        }
        const bool colour = colour_on_stdout(session);
        print(programs_text(facts, colour) + "\n" + (*why ? reasons_text(colour) : table_text(colour)));
    });
}

} // namespace microvmc
