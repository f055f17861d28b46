#include "testkit/disks.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/paths.h"
#include "runtime/process.h"
#include "testkit/disk_fallback.h"
#include "testkit/disk_reader/wire.h"
#include "testkit/temporary_directory.h"

#include <fmt/format.h>

namespace microvmc::testkit {

namespace {

using Answers = std::vector<std::optional<FileAnswer>>; ///< one a request; nothing: not answered

std::string_view word_of(DiskFact fact) {
    switch (fact) {
    case DiskFact::content: return "content";
    case DiskFact::label: return "label";
    case DiskFact::uuid: return "uuid";
    }
    return {};
}

FileAnswer problem(std::string why) {
    FileAnswer answer;
    answer.problem = std::move(why);
    return answer;
}

/// What need not be tried.
std::optional<FileAnswer> refused(const FileRequest& request) {
    const auto has_zero = [](const std::string& text) { return text.find('\0') != std::string::npos; };
    if (has_zero(request.image) || has_zero(request.path)) { return problem("a path with a zero byte names no file"); }
    if (request.fact == DiskFact::content && !request.path.starts_with('/')) {
        return problem(fmt::format("{} is no absolute path", printable(request.path)));
    }
    return std::nullopt;
}

/// The messages of the program that reads disks, as far as they are whole. Gives why it could read nothing; empty when
/// it could.
std::string take_messages(std::string_view said, Answers& answers) {
    std::string unable = "it said nothing";
    for (;;) {
        const std::size_t line = said.find('\n');
        if (line == std::string_view::npos) { return unable; }
        const std::string_view head = said.substr(0, line);
        const std::size_t first = head.find(' ');
        const std::size_t second = head.find(' ', first + 1);
        if (first == std::string_view::npos || second == std::string_view::npos) { return unable; }
        const std::string_view word = head.substr(0, first);
        const auto number = parse_number(head.substr(first + 1, second - first - 1));
        const auto length = parse_number(head.substr(second + 1));
        said.remove_prefix(line + 1);
        if (!number || !length || static_cast<std::size_t>(*length) > said.size()) { return unable; }
        const std::string_view bytes = said.substr(0, static_cast<std::size_t>(*length));
        said.remove_prefix(bytes.size());
        const auto index = static_cast<std::size_t>(*number);
        if (word == disk_wire::started) {
            unable.clear();
        } else if (word == disk_wire::unable) {
            unable = bytes;
        } else if (index < answers.size()) {
            FileAnswer answer;
            answer.how = "libguestfs";
            if (word == disk_wire::content) {
                answer.content = bytes;
            } else {
                answer.problem = printable(bytes);
            }
            answers[index] = std::move(answer);
        }
    }
}

/// By libguestfs. Gives why it could read nothing; empty when it could.
std::string read_by_program(const std::string& program, const std::vector<FileRequest>& requests, Answers& answers,
                            const DiskOptions& options) {
    const TemporaryDirectory tmp;
    std::vector<std::size_t> numbers;
    RunOptions run;
    const auto put = [&run](std::string_view text) { run.input.append(text).push_back('\0'); };
    put(tmp.path());
    put(options.emulate ? "tcg" : "");
    put(std::to_string(options.content_limit));
    put(std::to_string(options.timeout.count()));
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (answers[i]) { continue; }
        const FileRequest& request = requests[i];
        numbers.push_back(i);
        put(request.image);
        put(request.format);
        put(request.fs_type);
        put(request.path);
        put(word_of(request.fact));
    }
    if (numbers.empty()) { return {}; }
    // It keeps the time by itself and cleans up; this is for when it can't.
    run.timeout = options.timeout + std::chrono::seconds(20);
    run.output_limit = (options.content_limit + 4096) * numbers.size();
    const Ran ran = run_program({program}, run);
    Answers taken(numbers.size());
    std::string unable = take_messages(ran.out, taken);
    if (!unable.empty() && ran.status != 0) { // it can't be loaded, for one
        const std::string words = printable(last_words(ran));
        unable = ran.timed_out   ? std::string(disk_wire::too_long)
                 : words.empty() ? fmt::format("{} ended with status {}", program, ran.status)
                                 : words;
    }
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        if (!taken[i] && unable.empty()) { taken[i] = problem(std::string(disk_wire::too_long)); }
        answers[numbers[i]] = std::move(taken[i]);
    }
    return unable;
}

} // namespace

std::vector<FileAnswer> read_from_images(const std::vector<FileRequest>& requests, const DiskOptions& options) {
    Answers answers(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) { answers[i] = refused(requests[i]); }
    std::string unable;
    try {
        unable = read_by_program(disk_reader_path(), requests, answers, options);
    } catch (const Error& error) { // it isn't there
        unable = fmt::format("{}, which is built where libguestfs-dev is installed", error.what());
    }
    std::vector<FileAnswer> result;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        result.push_back(answers[i] ? std::move(*answers[i]) : read_without_libguestfs(requests[i], options, unable));
    }
    return result;
}

} // namespace microvmc::testkit
