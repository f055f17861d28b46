#pragma once

#include "compiler/config.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

// The language as data: one entry a key. The decoder, merging, JSON Schema, docs/LANGUAGE.md and the man page all go by
// it. A new key is a member in config.h and a line in schema.cpp.

namespace microvmc {

/// The forms that a value can take in the text.
enum class Form {
    boolean,
    integer,
    number,          ///< integer or float
    size,            ///< integer of MiB, or "4GiB"
    duration,        ///< integer of seconds, or "1m30s"
    string,          ///< without NUL
    word,            ///< one of `words`
    flag_or_word,    ///< a boolean or one of `words`; kept as text
    integer_or_word, ///< kept as text
    name,            ///< [a-z][a-z0-9-]{0,30}
    names,           ///< one, or an array of them
    hypervisors,     ///< the same, of the backends' names and "auto"
    path,            ///< on the host, relative to the file that says it
    path_or_word,    ///< a path, or one of `words`
    globs,           ///< an array of paths, with wildcards
    guest_path,      ///< absolute, in the guest
    strings,         ///< an array
    texts,           ///< a string or an array of them
    arguments,       ///< an array, not empty: argv
    argument_lists,  ///< an array of argv
    string_table,    ///< a table of strings
    parameters,      ///< an array of kernel parameters
    mac,             ///< "02:00:00:00:00:01", unicast
    addresses,       ///< "dhcp", or one or more addresses with or without prefix length
    address,         ///< an IP address
    http,            ///< ":80/path"
    text_or_number,  ///< kept as text
    table,           ///< a table with keys of its own; or a string, when that has a shorthand (one of `words`, if any)
    named_tables,    ///< a table of named tables
    collection,      ///< a table of named tables, or an array of tables that may carry `name`
    tables,          ///< an array of tables without names
    custom,          ///< something that its owner reads; `type` and `json` say what
};

/// A value as the decoder hands it to a member.
struct Value {
    std::variant<bool, std::int64_t, double, std::string, Strings, std::vector<Strings>, StringTable> data;
    Span span;
};

struct TableSchema;

/// Who looks at the members of a struct.
struct Visitor {
    std::function<void(std::string& text)> text;
    std::function<void(void* table)> table;
};

/// How a decoded value gets into its struct; made by `slot<&VmConfig::mem>`.
struct Slot {
    void (*store)(void* object, Value&& value) = nullptr;
    /// Tables: adds an element (with its defaults) and gives it back.
    void* (*child)(void* object, Located<std::string>&& name, Span span) = nullptr;
    /// Collections: `more` elements are about to be added.
    void (*reserve)(void* object, std::size_t more) = nullptr;
    /// Gives each text that the member has, and each table in it.
    void (*visit)(void* object, const Visitor& visitor) = nullptr;
    /// Index into Value::data that `store` takes; for the test that holds tables and structs together.
    std::size_t kind = 0;
};

// The members are in the order in which an entry of the table reads.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct KeySchema {
    std::string_view name;
    Form form = Form::string;
    Slot slot;
    std::string_view default_text = {}; ///< the value when the key is absent
    std::string_view derived = {};      ///< or else how it is made, for people
    std::string_view doc = {};
    std::span<const std::string_view> words = {};
    std::int64_t min = 0;
    std::int64_t max = std::numeric_limits<std::int64_t>::max();
    const TableSchema* table = nullptr;
    /// The capability that a value asks for, when it is none of the default, false, "no", "none", "auto" and "off"; `*`
    /// is the value itself, and then the default counts too.
    std::string_view needs = {};
    bool secret = false;        ///< never echoed
    std::uint8_t counts = 0;    ///< rises by one for each instance of `count`
    std::string_view type = {}; ///< custom: what it takes, for people
    std::string_view json = {}; ///< custom: its JSON Schema
};

struct TableSchema {
    std::string_view noun; ///< "volume": what one is called in messages
    std::span<const KeySchema> keys;
    /// At most one of these is said; a nearer layer's choice replaces the whole table.
    std::span<const std::string_view> one_of = {};
    bool one_required = false;
    /// It may be written as a string: fills the object, or says what is wrong.
    std::string (*shorthand)(std::string_view text, Span span, void* object) = nullptr;
    /// Keys whose value names an element that has no name, first that is there.
    std::span<const std::string_view> name_from = {};

    [[nodiscard]] const KeySchema* find(std::string_view key) const;
};

/// The table that describes a struct.
template <typename T> const TableSchema& schema_of();
template <> const TableSchema& schema_of<Config>();
template <> const TableSchema& schema_of<NetworkConfig>();
template <> const TableSchema& schema_of<VmConfig>();
template <> const TableSchema& schema_of<VolumeConfig>();
template <> const TableSchema& schema_of<ShareConfig>();
template <> const TableSchema& schema_of<InterfaceConfig>();
template <> const TableSchema& schema_of<EndpointConfig>();
template <> const TableSchema& schema_of<ForwardConfig>();
template <> const TableSchema& schema_of<DeviceConfig>();
template <> const TableSchema& schema_of<CredentialConfig>();
template <> const TableSchema& schema_of<RootConfig>();
template <> const TableSchema& schema_of<CloudInitConfig>();
template <> const TableSchema& schema_of<VsockConfig>();
template <> const TableSchema& schema_of<GraphicsConfig>();
template <> const TableSchema& schema_of<ReadyConfig>();
template <> const TableSchema& schema_of<LimitsConfig>();
template <> const TableSchema& schema_of<HypervisorConfig>();

