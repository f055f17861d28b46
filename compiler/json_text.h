#pragma once

#include "compiler/json_enum.h"
#include "compiler/json_fields.h"

#include <array>
#include <charconv>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

// Structs straight to JSON text, by the same lists of members as json_fields.h: a document of nlohmann's between, of a
// node a value, takes several times as long as all phases of the compiler together.

namespace microvmc {

/// Takes a text that is too big to be kept whole, piece by piece.
using TextSink = std::function<void(std::string_view)>;

/// Writes JSON, indented by two.
class JsonText {
public:
    explicit JsonText(TextSink sink) : sink_(std::move(sink)) {}

    void string(std::string_view text) {
        quote();
        part(text);
        quote();
    }
    /// A string of parts: `quote`, then `part` and `number`, then `quote`.
    void quote() { put('"'); }
    void part(std::string_view text);
    void number(std::int64_t value) { digits(value); }
    void number(std::uint64_t value) { digits(value); }
    void number(double value);
    void boolean(bool value);
    /// Between begin and end: `key` before each member, or `element` before each element.
    void begin(char bracket);
    void key(std::string_view name);
    /// A key that needs no escapes, of at most 64 bytes.
    void plain_key(std::string_view name);
    void element();
    void end(char bracket);
    /// Ends the text with a newline; until then the sink doesn't have all of it.
    void finish();

private:
    template <typename Number> void digits(Number value) {
        constexpr std::size_t most = 32;
        char* const at = room(most);
        advance(std::to_chars(at, at + most, value).ptr);
    }
    /// That many bytes to write to, less than `buffer_` has; `advance` says where they end.
    char* room(std::size_t bytes) {
        if (buffer_.size() - used_ < bytes) { flush(); }
        return buffer_.data() + used_;
    }
    void advance(const char* end) { used_ = static_cast<std::size_t>(end - buffer_.data()); }
    void put(char c) {
        *room(1) = c;
        ++used_;
    }
    void flush();
    void next();

    TextSink sink_;
    std::array<char, 32768> buffer_; ///< what the sink hasn't got yet
    std::size_t used_ = 0;
    std::size_t depth_ = 0;
    bool first_ = true;
};

/// What `write` writes, with a newline at its end.
template <typename Write> std::string json_written(const Write& write) {
    std::string text;
    JsonText out([&text](std::string_view piece) { text += piece; });
    write(out);
    out.finish();
    return text;
}

inline void json_text(JsonText& out, const std::string& text) {
    out.string(text);
}
inline void json_text(JsonText& out, bool value) {
    out.boolean(value);
}
inline void json_text(JsonText& out, double value) {
    out.number(value);
}
template <typename Number>
requires(std::is_integral_v<Number> && !std::is_same_v<Number, bool>) void json_text(JsonText& out, Number value) {
    if constexpr (std::is_signed_v<Number>) {
        out.number(std::int64_t{value});
    } else {
        out.number(std::uint64_t{value});
    }
}
template <typename T> void json_text(JsonText& out, const std::map<std::string, T>& values);
template <typename T> void json_text(JsonText& out, const std::vector<T>& values) {
    out.begin('[');
    for (const T& value : values) {
        out.element();
        json_text(out, value);
    }
    out.end(']');
}
template <typename T> void json_text(JsonText& out, const std::map<std::string, T>& values) {
    out.begin('{');
    for (const auto& [key, value] : values) {
        out.key(key);
        json_text(out, value);
    }
    out.end('}');
}

template <typename Class, typename... Fields>
void text_fields(JsonText& out, const Class& object, const std::tuple<Fields...>& fields) {
    out.begin('{');
    const auto write = [&](const auto& each) {
        if (!is_written(object, each)) { return; }
        out.plain_key(each.key);
        json_text(out, object.*each.member);
    };
    std::apply([&](const auto&... each) { (write(each), ...); }, fields);
    out.end('}');
}

} // namespace microvmc
