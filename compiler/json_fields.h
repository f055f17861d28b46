#pragma once

#include <nlohmann/json.hpp>

#include <string_view>
#include <tuple>
#include <utility>

// A struct's JSON form as one list of its members, used for both directions, so that neither can forget one.

namespace microvmc {

template <typename Class, typename Member> struct Field {
    const char* key;
    Member Class::*member;
};

template <typename Class, typename Member>
constexpr Field<Class, Member> field(const char* key, Member Class::*member) {
    return {key, member};
}

template <typename Class, typename... Fields>
void write_fields(nlohmann::json& json, const Class& object, const std::tuple<Fields...>& fields) {
    json = nlohmann::json::object();
    std::apply([&](const auto&... each) { ((json[each.key] = object.*each.member), ...); }, fields);
}

/// Every key must be there, and no other. Throws nlohmann::json::exception that names the key.
template <typename Class, typename... Fields>
void read_fields(const nlohmann::json& json, Class& object, const std::tuple<Fields...>& fields) {
    std::apply([&](const auto&... each) { (json.at(each.key).get_to(object.*each.member), ...); }, fields);
    if (json.size() == sizeof...(Fields)) { return; }
    for (auto item = json.begin(); item != json.end(); ++item) {
        const bool known =
            std::apply([&item](const auto&... each) { return ((item.key() == each.key) || ...); }, fields);
        if (!known) { throw nlohmann::json::other_error::create(502, "unknown key " + item.key(), &*item); }
    }
}

} // namespace microvmc