/// Puts each key's default into `object`, which is of the struct that `schema` describes.
void apply_defaults(const TableSchema& schema, void* object);

/// Gives each text in `object`, which is of the struct that `schema` describes, and in the tables below: strings,
/// words, paths, the arguments of commands; names of elements and keys of tables of strings are none.
void for_each_text(const TableSchema& schema, void* object, const std::function<void(std::string& text)>& take);

/// A value of T with the schema's defaults.
template <typename T> const T& prototype() {
    static const T made = [] {
        T object;
        apply_defaults(schema_of<T>(), &object);
        return object;
    }();
    return made;
}

namespace detail {

template <typename T> struct MemberOf;
template <typename Class, typename Type> struct MemberOf<Type Class::*> {
    using class_type = Class;
    using type = Type;
};

template <typename T> struct ScalarOf { using type = void; };
template <typename T> struct ScalarOf<Located<T>> { using type = T; };
template <typename T> struct ScalarOf<Boxed<Located<T>>> { using type = T; };

template <typename T, std::size_t I = 0> constexpr std::size_t index_in_value() {
    if constexpr (std::is_same_v<std::variant_alternative_t<I, decltype(Value::data)>, T>) {
        return I;
    } else {
        return index_in_value<T, I + 1>();
    }
}

template <typename T>
constexpr bool is_value =
    std::is_same_v<T, Strings> || std::is_same_v<T, std::vector<Strings>> || std::is_same_v<T, StringTable>;

template <typename T> void visit_texts(T& member, const Visitor& visitor) {
    if constexpr (std::is_same_v<T, std::string>) {
        visitor.text(member);
    } else if constexpr (std::is_same_v<T, Located<std::string>>) {
        visitor.text(member.value);
    } else if constexpr (std::is_same_v<T, Opt<std::string>>) {
        if (member) { visitor.text(member->value); }
    } else if constexpr (std::is_same_v<T, Strings>) {
        for (auto& each : member) { visitor.text(each.value); }
    } else if constexpr (std::is_same_v<T, std::vector<Strings>>) {
        for (auto& each : member) { visit_texts(each, visitor); }
    } else if constexpr (std::is_same_v<T, StringTable>) {
        for (auto& [key, value] : member) { visitor.text(value.value); }
    }
}

/// The tables that a member holds: one that may be absent, or any number.
template <typename T> void visit_tables(T& member, const Visitor& visitor) {
    if constexpr (requires { member.emplace_back(prototype<typename T::value_type>()); }) {
        for (auto& element : member) { visitor.table(&element); }
    } else {
        if (member) { visitor.table(&*member); }
    }
}

} // namespace detail

/// The way into one member, by its type.
template <auto Member> constexpr Slot slot() {
    using Class = typename detail::MemberOf<decltype(Member)>::class_type;
    using Type = typename detail::MemberOf<decltype(Member)>::type;
    using Scalar = typename detail::ScalarOf<Type>::type;
    if constexpr (!std::is_void_v<Scalar>) {
        return {
            .store =
                [](void* object, Value&& value) {
                    static_cast<Class*>(object)->*Member =
                        Located<Scalar>{std::get<Scalar>(std::move(value.data)), value.span};
                },
            .visit = [](void* object,
                        const Visitor& visitor) { detail::visit_texts(static_cast<Class*>(object)->*Member, visitor); },
            .kind = detail::index_in_value<Scalar>()};
    } else if constexpr (detail::is_value<Type>) {
        return {
            .store =
                [](void* object, Value&& value) {
                    static_cast<Class*>(object)->*Member = std::get<Type>(std::move(value.data));
                },
            .visit = [](void* object,
                        const Visitor& visitor) { detail::visit_texts(static_cast<Class*>(object)->*Member, visitor); },
            .kind = detail::index_in_value<Type>()};
    } else {
        void (*reserve)(void*, std::size_t) = nullptr;
        if constexpr (requires(Type & member) { member.reserve(1); }) {
            reserve = [](void* object, std::size_t more) {
                Type& member = static_cast<Class*>(object)->*Member;
                member.reserve(member.size() + more);
            };
        }
        return {.child = [](void* object, Located<std::string>&& name, Span span) -> void* {
                    Type& member = static_cast<Class*>(object)->*Member;
                    auto& element = [&]() -> auto& {
                        if constexpr (requires { member.emplace_back(prototype<typename Type::value_type>()); }) {
                            auto& added = member.emplace_back(prototype<typename Type::value_type>());
                            if constexpr (requires { added.name; }) { added.name = std::move(name); }
                            return added;
                        } else {
                            return member.emplace(prototype<typename Type::value_type>());
                        }
                    }
                    ();
                    element.span = span;
                    return &element;
                },
                .reserve = reserve,
                .visit =
                    [](void* object, const Visitor& visitor) {
                        detail::visit_tables(static_cast<Class*>(object)->*Member, visitor);
                    }};
    }
}

} // namespace microvmc
