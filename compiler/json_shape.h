#pragma once

#include "compiler/json_enum.h"
#include "compiler/json_fields.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

// JSON Schema of structs, by the same lists of members as json_fields.h reads and writes, so that it can't say anything
// else than they do. A struct's own overload of json_shape is one line beside its to_json.

namespace microvmc {

/// Collects the definitions that a schema refers to.
class JsonShapes {
public:
    using Json = nlohmann::ordered_json;

    /// All members are there, but for sparse ones, and no other. Gives a reference to it, called `name`.
    template <typename Class, typename... Fields>
    Json object(const std::string& name, const std::tuple<Fields...>& fields);
    /// One of an enumeration's words.
    template <typename Enum, std::size_t N> static Json words(const Words<Enum, N>& words) {
        Json all = Json::array();
        for (const auto& [each, word] : words) { all.push_back(word); }
        return {{"enum", std::move(all)}};
    }
    [[nodiscard]] const Json& definitions() const { return definitions_; }

private:
    Json definitions_ = Json::object();
};

// The pointers only say which type is meant, and are null.

inline JsonShapes::Json json_shape(JsonShapes& /*shapes*/, const std::string* /*type*/) {
    return {{"type", "string"}};
}
inline JsonShapes::Json json_shape(JsonShapes& /*shapes*/, const bool* /*type*/) {
    return {{"type", "boolean"}};
}
inline JsonShapes::Json json_shape(JsonShapes& /*shapes*/, const double* /*type*/) {
    return {{"type", "number"}};
}
template <typename Number>
requires(std::is_integral_v<Number> && !std::is_same_v<Number, bool>) JsonShapes::Json
    json_shape(JsonShapes& /*shapes*/, const Number* /*type*/) {
    JsonShapes::Json json{{"type", "integer"}};
    if constexpr (std::is_unsigned_v<Number>) { json["minimum"] = 0; }
    if constexpr (sizeof(Number) < sizeof(std::int64_t)) {
        if constexpr (std::is_signed_v<Number>) { json["minimum"] = std::numeric_limits<Number>::min(); }
        json["maximum"] = std::numeric_limits<Number>::max();
    }
    return json;
}
template <typename T> JsonShapes::Json json_shape(JsonShapes& shapes, const std::map<std::string, T>* type);
template <typename T> JsonShapes::Json json_shape(JsonShapes& shapes, const std::vector<T>* /*type*/) {
    return {{"type", "array"}, {"items", json_shape(shapes, static_cast<const T*>(nullptr))}};
}
template <typename T> JsonShapes::Json json_shape(JsonShapes& shapes, const std::map<std::string, T>* /*type*/) {
    return {{"type", "object"}, {"additionalProperties", json_shape(shapes, static_cast<const T*>(nullptr))}};
}

template <typename Class, typename... Fields>
JsonShapes::Json JsonShapes::object(const std::string& name, const std::tuple<Fields...>& fields) {
    if (!definitions_.contains(name)) {
        Json properties = Json::object();
        Json required = Json::array();
        const auto add = [&]<typename Type>(const Field<Class, Type>& each) {
            if (!each.sparse) { required.push_back(each.key); }
            properties[each.key] = json_shape(*this, static_cast<const Type*>(nullptr));
        };
        std::apply([&](const auto&... each) { (add(each), ...); }, fields);
        definitions_[name] = {{"type", "object"},
                              {"required", std::move(required)},
                              {"properties", std::move(properties)},
                              {"additionalProperties", false}};
    }
    return {{"$ref", "#/definitions/" + name}};
}

} // namespace microvmc
