#include "testkit/report_html.h"

#include "testkit/coverage_text.h"
#include "testkit/readable.h"
#include "testkit/skipped.h"
#include "testkit/tally.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace microvmc::testkit {

namespace {

constexpr std::string_view css = R"(
:root { color-scheme: light dark; --text: #1f2328; --faint: #59636e; --page: #fff; --box: #f6f8fa; --line: #d1d9e0;
  --good: #1a7f37; --bad: #cf222e; --warn: #9a6700; --good-back: #dafbe1; --bad-back: #ffebe9; --warn-back: #fff8c5; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --faint: #9198a1; --page: #0d1117; --box: #161b22;
  --line: #3d444d; --good: #3fb950; --bad: #ff7b72; --warn: #d29922; --good-back: #12261e; --bad-back: #2d1214;
  --warn-back: #272115; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1200px; padding: 16px; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 24px; margin: 8px 0 4px; } h2 { font-size: 18px; margin: 28px 0 8px; }
p { margin: 4px 0; } a { color: inherit; }
.faint { color: var(--faint); } .good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
.counts { display: flex; flex-wrap: wrap; gap: 8px; margin: 12px 0; padding: 0; list-style: none; }
.counts li { border: 1px solid var(--line); border-radius: 8px; padding: 4px 12px; background: var(--box); }
.counts b { font-size: 18px; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 12px; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; }
tbody tr:last-child > * { border-bottom: 0; }
thead th { background: var(--box); font-weight: 600; } tbody th { font-weight: 500; }
thead th, td { white-space: nowrap; } td.text { white-space: normal; overflow-wrap: break-word; min-width: 9em; }
th:first-child { position: sticky; left: 0; background: var(--box); min-width: min(9em, 38vw); max-width: 60vw;
  overflow-wrap: break-word; white-space: normal; }
th.number { min-width: 0; }
td.good { background: var(--good-back); } td.bad { background: var(--bad-back); font-weight: 600; }
td.warn { background: var(--warn-back); }
details { border: 1px solid var(--line); border-radius: 8px; margin: 8px 0; background: var(--page); }
summary { cursor: pointer; padding: 8px 12px; background: var(--box); border-radius: 8px; }
details[open] > summary { border-bottom: 1px solid var(--line); border-radius: 8px 8px 0 0; }
details:target { outline: 2px solid var(--bad); }
details > div { padding: 8px 12px; } details .wide { border: 0; border-radius: 0 0 8px 8px; padding: 0; }
h3 { font-size: 13px; margin: 12px 0 4px; color: var(--faint); font-weight: 600; }
pre { margin: 0; padding: 8px 10px; background: var(--box); border: 1px solid var(--line); border-radius: 6px;
  font: 12.5px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; max-height: 480px; overflow-y: auto; }
code { font: 0.92em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.times { width: auto; } .times td { border: 0; padding: 1px 12px 1px 0; } .times td:first-child { text-align: right; }
@media (max-width: 600px) { body { padding: 10px; } th, td { padding: 5px 8px; } h1 { font-size: 20px; } }
@media print { pre { max-height: none; } }
)";

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        default: out += c;
        }
    }
    return out;
}

std::string line(std::string_view text) {
    return escaped(readable_line(text));
}

std::string block(std::string_view text) {
    return fmt::format("<pre>{}</pre>\n", escaped(readable_text(text)));
}

bool is_failure(const CaseResult& result) {
    return result.outcome != Outcome::passed && result.outcome != Outcome::skipped;
}

/// Where a failure is told of: its number among the results.
std::string anchor(const RunReport& report, const CaseResult& result) {
    return fmt::format("case-{}", &result - report.results.data() + 1);
}

std::string head(const RunReport& report) {
    std::string out = fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta "
        "charset=\"utf-8\"/>\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
        "<title>microvm-test on {}</title>\n<style>{}</style>\n</head>\n<body>\n",
        line(report.host), css);
    out += fmt::format("<h1>microvm-test on {}</h1>\n<p class=\"faint\">{} · {:%Y-%m-%d %H:%M} UTC · {}{}</p>\n",
                       line(report.host), line(report.host_summary), fmt::gmtime(report.started),
                       readable_time(report.duration_ms),
                       report.program_version.empty() ? "" : " · version " + line(report.program_version));
    return out;
}

std::string counts(const Count& sum) {
    std::string out = "<ul class=\"counts\">\n";
    const auto add = [&out](std::size_t count, const char* word, const char* colour) {
        if (count == 0) { return; }
        out += fmt::format("<li class=\"{}\"><b>{}</b> {}</li>\n", colour, count, word);
    };
    add(sum.failed, "failed", "bad");
    add(sum.passed, "passed", "good");
    add(sum.skipped, "skipped", "faint");
    out += "</ul>\n";
    if (sum.passed + sum.failed == 0) { out += "<p class=\"bad\">Nothing ran.</p>\n"; }
    return out;
}

