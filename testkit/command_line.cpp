#include "testkit/command_line.h"

#include "compiler/text.h"
#include "runtime/commands/inputs.h"

#include <fmt/format.h>

namespace microvmc::testkit {

namespace {

constexpr const char* matching = "Options of what is run";
constexpr const char* running = "Options of how it is run";
constexpr const char* reporting = "Options of what is reported";

/// "2/3"
void read_shard(const std::string& text, Selection& selection) {
    const std::size_t slash = text.find('/');
    const auto shard = parse_number(text.substr(0, slash));
    const auto shards = slash == std::string::npos ? std::nullopt : parse_number(text.substr(slash + 1));
    if (!shard || !shards || *shard < 1 || *shard > *shards || *shards > 100'000) {
        throw CLI::ValidationError("--shard", fmt::format("{}: it is written K/N, such as 1/3", printable(text)));
    }
    selection.shard = static_cast<std::size_t>(*shard);
    selection.shards = static_cast<std::size_t>(*shards);
}

/// "90" (seconds) or "1m30s"
std::int64_t read_duration(const std::string& option, const std::string& text) {
    std::string problem;
    auto ms = parse_duration(text, problem);
    if (const auto seconds = parse_number(text); seconds && *seconds <= std::int64_t{365} * 24 * 3600) {
        ms = *seconds * 1000;
    }
    if (!ms || *ms == 0) { throw CLI::ValidationError(option, problem.empty() ? "a timeout is more than 0" : problem); }
    return *ms;
}

void add_selection(CLI::App& app, Session& session, CommandLine& line) {
    app.add_option("spec", line.specs,
                   "Files, directories of them, or names of specs that come with microvm-test "
                   "(default: all of those)");
    app.add_option("-f,--file", session.files,
                   "A microvm.toml whose machines the specs are about; repeated, later ones "
                   "are merged over earlier")
        ->allow_extra_args(false)
        ->type_name("FILE")
        ->group(matching);
    app.add_option("--spec", line.spec_files, "A spec's file, as the argument; repeatable")
        ->allow_extra_args(false)
        ->type_name("FILE")
        ->group(matching);
    app.add_option("--hypervisor", line.targets.hypervisors,
                   "Run on this hypervisor, by its best accelerator or the one "
                   "named behind a colon; repeatable (default: the first that "
                   "works)")
        ->allow_extra_args(false)
        ->check(CLI::IsMember(target_names()))
        ->type_name("NAME")
        ->group(matching);
    app.add_flag("--all-hypervisors", line.targets.all, "Run on every hypervisor, by each of its accelerators")
        ->group(matching);
    app.add_option_function<std::vector<std::string>>(
           "--kernel",
           [&line](const std::vector<std::string>& files) {
               for (const std::string& file : files) { line.targets.kernels.push_back(named_kernel(file)); }
           },
           "Boot this kernel, whatever the machines say; repeatable: each case with each. HYPERVISOR=FILE: one for it "
           "alone")
        ->allow_extra_args(false)
        ->type_name("FILE")
        ->group(matching);
    app.add_option("--filter", line.selection.filters,
                   "Only cases that fit, by ID@TARGET, in which * and ? stand for "
                   "any text and any character; repeatable")
        ->allow_extra_args(false)
        ->type_name("PATTERN")
        ->group(matching);
    app.add_option_function<std::string>(
           "--shard", [&line](const std::string& text) { read_shard(text, line.selection); },
           "Only the Kth of N parts, which are the same ones each time")
        ->type_name("K/N")
        ->group(matching);
    app.add_flag("--list", line.list, "List what would be run, and run nothing")->group(matching);
}

void add_running(CLI::App& app, CommandLine& line) {
    app.add_option("-j,--jobs", line.run.jobs, "How many boots at once (default: by processors and memory)")
        ->check(CLI::Range(1, 1000))
        ->type_name("N")
        ->group(running);
    app.add_option("--repeat", line.run.repeat, "Run each case N times")
        ->check(CLI::Range(1, 1'000'000))
        ->type_name("N")
        ->group(running);
    app.add_flag("--fail-fast", line.run.fail_fast, "Begin nothing new after a failure")->group(running);
    app.add_option_function<std::string>(
           "--timeout", [&line](const std::string& text) { line.run.timeout_ms = read_duration("--timeout", text); },
           "How long a case may take, whatever its spec says: 90, 1m30s")
        ->type_name("DURATION")
        ->group(running);
    app.add_option_function<std::string>(
           "--run-timeout",
           [&line](const std::string& text) { line.run.run_timeout_ms = read_duration("--run-timeout", text); },
           "How long all of it may take; what runs then has hung, what waits is skipped")
        ->type_name("DURATION")
        ->group(running);
    app.add_flag("--keep", line.run.keep, "Leave the machines and files of a case that failed")->group(running);
    app.add_flag("--interactive", line.run.interactive, "Stop at a failure, and enter the guest")->group(running);
    app.add_flag("--retry-failed", line.run.retry_failed, "Run what failed once more, in a boot of its own")
        ->group(running);
    app.add_flag_callback(
           "--no-snapshot", [&line] { line.run.snapshots = false; },
           "Boot anew for each isolated case instead of going back to a snapshot")
        ->group(running);
    app.add_option("--require", line.run.require,
                   "Fail where cases would be skipped since this hypervisor doesn't work "
                   "here; repeatable")
        ->allow_extra_args(false)
        ->type_name("NAME")
        ->group(running);
}

void add_reporting(CLI::App& app, Session& session, CommandLine& line) {
    app.add_flag("--coverage", line.coverage,
                 "Show which capabilities were proven on which hypervisor; fail when one "
                 "that is claimed was not")
        ->group(reporting);
    app.add_option("--junit-xml", line.junit_xml, "Write a report as JUnit XML")->type_name("FILE")->group(reporting);
    app.add_option("--html", line.html, "Write a report as one HTML page")->type_name("FILE")->group(reporting);
    app.add_flag("--json", session.json, "Print the report, or the list, as JSON")->group(reporting);
    app.add_option("--artifacts", line.run.artifacts, "Keep the logs, plans and command lines of what failed there")
        ->type_name("DIR")
        ->group(reporting);
    app.add_flag("--no-color", session.no_color, "Never colour the output")->group(reporting);
}

} // namespace

void add_options(CLI::App& app, Session& session, CommandLine& line) {
    add_selection(app, session, line);
    add_running(app, line);
    add_reporting(app, session, line);
}

} // namespace microvmc::testkit
