#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/resolve.h"
#include "compiler/text.h"
#include "runtime/backend.h"
#include "runtime/error.h"
#include "runtime/terminal.h"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace microvmc {

namespace {

/// "e0412" -> "E0412"; empty: it is no code's form.
std::string as_code(std::string text) {
    if (text.size() != 5) { return {}; }
    if (text[0] == 'e' || text[0] == 'w') { text[0] = static_cast<char>(text[0] - 'a' + 'A'); }
    const bool digits = std::all_of(text.begin() + 1, text.end(), [](char c) { return c >= '0' && c <= '9'; });
    return digits && (text[0] == 'E' || text[0] == 'W') ? text : std::string();
}

/// In lines of at most `width` columns.
std::string wrapped(std::string_view text, std::size_t width) {
    std::string out;
    std::size_t column = 0;
    while (!text.empty()) {
        const auto end = text.find(' ');
        const std::string_view word = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        const std::size_t wide = display_width(word);
        if (column != 0) {
            const bool fits = column + 1 + wide <= width;
            out += fits ? ' ' : '\n';
            column = fits ? column + 1 : 0;
        }
        out += word;
        column += wide;
    }
    return out + "\n";
}

void explain_code(const std::string& code, const Session& session) {
    const CodeInfo* info = find_code(code);
    if (info == nullptr) {
        std::vector<std::string_view> known;
        for (const CodeInfo& each : diagnostic_codes()) { known.push_back(each.code); }
        const std::string_view meant = nearest(code, known);
        throw Error(fmt::format("there is no code {}", code),
                    meant.empty() ? "docs/LANGUAGE.md lists all of them" : fmt::format("did you mean {}?", meant));
    }
    const bool colour = colour_on_stdout(session);
    const char* severity = code.front() == 'E' ? "\x1b[1;31m" : "\x1b[1;33m";
    const std::size_t width = std::min<std::size_t>(terminal(STDOUT_FILENO).width, 100);
    print(fmt::format("{}{}{}  {}{}{}\n\n{}", colour ? severity : "", info->code, colour ? "\x1b[0m" : "",
                      colour ? "\x1b[1m" : "", info->title, colour ? "\x1b[0m" : "",
                      wrapped(info->explanation, width)));
}

nlohmann::json json_of(const HypervisorChoice& choice) {
    return {{"hypervisor", choice.name}, {"program", choice.program}, {"version", choice.version},
            {"accel", choice.accel},     {"allowed", choice.allowed}, {"chosen", choice.chosen},
            {"reasons", choice.reasons}};
}

/// One row a hypervisor, and a line for each reason but the first.
std::string choices_table(const std::vector<HypervisorChoice>& choices, bool colour) {
    std::vector<std::vector<std::string>> rows{{"HYPERVISOR", "VERSION", "ACCEL", "", "WHY"}};
    for (const HypervisorChoice& choice : choices) {
        const std::string verdict = choice.chosen ? "chosen" : choice.reasons.empty() ? "could" : "can't";
        std::string why = choice.chosen ? "the first that can do it all" : "another comes first";
        if (choice.chosen && choice.accel == "tcg") { why += "; emulated: " + choice.accel_reason; }
        if (!choice.reasons.empty()) { why = choice.reasons.front(); }
        rows.push_back({choice.name, choice.version, choice.accel, verdict, std::move(why)});
        for (std::size_t i = 1; i < choice.reasons.size(); ++i) { rows.push_back({"", "", "", "", choice.reasons[i]}); }
    }
    return render_table(rows, colour);
}

void explain_vm(const std::string& name, Session& session) {
    session.targets.clear();
    Pipeline pipeline = load_sources(session);
    if (!pipeline.config) {
        report(pipeline, session);
        session.status = exit_failure;
        return;
    }
    const auto vm = std::ranges::find_if(pipeline.config->vms, [&](const VmConfig& each) {
        return each.name.value == name || each.group == name; // the instances of a `count` are alike
    });
    if (vm == pipeline.config->vms.end()) {
        std::vector<std::string_view> known;
        for (const VmConfig& each : pipeline.config->vms) { known.push_back(each.name.value); }
        const std::string_view meant = nearest(name, known);
        throw Error(fmt::format("`{}` is no machine of this project, and no code of a message", printable(name)),
                    meant.empty() ? "a code is E or W and four digits, as it stands in the message: E0201"
                                  : fmt::format("did you mean `{}`?", meant));
    }
    const ResolveOptions options{session.project, false};
    gather(pipeline, session, {});
    const auto choices = hypervisor_choices(*vm, *pipeline.config, pipeline.sources, all_traits(), pipeline.facts,
                                            pipeline.observed, options);
    if (session.json) {
        nlohmann::json json = nlohmann::json::array();
        for (const HypervisorChoice& choice : choices) { json.push_back(json_of(choice)); }
        print(nlohmann::json{{"vm", vm->name.value}, {"hypervisors", json}}.dump(2) + "\n");
    } else {
        print(choices_table(choices, colour_on_stdout(session)));
    }
}

} // namespace

void add_explain(CLI::App& app, Session& session) {
    auto what = std::make_shared<std::string>();
    CLI::App* command = add_command(app, session, "explain",
                                    "Explain the code of a message (E0201), or the choice of a machine's hypervisor");
    command->add_option("what", *what, "A code, or the name of a machine")->required()->type_name("CODE|VM");
    command->add_flag("--json", session.json, "Print the choice as JSON");
    command->add_option("--facts", session.facts_file, "Of the host whose facts these are (doctor --json)")
        ->type_name("FILE");
    command->callback([&session, what] {
        if (const std::string code = as_code(*what); !code.empty()) {
            explain_code(code, session);
        } else {
            explain_vm(*what, session);
        }
    });
}

} // namespace microvmc
