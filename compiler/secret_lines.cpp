#include "compiler/secret_lines.h"

#include "compiler/text.h"

#include <algorithm>

namespace microvmc {

namespace {

constexpr std::string_view word = "credentials";

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

bool is_quote(char c) {
    return c == '"' || c == '\'';
}

bool is_triple(std::string_view line, std::size_t i) {
    return is_quote(line[i]) && i + 2 < line.size() && line[i + 1] == line[i] && line[i + 2] == line[i];
}

/// Behind the string of one line that begins at `i`.
std::size_t string_end(std::string_view line, std::size_t i) {
    const char quote = line[i];
    for (++i; i < line.size() && line[i] != quote; ++i) {
        if (line[i] == '\\' && quote == '"') { ++i; }
    }
    return std::min(i + 1, line.size());
}

/// Whether a string of several lines goes on at the end of a line, and its quote; `quote` says so of its beginning.
char passed(char quote, std::string_view line) {
    for (std::size_t i = 0; i < line.size();) {
        if (quote != 0) {
            if (line[i] == '\\' && quote == '"') {
                i += 2;
            } else if (line[i] == quote && is_triple(line, i)) {
                i = std::min(line.find_first_not_of(quote, i), line.size());
                quote = 0;
            } else {
                ++i;
            }
        } else if (line[i] == '#') {
            break;
        } else if (is_triple(line, i)) {
            quote = line[i];
            i += 3;
        } else {
            i = is_quote(line[i]) ? string_end(line, i) : i + 1;
        }
    }
    return quote;
}

std::string stars(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t start = i;
        next_code_point(text, i);
        out += is_blank(text[start]) ? text[start] : '*';
    }
    return out;
}

/// The last part of a dotted key.
std::string_view last_part(std::string_view key) {
    key = key.substr(key.rfind('.') + 1);
    while (!key.empty() && is_blank(key.back())) { key.remove_suffix(1); }
    while (!key.empty() && is_blank(key.front())) { key.remove_prefix(1); }
    return key;
}

/// What goes on from one line about credentials to the next: brackets that are open, and whether what is in them is a
/// secret.
struct Carry {
    std::size_t open = 0;
    bool secret = false;
};

/// Stars for the values of a line about credentials, but for those of `file`, `env` and `command`, which say where a
/// secret comes from, and `false`, which removes one.
std::string values_masked(std::string_view line, Carry& carry) {
    std::string out;
    const std::size_t first = std::min(line.find_first_not_of(" \t"), line.size());
    const bool is_header = line.substr(first).starts_with('[');
    if (carry.open == 0 && line.find('=') == std::string_view::npos && first < line.size() && !is_header &&
        !is_quote(line[first]) && line[first] != ']') {
        // A key whose `=` is missing.
        const std::size_t end = std::min(line.find_first_of(" \t", first), line.size());
        return std::string(line.substr(0, end)) + stars(line.substr(end));
    }
    std::size_t key = 0;                           // where the key that may be going on begins
    bool secret = carry.open != 0 && carry.secret; // the value of the last key is one
    bool in_value = secret;                        // and this is it
    std::size_t open = carry.open;
    for (std::size_t i = 0; i < line.size();) {
        const char c = line[i];
        std::size_t end = i + 1;
        if (c == '#') {
            end = line.size();
            in_value = false;
        } else if (is_quote(c)) {
            end = is_triple(line, i) ? line.size() : string_end(line, i);
        } else if (c == '=') {
            const std::string_view name = last_part(line.substr(key, i - key));
            secret = name != "file" && name != "env" && name != "command";
            in_value = true;
        } else if (c == '{' || c == ',') {
            key = end;
            in_value = false;
            if (c == '{') { secret = false; }
        } else if (in_value && line.substr(i).starts_with("false")) {
            end = i + 5;
        }
        if (c == '{' || c == '[') { ++open; }
        if ((c == '}' || c == ']') && open > 0) { --open; }
        const std::string_view token = line.substr(i, end - i);
        const bool is_word =
            in_value && token.size() == 1 && std::string_view("=[]}").find(c) == std::string_view::npos;
        if (secret && is_quote(c)) {
            const bool closed = token.size() > 1 && token.back() == c;
            out += c + stars(token.substr(1, token.size() - (closed ? 2 : 1)));
            if (closed) { out += c; }
        } else if (secret && is_word && !is_blank(c)) {
            std::size_t next = i;
            next_code_point(line, next);
            end = next;
            out += '*';
        } else {
            out += token;
        }
        i = end;
    }
    carry = is_header && carry.open == 0 ? Carry{} : Carry{open, secret};
    return out;
}

} // namespace

SecretLines::SecretLines(std::string_view text) {
    if (text.find(word) == std::string_view::npos) { return; }
    char quote = 0;
    bool in_secret = false; // the string of several lines that goes on is about credentials
    bool header = false;    // so is the last [header], or what looks like one
    Carry carry;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        const std::string_view line = text.substr(begin, end - begin);
        const std::size_t first = std::min(line.find_first_not_of(" \t"), line.size());
        const bool named = line.find(word) != std::string_view::npos;
        if (quote == 0 && line.substr(first).starts_with('[')) { header = named; }
        const bool about = header || named || in_secret || carry.open != 0;
        if (quote != 0 && in_secret) {
            lines_.push_back(Kind::inside_secret);
        } else if (!about) {
            lines_.push_back(Kind::other);
        } else {
            lines_.push_back(carry.open == 0 ? Kind::about : carry.secret ? Kind::in_open_secret : Kind::in_open);
            values_masked(line, carry);
        }
        const char before = quote;
        quote = passed(quote, line);
        if (quote == 0) {
            in_secret = false;
        } else if (before == 0) {
            in_secret = about;
        }
        begin = end + 1;
    }
}

std::string SecretLines::masked(std::uint32_t number, std::string_view line) const {
    if (number == 0 || number > lines_.size()) { return std::string(line); }
    Carry carry;
    switch (lines_[number - 1]) {
    case Kind::other: return std::string(line);
    case Kind::about: break;
    case Kind::in_open: carry = {1, false}; break;
    case Kind::in_open_secret: carry = {1, true}; break;
    case Kind::inside_secret: return stars(line);
    }
    return values_masked(line, carry);
}

std::string SecretLines::message(std::uint32_t number, std::string_view line, std::string_view text) const {
    if (number == 0 || number > lines_.size() || lines_[number - 1] == Kind::other) { return std::string(text); }
    const std::string shown = masked(number, line);
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t end = text[i] == '\'' ? text.find('\'', i + 1) : std::string_view::npos;
        if (end == std::string_view::npos) {
            out += text[i++];
            continue;
        }
        const std::string_view quoted = text.substr(i + 1, end - i - 1);
        const bool open = quoted.size() < 3 || shown.find(quoted) != std::string::npos;
        out += open ? std::string(text.substr(i, end + 1 - i)) : "'***'";
        i = end + 1;
    }
    return out;
}

} // namespace microvmc
