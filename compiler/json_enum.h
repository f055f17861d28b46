#pragma once

#include <nlohmann/json.hpp>

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace microvmc {

/// An enumeration's words, in both directions; another word throws nlohmann::json::exception.
template <typename Enum, std::size_t N> using Words = std::array<std::pair<Enum, std::string_view>, N>;

template <typename Enum, std::size_t N> std::string_view word_of(Enum value, const Words<Enum, N>& words) {
    for (const auto& [each, word] : words) {
        if (each == value) { return word; }
    }
    return {};
}

template <typename Enum, std::size_t N> Enum from_word(const nlohmann::json& json, const Words<Enum, N>& words) {
    const auto& text = json.get_ref<const std::string&>();
    for (const auto& [each, word] : words) {
        if (word == text) { return each; }
    }
    throw nlohmann::json::other_error::create(503, "unknown word " + text, &json);
}

} // namespace microvmc
