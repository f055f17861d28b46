#include "testkit/command.h"

#include "compiler/diagnostic.h"
#include "runtime/backend.h"
#include "runtime/commands/include_reader.h"
#include "runtime/commands/inputs.h"
#include "runtime/commands/pipeline.h"
#include "runtime/error.h"
#include "runtime/terminal.h"
#include "testkit/coverage_text.h"
#include "testkit/listing.h"
#include "testkit/load.h"
#include "testkit/report_file.h"
#include "testkit/report_html.h"
#include "testkit/report_junit.h"
#include "testkit/show_progress.h"
#include "testkit/spec_files.h"

#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <unistd.h>

namespace microvmc::testkit {

namespace {

constexpr int exit_nothing_ran = 2;

/// The machine that a command runs in; empty when the files are wrong, which loading says.
std::string only_machine(const std::vector<SourceFile>& machines) {
    Sources sources{machines};
    Diagnostics diagnostics;
    const std::optional<Config> config = microvmc::load(sources, all_traits(), diagnostics, read_included);
    if (!config) { return {}; }
    if (config->vms.size() == 1) { return config->vms.front().name.value; }
    std::vector<std::string> names;
    for (const VmConfig& vm : config->vms) { names.push_back(vm.name.value); }
    throw Error("which machine?",
                fmt::format("there are {}; a spec says which one: on = \"{}\"", fmt::join(names, ", "), names.front()));
}

/// The specs that the command line names, shipped ones when it names none.
std::vector<SourceFile> wanted_specs(const CommandLine& line, const Session& session,
                                     const std::vector<SourceFile>& machines) {
    std::vector<SourceFile> specs = read_specs(line.specs);
    for (const std::string& path : line.spec_files) { specs.push_back(read_source(path)); }
    if (!session.after_dashes.empty()) {
        std::string on;
        if (!machines.empty()) { on = only_machine(machines); }
        specs.push_back(command_spec(session.after_dashes, on, std::filesystem::current_path().string()));
    }
    if (!specs.empty()) { return specs; }
    if (!machines.empty()) {
        throw Error("which spec?", "name one: microvm-test -f microvm.toml --spec FILE; or run a command: -- COMMAND");
    }
    for (const ShippedSpec& shipped : shipped_specs()) { specs.push_back(read_source(shipped.path)); }
    if (specs.empty()) { throw Error("no specs came with microvm-test", "name a file: microvm-test FILE.toml"); }
    return specs;
}

bool report(const Diagnostics& diagnostics, const Specs& specs, const Session& session) {
    if (diagnostics.all().empty()) { return true; }
    if (session.json && diagnostics.has_errors()) {
        print(render_json(diagnostics, specs.sources).dump(2) + "\n");
    } else {
        complain(render_text(diagnostics, specs.sources, colour_on_stderr(session)));
    }
    return !diagnostics.has_errors();
}

void run_all(const Specs& specs, const std::vector<Target>& targets, const std::vector<Combination>& combinations,
             const CommandLine& line, Session& session) {
    // What can't be written is said before anything runs.
    std::optional<ReportFile> junit;
    std::optional<ReportFile> html;
    if (!line.junit_xml.empty()) { junit.emplace(line.junit_xml); }
    if (!line.html.empty()) { html.emplace(line.html); }
    RunOptions options = line.run;
    if (!options.artifacts.empty()) { options.artifacts = absolute_path(options.artifacts); }

    const int shown_on = session.json ? STDERR_FILENO : STDOUT_FILENO;
    const bool colour = session.json ? colour_on_stderr(session) : colour_on_stdout(session);
    const bool plain = !terminal(shown_on).interactive || options.interactive;
    // Who looks on may leave early (`| head`); the run goes on to its end, which ends its machines.
    ::signal(SIGPIPE, SIG_IGN);
    const std::unique_ptr<Progress> progress = show_progress(shown_on, plain, colour);
    RunReport result = run(specs, targets, combinations, options, *progress);
    result.program_version = MICROVMC_VERSION;

    if (line.coverage) {
        const Terminal where = terminal(shown_on);
        put_text(shown_on, "\n" + coverage_text(result.coverage, {where.width, where.height, colour}));
    }
    if (junit) { junit->write(junit_xml(result)); }
    if (html) { html->write(html_page(result)); }
    if (session.json) { print(to_json_text(result)); }
    session.status = exit_status(result, line.coverage);
}

} // namespace

int exit_status(const RunReport& report, bool coverage) {
    const std::size_t hangs = report.count(Outcome::hang);
    const std::size_t passed = report.count(Outcome::passed);
    const std::size_t failed = report.results.size() - passed - report.count(Outcome::skipped);
    if (failed > hangs) { return exit_failure; }
    if (hangs != 0) { return exit_timeout; }
    if (passed == 0) { return exit_nothing_ran; }
    return coverage && !unproven(report.coverage).empty() ? exit_failure : exit_ok;
}

void perform(const CommandLine& line, Session& session) {
    std::vector<SourceFile> machines;
    for (const std::string& path : session.files) { machines.push_back(read_source(path)); }
    std::vector<SourceFile> files = wanted_specs(line, session, machines);
    FactsRequest wanted;
    for (const NamedKernel& kernel : line.targets.kernels) { wanted.kernels.push_back(kernel.path); }
    const std::vector<Target> targets = find_targets(line.targets, host_facts(wanted));
    std::vector<HypervisorVersion> versions;
    for (const Target& target : targets) { versions.push_back({target.hypervisor, target.version}); }
    Diagnostics diagnostics;
    const Specs specs = load(std::move(machines), std::move(files), all_traits(), read_included, diagnostics, versions);
    if (!report(diagnostics, specs, session)) {
        session.status = exit_failure;
        return;
    }
    const std::vector<Combination> combinations = select(specs, targets, line.selection);
    if (line.list) {
        print(session.json ? listing_json(specs, targets, combinations, all_traits())
                           : listing_text(specs, targets, combinations, all_traits(), colour_on_stdout(session)));
        return;
    }
    if (combinations.empty()) {
        complain(line.selection.filters.empty() ? "nothing to run\n" : "nothing to run: no case fits --filter\n");
        session.status = exit_nothing_ran;
        return;
    }
    run_all(specs, targets, combinations, line, session);
}

} // namespace microvmc::testkit
