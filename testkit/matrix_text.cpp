#include "testkit/matrix_text.h"

#include "compiler/text.h"
#include "testkit/cells.h"
#include "testkit/readable.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace microvmc::testkit {

namespace {

/// How much a cell says.
enum class Detail {
    numbers, ///< "3", "1/3", "2!" for failures
    word,    ///< "3 ok", "1/3", "2 FAIL"
    words,   ///< "2 FAIL, 1 ok"
    times,   ///< "2 FAIL, 1 ok, 5.3 s"
};

Cell cell_of(const Count& count, Detail detail) {
    if (count.total() == 0) { return {}; }
    if (count.done() == count.skipped && count.running == 0) {
        const bool all = count.skipped == count.total();
        if (all) { return {"skip", style::faint}; }
        return {detail == Detail::numbers ? "." : fmt::format("0/{}", count.total()), style::faint};
    }
    if (detail == Detail::numbers) {
        if (count.failed != 0) { return {fmt::format("{}!", count.failed), style::bad}; }
        const bool done = count.done() == count.total();
        return {done ? fmt::format("{}", count.passed) : fmt::format("{}/{}", count.done(), count.total()),
                done ? style::good : style::busy};
    }
    std::vector<std::string> words;
    const bool going_on = count.done() < count.total();
    if (going_on) { words.push_back(fmt::format("{}/{}", count.done(), count.total())); }
    if (count.failed != 0) { words.push_back(fmt::format("{} FAIL", count.failed)); }
    if (!going_on) {
        if (count.passed != 0) { words.push_back(fmt::format("{} ok", count.passed)); }
        if (count.skipped != 0) { words.push_back(fmt::format("{} skip", count.skipped)); }
        if (detail == Detail::times) { words.push_back(readable_time(count.duration_ms)); }
    }
    if (detail == Detail::word) { words = {count.failed != 0 && going_on ? words[1] : words[0]}; }
    return {fmt::format("{}", fmt::join(words, ", ")),
            count.failed != 0 ? style::bad : (going_on ? style::busy : style::good)};
}

constexpr std::size_t gap = 2;
constexpr std::size_t narrowest_name = 10;

/// A way to write the table: how much its cells say, the columns that headings and names of specs may take.
struct Way {
    Detail detail;
    std::size_t heading;
    std::size_t name;
};
constexpr std::size_t whole = 1000;
constexpr std::array<Way, 6> ways{{{Detail::times, whole, whole},
                                   {Detail::words, whole, whole},
                                   {Detail::words, 12, whole},
                                   {Detail::word, 12, whole},
                                   {Detail::word, 8, 16},
                                   {Detail::numbers, 5, narrowest_name}}};

std::size_t widest(const std::vector<std::vector<Cell>>& rows, std::size_t column) {
    std::size_t width = 0;
    for (const auto& row : rows) {
        if (column < row.size()) { width = std::max(width, display_width(row[column].text)); }
    }
    return width;
}

/// The table with the heading, everything in it.
std::vector<std::vector<Cell>> table(const Tally& tally, Detail detail) {
    std::vector<std::vector<Cell>> rows{{{"", style::heading}}};
    for (const std::string& target : tally.targets) { rows[0].push_back({readable_line(target), style::heading}); }
    for (const Tally::Spec& spec : tally.specs) {
        std::vector<Cell>& row = rows.emplace_back();
        row.push_back({readable_line(spec.name)});
        for (const Count& count : spec.counts) { row.push_back(cell_of(count, detail)); }
    }
    return rows;
}

/// The columns from `first` on that fit beside the first one, at least one.
std::size_t fitting(const std::vector<std::size_t>& widths, std::size_t first, std::size_t room) {
    std::size_t used = widths[0];
    std::size_t end = first;
    while (end < widths.size() && (end == first || used + gap + widths[end] <= room)) {
        used += gap + widths[end];
        ++end;
    }
    return end;
}

std::vector<std::size_t> column_widths(const std::vector<std::vector<Cell>>& rows, const Way& way) {
    const std::vector<std::vector<Cell>> body(rows.begin() + 1, rows.end());
    std::vector<std::size_t> widths{std::min(widest(body, 0), way.name)};
    for (std::size_t i = 1; i < rows[0].size(); ++i) {
        widths.push_back(std::max(widest(body, i), std::min(display_width(rows[0][i].text), way.heading)));
    }
    return widths;
}

} // namespace

