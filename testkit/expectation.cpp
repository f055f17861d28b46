#include "testkit/expectation.h"

#include "compiler/digest.h"
#include "compiler/text.h"
#include "runtime/error.h"
#include "testkit/pattern.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

namespace microvmc::testkit {

namespace {

constexpr std::size_t quoted_limit = 160; ///< bytes of a text that a message shows

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view space = " \t\r\n";
    const std::size_t begin = std::min(text.find_first_not_of(space), text.size());
    const std::size_t end = text.find_last_not_of(space);
    return text.substr(begin, end == std::string_view::npos ? 0 : end + 1 - begin);
}

std::optional<double> number_in(std::string_view text) {
    text = trimmed(text);
    if (text.starts_with('+')) { text.remove_prefix(1); }
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc() && end == text.data() + text.size() && std::isfinite(value);
    return whole ? std::optional(value) : std::nullopt;
}

double expected_number(const Text& text, const Lookup& lookup) {
    const std::string value = filled(text, lookup);
    const std::optional<double> number = number_in(value);
    if (!number) { throw Error(fmt::format("{} is expected, which is no number", in_quotes(value))); }
    return *number;
}

std::string status_difference(const Expect& expect, const Answer& answer, const Lookup& lookup) {
    if (!answer.status) { return {}; }
    const int wanted = expect.status ? static_cast<int>(expected_number(*expect.status, lookup)) : answer.success;
    if (*answer.status == wanted) { return {}; }
    const std::string why = answer.said.empty() ? "" : fmt::format(": {}", in_quotes(answer.said));
    return fmt::format("expected status {}, got {}{}", wanted, *answer.status, why);
}

std::string range_difference(const Expect& expect, const Answer& answer, const Lookup& lookup) {
    if (!expect.min && !expect.max) { return {}; }
    const std::optional<double> value = number_in(answer.bytes);
    if (!value) { return fmt::format("expected a number, got {}", in_quotes(answer.bytes)); }
    if (expect.min) {
        const double least = expected_number(*expect.min, lookup);
        if (*value < least) { return fmt::format("expected at least {}, got {}", least, *value); }
    }
    if (expect.max) {
        const double most = expected_number(*expect.max, lookup);
        if (*value > most) { return fmt::format("expected at most {}, got {}", most, *value); }
    }
    return {};
}

std::string text_difference(const Expect& expect, const Answer& answer, const Lookup& lookup) {
    std::string_view text = answer.bytes;
    if (text.ends_with('\n')) { text.remove_suffix(1); }
    if (expect.equals) {
        const std::string wanted = filled(*expect.equals, lookup);
        if (text != wanted) { return fmt::format("expected {}, got {}", in_quotes(wanted), in_quotes(text)); }
    }
    if (expect.matches) {
        const std::string wanted = substitute_pattern(expect.matches->value, lookup);
        std::string problem;
        const std::optional<Pattern> pattern = Pattern::compile(wanted, problem);
        if (!pattern) { throw Error(fmt::format("{} is no regular expression: {}", in_quotes(wanted), problem)); }
        if (!pattern->find(answer.bytes)) {
            return fmt::format("expected a match of {}, got {}", in_quotes(wanted), in_quotes(text));
        }
    }
    if (expect.sha256) {
        const std::string wanted = filled(*expect.sha256, lookup);
        const std::string digest = sha256_hex(answer.bytes);
        if (digest != wanted) {
            return fmt::format("expected SHA-256 {}, got {} of {} bytes", in_quotes(wanted), digest,
                               answer.bytes.size());
        }
    }
    return {};
}

} // namespace

std::string difference(const Expect& expect, const Answer& answer, const Lookup& lookup) {
    using Check = std::string (*)(const Expect&, const Answer&, const Lookup&);
    for (const Check check : {&status_difference, &range_difference, &text_difference}) {
        if (std::string found = check(expect, answer, lookup); !found.empty()) { return found; }
    }
    return {};
}

Captured capture(const Step& step, const Answer& answer, const Lookup& lookup) {
    Captured captured;
    for (const auto& [name, expression] : step.capture) {
        const std::string wanted = substitute_pattern(expression.value, lookup);
        std::string problem;
        const std::optional<Pattern> pattern = Pattern::compile(wanted, problem);
        if (!pattern) { throw Error(fmt::format("{} is no regular expression: {}", in_quotes(wanted), problem)); }
        std::optional<std::string> found = pattern->find(answer.bytes);
        if (!found) {
            captured.missing = fmt::format("nothing for `{}`: expected a match of {}, got {}", name.value,
                                           in_quotes(wanted), in_quotes(answer.bytes));
            return captured;
        }
        captured.values.emplace_back(name.value, std::move(*found));
    }
    return captured;
}

std::string filled(const Text& text, const Lookup& lookup) {
    std::string missing;
    std::string out = substitute(text.value, [&](std::string_view name) {
        std::optional<std::string> value = lookup(name);
        if (!value && missing.empty()) { missing = name; }
        return value;
    });
    if (!missing.empty()) { throw Error(fmt::format("${{{}}} stands for nothing here", printable(missing))); }
    return out;
}

std::string in_quotes(std::string_view text) {
    const bool longer = text.size() > quoted_limit;
    const std::string_view shown = text.substr(0, quoted_limit);
    return fmt::format("\"{}\"{}", printable(shown), longer ? fmt::format("... ({} bytes)", text.size()) : "");
}

} // namespace microvmc::testkit
