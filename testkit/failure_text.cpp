#include "testkit/failure_text.h"

#include "testkit/readable.h"

#include <fmt/format.h>

#include <algorithm>

namespace microvmc::testkit {

namespace {

std::string indented(const std::string& lines) {
    std::string out;
    for (std::size_t begin = 0; begin < lines.size();) {
        const std::size_t end = std::min(lines.find('\n', begin), lines.size());
        out += "  " + lines.substr(begin, end - begin) + '\n';
        begin = end + 1;
    }
    return out;
}

} // namespace

std::string failure_text(const CaseResult& result) {
    std::string text = readable_line(result.message) + '\n';
    if (!result.where.empty()) { text += fmt::format("at {}\n", readable_line(result.where)); }
    if (!result.timeline.empty()) {
        text += "time line:\n";
        for (const TimelineEntry& entry : result.timeline) {
            text +=
                fmt::format("  {:>9.3f} s  {}\n", static_cast<double>(entry.at_ms) / 1000, readable_line(entry.text));
        }
    }
    if (!result.command_lines.empty()) {
        text += "command lines:\n";
        for (const std::string& line : result.command_lines) { text += fmt::format("  {}\n", readable_line(line)); }
    }
    if (!result.console.empty()) { text += "console:\n" + indented(readable_text(result.console)); }
    if (!result.artifacts.empty()) { text += fmt::format("artifacts: {}\n", readable_line(result.artifacts)); }
    return text;
}

} // namespace microvmc::testkit
