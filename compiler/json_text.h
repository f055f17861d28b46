#pragma once

#include "compiler/json_enum.h"
#include "compiler/json_fields.h"

#include <charconv>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

// Structs straight to JSON text, by the same lists of members as json_fields.h: a document of nlohmann's between, of a
// node a value, takes several times as long as all phases of the compiler together.

namespace microvmc {

/// Appends JSON, indented by two.
class JsonText {
public:
    void string(std::string_view text);
    void number(std::int64_t value) { digits(value); }
    void number(std::uint64_t value) { digits(value); }
    void number(double value);
    void boolean(bool value) { out_ += value ? "true" : "false"; }
    /// Between begin and end: `key` before each member, or `element` before each element.
    void begin(char bracket);
    void key(std::string_view name);
    /// A key that needs no escapes.
    void plain_key(std::string_view name);
    void reserve(std::size_t bytes) { out_.reserve(bytes); }
    void element();
    void end(char bracket);
    [[nodiscard]] std::string take() { return std::move(out_); }

private:
    template <typename Number> void digits(Number value) {
        char text[24];
        const auto result = std::to_chars(text, text + sizeof text, value);
        out_.append(text, result.ptr);
    }
    void next();

    std::string out_;
    std::size_t depth_ = 0;
    bool first_ = true;
};

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