std::string cell_of(const Count& count, const std::string& first_failure) {
    if (count.done() == 0) { return "<td></td>"; }
    if (count.done() == count.skipped) { return "<td class=\"faint\">skip</td>"; }
    std::vector<std::string> words;
    if (count.failed != 0) { words.push_back(fmt::format("<a href=\"#{}\">{} FAIL</a>", first_failure, count.failed)); }
    if (count.passed != 0) { words.push_back(fmt::format("{} ok", count.passed)); }
    if (count.skipped != 0) { words.push_back(fmt::format("{} skip", count.skipped)); }
    return fmt::format("<td class=\"{}\">{} <span class=\"faint\">{}</span></td>", count.failed == 0 ? "good" : "bad",
                       fmt::join(words, ", "), readable_time(count.duration_ms));
}

std::string heading_row(const char* first, const std::vector<std::string>& names) {
    std::string out = fmt::format("<thead><tr><th>{}</th>", first);
    for (const std::string& name : names) { out += fmt::format("<th>{}</th>", line(name)); }
    return out + "</tr></thead>\n";
}

std::string matrix(const RunReport& report, const Tally& tally) {
    std::string out =
        "<h2>Specs</h2>\n<div class=\"wide\"><table>\n" + heading_row("spec", tally.targets) + "<tbody>\n";
    for (const Tally::Spec& spec : tally.specs) {
        out += fmt::format("<tr><th>{}</th>", line(spec.name));
        for (std::size_t i = 0; i < tally.targets.size(); ++i) {
            const auto failure = std::ranges::find_if(report.results, [&](const CaseResult& result) {
                return is_failure(result) && result.spec == spec.name && result.target == tally.targets[i];
            });
            out += cell_of(spec.counts[i], failure == report.results.end() ? "" : anchor(report, *failure));
        }
        out += "</tr>\n";
    }
    return out + "</tbody>\n</table></div>\n";
}

std::string failure(const RunReport& report, const CaseResult& result, bool open) {
    std::string out = fmt::format(
        "<details id=\"{}\"{}>\n<summary><b class=\"bad\">{}</b> <b>{}</b> on {} <span class=\"faint\">{}</span><br/>{}"
        "</summary>\n<div>\n",
        anchor(report, result), open ? " open=\"open\"" : "", to_string(result.outcome), line(result.id()),
        line(result.target), readable_time(result.duration_ms), line(result.message));
    if (!result.where.empty()) { out += fmt::format("<p>at <code>{}</code></p>\n", line(result.where)); }
    if (!result.timeline.empty()) {
        out += "<h3>Time line</h3>\n<table class=\"times\">\n";
        for (const TimelineEntry& entry : result.timeline) {
            out += fmt::format("<tr><td class=\"faint\">{:.3f} s</td><td class=\"text\">{}</td></tr>\n",
                               static_cast<double>(entry.at_ms) / 1000, line(entry.text));
        }
        out += "</table>\n";
    }
    if (!result.command_lines.empty()) {
        out += "<h3>Command lines</h3>\n";
        for (const std::string& command : result.command_lines) { out += block(readable_line(command)); }
    }
    if (!result.console.empty()) { out += "<h3>Console</h3>\n" + block(result.console); }
    if (!result.artifacts.empty()) {
        out += fmt::format("<h3>Artifacts</h3>\n<p><code>{}</code></p>\n", line(result.artifacts));
    }
    return out + "</div>\n</details>\n";
}

std::string failures(const RunReport& report, const Count& sum) {
    if (sum.failed == 0) { return {}; }
    constexpr std::size_t few = 1; // the only one needs no tap
    std::string out = "<h2>Failures</h2>\n";
    for (const CaseResult& result : report.results) {
        if (is_failure(result)) { out += failure(report, result, sum.failed <= few); }
    }
    return out;
}

std::string skipped(const RunReport& report) {
    const std::vector<Skipped> reasons = skipped_reasons(report);
    if (reasons.empty()) { return {}; }
    std::string out = "<h2>Skipped</h2>\n<div class=\"wide\"><table>\n<thead><tr><th "
                      "class=\"number\">cases</th><th>why</th><th>specs</th>"
                      "<th>on</th></tr></thead>\n<tbody>\n";
    for (const Skipped& reason : reasons) {
        out += fmt::format("<tr><th class=\"number\">{}</th><td class=\"text\">{}</td><td class=\"text\">{}</td><td "
                           "class=\"text\">{}</td></tr>\n",
                           reason.count, line(reason.why), line(fmt::format("{}", fmt::join(reason.specs, ", "))),
                           line(fmt::format("{}", fmt::join(reason.targets, ", "))));
    }
    return out + "</tbody>\n</table></div>\n";
}

