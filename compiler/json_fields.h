#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

// A struct's JSON form as one list of its members, used for both directions, so that neither can forget one.

namespace microvmc {

template <typename Class, typename Member> struct Field {
    std::string_view key;
    Member Class::*member;
    bool sparse = false; ///< left out when it has the struct's own default
};

template <typename Class, typename Member>
constexpr Field<Class, Member> field(std::string_view key, Member Class::*member) {
    return {key, member};
}

/// One that most objects don't have: it is left out when it has the struct's own default.
template <typename Class, typename Member>
constexpr Field<Class, Member> sparse(std::string_view key, Member Class::*member) {
    return {key, member, true};
}

/// A default-constructed Class, for what sparse fields are compared with.
template <typename Class> const Class& default_of() {
    static const Class object{};
    return object;
}

template <typename Class, typename Member> bool is_written(const Class& object, const Field<Class, Member>& field) {
    return !field.sparse || !(object.*field.member == default_of<Class>().*field.member);
}

template <typename Class, typename... Fields>
void write_fields(nlohmann::json& json, const Class& object, const std::tuple<Fields...>& fields) {
    json = nlohmann::json::object();
    const auto write = [&](const auto& each) {
        if (is_written(object, each)) { json[each.key] = object.*each.member; }
    };
    std::apply([&](const auto&... each) { (write(each), ...); }, fields);
}

/// As json.get_to(value), but a number must be one that the member can hold: the library's own conversion cuts off.
template <typename T> void read_value(const nlohmann::json& json, T& value) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
        if (!json.is_number_integer()) {
            throw nlohmann::json::type_error::create(302, std::string("not an integer but ") + json.type_name(), &json);
        }
        const bool fits = json.is_number_unsigned() ? std::in_range<T>(json.get<std::uint64_t>())
                                                    : std::in_range<T>(json.get<std::int64_t>());
        if (!fits) { throw nlohmann::json::out_of_range::create(406, "the number is too great or too small", &json); }
    }
    json.get_to(value);
}

/// Every key must be there but for sparse ones, and no other. Throws nlohmann::json::exception that names the key.
template <typename Class, typename... Fields>
void read_fields(const nlohmann::json& json, Class& object, const std::tuple<Fields...>& fields) {
    std::size_t read = 0;
    const auto read_one = [&](const auto& each) {
        if (each.sparse && json.is_object() && !json.contains(each.key)) {
            object.*each.member = default_of<Class>().*each.member;
            return;
        }
        read_value(json.at(each.key), object.*each.member);
        ++read;
    };
    std::apply([&](const auto&... each) { (read_one(each), ...); }, fields);
    if (json.size() == read) { return; }
    for (auto item = json.begin(); item != json.end(); ++item) {
        const bool known =
            std::apply([&item](const auto&... each) { return ((item.key() == each.key) || ...); }, fields);
        if (!known) { throw nlohmann::json::other_error::create(502, "unknown key " + item.key(), &*item); }
    }
}

} // namespace microvmc
