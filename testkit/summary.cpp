#include "testkit/summary.h"

#include "testkit/cells.h"
#include "testkit/failure_text.h"
#include "testkit/readable.h"
#include "testkit/skipped.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace microvmc::testkit {

namespace {

bool is_failure(Outcome outcome) {
    return outcome != Outcome::passed && outcome != Outcome::skipped;
}

std::string on_target(const CaseResult& result) {
    return readable_line(fmt::format("{} on {}", result.id(), result.target));
}

std::string failures_text(const RunReport& report, bool colour) {
    std::string text;
    for (const CaseResult& result : report.results) {
        if (!is_failure(result.outcome)) { continue; }
        text += fmt::format("\n{} {} ({}): {}\n", styled({"FAIL", style::bad}, colour),
                            styled({on_target(result), style::heading}, colour), readable_time(result.duration_ms),
                            to_string(result.outcome));
        const std::string all = failure_text(result);
        for (std::size_t begin = 0; begin < all.size();) {
            const std::size_t end = all.find('\n', begin);
            text += "  " + all.substr(begin, end - begin) + '\n';
            begin = end + 1;
        }
    }
    return text;
}

std::string skipped_text(const RunReport& report, const Canvas& canvas) {
    const std::vector<Skipped> reasons = skipped_reasons(report);
    if (reasons.empty()) { return {}; }
    std::string text = "\nSkipped:\n";
    for (const Skipped& reason : reasons) {
        text += fmt::format("  {:>4}  {}\n", reason.count, readable_line(reason.why));
        const std::string what =
            readable_line(fmt::format("{} on {}", fmt::join(reason.specs, ", "), fmt::join(reason.targets, ", ")));
        constexpr std::size_t indentation = 8;
        const std::size_t room = canvas.width > indentation + 20 ? canvas.width - indentation : 20;
        text += "        " + styled({fitted(what, room), style::faint}, canvas.colour) + "\n";
    }
    return text;
}

std::string totals_text(const RunReport& report, bool colour) {
    std::size_t late = 0;
    std::size_t failed = 0;
    for (const CaseResult& result : report.results) {
        late += result.outcome == Outcome::passed && result.attempt > 1 ? 1 : 0;
        failed += is_failure(result.outcome) ? 1 : 0;
    }
    const std::size_t passed = report.count(Outcome::passed);
    const std::size_t skipped = report.count(Outcome::skipped);
    std::vector<std::string> kinds;
    for (const Outcome outcome : {Outcome::wrong, Outcome::panic, Outcome::crash, Outcome::hang, Outcome::error}) {
        if (report.count(outcome) != 0) {
            kinds.push_back(fmt::format("{} {}", report.count(outcome), to_string(outcome)));
        }
    }
    std::vector<std::string> words;
    if (failed != 0) {
        words.push_back(styled({fmt::format("{} failed", failed), style::bad}, colour) +
                        fmt::format(" ({})", fmt::join(kinds, ", ")));
    }
    if (passed != 0 || report.results.empty()) {
        words.push_back(styled({fmt::format("{} passed", passed), passed == 0 ? style::plain : style::good}, colour) +
                        (late == 0 ? std::string() : fmt::format(" ({} at a further attempt)", late)));
    }
    if (skipped != 0) { words.push_back(fmt::format("{} skipped", skipped)); }
    std::string text = fmt::format("\n{} in {}.\n", fmt::join(words, ", "), readable_time(report.duration_ms));
    if (passed == 0 && failed == 0) { text += "Nothing ran.\n"; }
    return text;
}

} // namespace

std::string case_line(const CaseResult& result, bool colour) {
    const std::string what = on_target(result);
    const std::string time = readable_time(result.duration_ms);
    switch (result.outcome) {
    case Outcome::passed:
        return fmt::format("{}   {} ({}{})", styled({"ok", style::good}, colour), what, time,
                           result.attempt > 1 ? fmt::format(", attempt {}", result.attempt) : "");
    case Outcome::wrong:
    case Outcome::panic:
    case Outcome::crash:
    case Outcome::hang:
    case Outcome::error: break;
    case Outcome::skipped:
        return fmt::format("{} {}: {}", styled({"skip", style::faint}, colour), what, readable_line(result.message));
    }
    return fmt::format("{} {} ({}): {}: {}{}", styled({"FAIL", style::bad}, colour), what, time,
                       to_string(result.outcome), readable_line(result.message),
                       result.where.empty() ? "" : " at " + readable_line(result.where));
}

std::string summary_text(const RunReport& report, const Canvas& canvas) {
    std::string text = failures_text(report, canvas.colour) + skipped_text(report, canvas) + '\n';
    for (const std::string& line : matrix_lines(tally_of(report), canvas)) { text += line + '\n'; }
    return text + totals_text(report, canvas.colour);
}

} // namespace microvmc::testkit