std::string case_cell(const RunReport& report, const CaseResult& result) {
    switch (result.outcome) {
    case Outcome::passed:
        return fmt::format("<td class=\"good\">ok <span class=\"faint\">{}{}</span></td>",
                           readable_time(result.duration_ms),
                           result.attempt > 1 ? fmt::format(", attempt {}", result.attempt) : "");
    case Outcome::wrong:
    case Outcome::panic:
    case Outcome::crash:
    case Outcome::hang:
    case Outcome::error: break;
    case Outcome::skipped: return fmt::format("<td class=\"faint\" title=\"{}\">skip</td>", line(result.message));
    }
    return fmt::format("<td class=\"bad\"><a href=\"#{}\">{}</a> <span class=\"faint\">{}</span></td>",
                       anchor(report, result), to_string(result.outcome), readable_time(result.duration_ms));
}

/// Each spec's cases, one a row.
std::string cases(const RunReport& report, const Tally& tally) {
    std::string out = tally.specs.empty() ? "" : "<h2>Cases</h2>\n";
    for (const Tally::Spec& spec : tally.specs) {
        std::vector<std::string> names;
        std::size_t failed = 0;
        for (const CaseResult& result : report.results) {
            if (result.spec != spec.name) { continue; }
            failed += is_failure(result) ? 1 : 0;
            if (std::ranges::find(names, result.name) == names.end()) { names.push_back(result.name); }
        }
        out += fmt::format("<details>\n<summary><b>{}</b> <span class=\"faint\">{}{}</span>{}</summary>\n"
                           "<div class=\"wide\"><table>\n",
                           line(spec.name), names.size(), names.size() == 1 ? " case" : " cases",
                           failed == 0 ? "" : fmt::format(" <b class=\"bad\">{} failed</b>", failed));
        out += heading_row("case", tally.targets) + "<tbody>\n";
        for (const std::string& name : names) {
            out += fmt::format("<tr><th>{}</th>", line(name.empty() ? spec.name : name));
            for (const std::string& target : tally.targets) {
                // The last one counts, of a case that was repeated.
                const CaseResult* last = nullptr;
                for (const CaseResult& result : report.results) {
                    const bool same = result.spec == spec.name && result.name == name && result.target == target;
                    if (same && (last == nullptr || !is_failure(*last))) { last = &result; }
                }
                out += last == nullptr ? "<td></td>" : case_cell(report, *last);
            }
            out += "</tr>\n";
        }
        out += "</tbody>\n</table></div>\n</details>\n";
    }
    return out;
}

std::string coverage_cell(const CoverageCell* cell) {
    if (cell == nullptr) { return "<td class=\"faint\">-</td>"; }
    const char* mark = cell->support == "bridged" ? "bridged: " : "";
    if (!cell->cases.empty()) {
        return fmt::format("<td class=\"good text\">{}{}</td>", mark,
                           line(fmt::format("{}", fmt::join(cell->cases, ", "))));
    }
    if (!cell->excuse.empty()) {
        return fmt::format("<td class=\"warn text\">{}excused: {}</td>", mark, line(cell->excuse));
    }
    return fmt::format("<td class=\"bad\">{}unproven</td>", mark);
}

std::string coverage(const RunReport& report) {
    if (report.coverage.empty()) { return {}; }
    const CoverageTable table = coverage_table(report.coverage);
    const std::size_t open = unproven(report.coverage).size();
    std::string out =
        fmt::format("<h2>Coverage</h2>\n<details>\n<summary>{} claims of the hypervisors{}</summary>\n<div "
                    "class=\"wide\"><table>\n",
                    report.coverage.size(), open == 0 ? "" : fmt::format(", <b class=\"bad\">{} unproven</b>", open));
    out += heading_row("capability", table.hypervisors) + "<tbody>\n";
    for (std::size_t i = 0; i < table.capabilities.size(); ++i) {
        out += fmt::format("<tr><th>{}</th>", line(table.capabilities[i]));
        for (const CoverageCell* cell : table.cells[i]) { out += coverage_cell(cell); }
        out += "</tr>\n";
    }
    return out + "</tbody>\n</table></div>\n</details>\n";
}

std::string targets(const RunReport& report) {
    std::string out = "<h2>Hypervisors</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>name</th><th>version</th>"
                      "<th>program</th><th>kernel</th></tr></thead>\n<tbody>\n";
    for (const Target& target : report.targets) {
        out += fmt::format("<tr><th>{}</th>", line(target.name()));
        if (target.unusable.empty()) {
            out += fmt::format("<td>{}</td><td><code>{}</code></td><td>{}</td></tr>\n", line(target.version),
                               line(target.program), line(target.kernel));
        } else {
            out += fmt::format("<td colspan=\"3\" class=\"text faint\">{}</td></tr>\n", line(target.unusable));
        }
    }
    return out + "</tbody>\n</table></div>\n";
}

} // namespace

std::string html_page(const RunReport& report) {
    const Tally tally = tally_of(report);
    const Count sum = tally.sum();
    std::string out = head(report) + counts(sum);
    if (!tally.specs.empty()) { out += matrix(report, tally); }
    out += failures(report, sum) + skipped(report) + cases(report, tally) + coverage(report);
    if (!report.targets.empty()) { out += targets(report); }
    return out + "</body>\n</html>\n";
}

} // namespace microvmc::testkit