std::vector<std::string> matrix_lines(const Tally& tally, const Canvas& canvas) {
    if (tally.specs.empty()) { return {}; }
    const std::size_t room = std::max(canvas.width, 1U);
    std::vector<std::vector<Cell>> rows;
    std::vector<std::size_t> widths;
    for (const Way& way : ways) {
        rows = table(tally, way.detail);
        widths = column_widths(rows, way);
        if (fitting(widths, 1, room) == widths.size() && (widths.size() == 1 || widths[0] + gap + widths[1] <= room)) {
            break;
        }
    }
    // The names of specs leave room for one column at least.
    std::size_t most = narrowest_name;
    for (std::size_t i = 1; i < widths.size(); ++i) { most = std::max(most, widths[i]); }
    widths[0] = std::min(widths[0], std::max(narrowest_name, room > most + gap ? room - most - gap : 0));
    std::vector<std::string> lines;
    for (std::size_t first = 1; first < widths.size() || lines.empty();) {
        const std::size_t end = fitting(widths, first, room);
        std::vector<std::vector<Cell>> block;
        std::vector<std::size_t> block_widths{widths[0]};
        for (std::size_t i = first; i < end; ++i) { block_widths.push_back(std::min(widths[i], room)); }
        for (const auto& row : rows) {
            std::vector<Cell>& cells = block.emplace_back();
            cells.push_back(row[0]);
            for (std::size_t i = first; i < end; ++i) { cells.push_back(row[i]); }
        }
        for (std::string& line : aligned(block, block_widths, canvas.colour)) { lines.push_back(std::move(line)); }
        first = std::max(end, first + 1);
    }
    return lines;
}

namespace {

std::string clock_text(Clock::duration duration) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
    return seconds < 3600 ? fmt::format("{}:{:02}", seconds / 60, seconds % 60)
                          : fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string head_line(const Tally& tally, Clock::time_point now, const Canvas& canvas) {
    constexpr std::string_view wheel = "|/-\\";
    const auto turn = std::chrono::duration_cast<std::chrono::milliseconds>(now - tally.begun).count() / 125;
    const Count sum = tally.sum();
    std::vector<Cell> words{{std::string(1, wheel[static_cast<std::size_t>(turn) % wheel.size()]), style::busy},
                            {clock_text(now - tally.begun), style::heading},
                            {fmt::format("{} of {} done", sum.done(), sum.total())}};
    if (sum.failed != 0) { words.push_back({fmt::format("{} failed", sum.failed), style::bad}); }
    if (sum.skipped != 0) { words.push_back({fmt::format("{} skipped", sum.skipped), style::faint}); }
    if (sum.running != 0) { words.push_back({fmt::format("{} running", sum.running)}); }
    std::string line;
    std::size_t used = 0;
    for (const Cell& word : words) {
        const std::size_t width = (line.empty() ? 0 : gap) + display_width(word.text);
        if (used + width > canvas.width) { break; }
        if (!line.empty()) { line.append(gap, ' '); }
        line += styled(word, canvas.colour);
        used += width;
    }
    return line;
}

bool is_going_on(const Tally::Spec& spec) {
    return std::ranges::any_of(spec.counts, [](const Count& count) { return count.running != 0; });
}
bool has_failed(const Tally::Spec& spec) {
    return std::ranges::any_of(spec.counts, [](const Count& count) { return count.failed != 0; });
}

/// With `most` rows at most: those that run, then those that failed, then the rest.
Tally shortened(const Tally& tally, std::size_t most) {
    if (tally.specs.size() <= most) { return tally; }
    std::vector<std::size_t> order(tally.specs.size());
    for (std::size_t i = 0; i < order.size(); ++i) { order[i] = i; }
    std::ranges::stable_sort(order, {}, [&](std::size_t i) {
        return is_going_on(tally.specs[i]) ? 0 : (has_failed(tally.specs[i]) ? 1 : 2);
    });
    order.resize(most);
    std::ranges::sort(order);
    Tally some = tally;
    some.specs.clear();
    for (const std::size_t i : order) { some.specs.push_back(tally.specs[i]); }
    return some;
}

} // namespace

std::vector<std::string> live_lines(const Tally& tally, Clock::time_point now, const Canvas& canvas) {
    const std::size_t height = std::max<std::size_t>(canvas.height, 3) - 1;
    std::vector<std::string> running;
    constexpr std::size_t most_running = 4;
    for (const Tally::Running& each : tally.running) {
        if (running.size() == most_running) { break; }
        const std::string id =
            each.which.name.empty() ? each.which.spec : each.which.spec + '[' + each.which.name + ']';
        const std::string time = clock_text(now - each.since);
        const std::string text = readable_line(fmt::format("{} on {}", id, each.which.target));
        const std::size_t room = canvas.width > time.size() + gap ? canvas.width - time.size() - gap : 0;
        running.push_back(styled({time, style::faint}, canvas.colour) + "  " + fitted(text, room));
    }
    std::vector<std::string> lines{head_line(tally, now, canvas)};
    std::vector<std::string> matrix = matrix_lines(tally, canvas);
    // What is shown of the matrix is whole rows, with their heading; blocks that don't fit are left out.
    const std::size_t room = height - std::min(height, 1 + running.size());
    if (matrix.size() > room && room >= 2) {
        const std::size_t rows = room - 2; // a heading, and a line that says what is missing
        const std::size_t left_out = tally.specs.size() - std::min(tally.specs.size(), rows);
        matrix = matrix_lines(shortened(tally, rows), canvas);
        matrix.resize(std::min(matrix.size(), rows + 1));
        if (left_out != 0) {
            matrix.push_back(
                styled({fitted(fmt::format("and {} more", left_out), canvas.width), style::faint}, canvas.colour));
        }
    }
    for (std::string& line : matrix) { lines.push_back(std::move(line)); }
    for (std::string& line : running) { lines.push_back(std::move(line)); }
    lines.resize(std::min(lines.size(), height));
    return lines;
}

} // namespace microvmc::testkit
