#include "compiler/diagnostic_codes.h"
#include "compiler/schema.h"
#include "runtime/backend.h"

#include <gtest/gtest.h>

#include <set>

namespace microvmc {
namespace {

/// Which alternative of Value::data the values of a form are.
std::size_t kind_of(Form form) {
    switch (form) {
    case Form::boolean: return 0;
    case Form::integer:
    case Form::size:
    case Form::duration: return 1;
    case Form::number: return 2;
    case Form::string:
    case Form::word:
    case Form::flag_or_word:
    case Form::integer_or_word:
    case Form::name:
    case Form::path:
    case Form::path_or_word:
    case Form::guest_path:
    case Form::mac:
    case Form::address:
    case Form::http:
    case Form::text_or_number: return 3;
    case Form::names:
    case Form::hypervisors:
    case Form::globs:
    case Form::strings:
    case Form::texts:
    case Form::arguments:
    case Form::parameters:
    case Form::addresses: return 4;
    case Form::argument_lists: return 5;
    case Form::string_table: return 6;
    case Form::table:
    case Form::named_tables:
    case Form::collection:
    case Form::tables:
    case Form::custom: break;
    }
    return 99;
}

void check(const TableSchema& table, std::set<const TableSchema*>& seen) {
    if (!seen.insert(&table).second) { return; }
    std::set<std::string_view> names;
    for (const KeySchema& key : table.keys) {
        EXPECT_TRUE(names.insert(key.name).second) << key.name << " is there twice";
        EXPECT_FALSE(key.doc.empty()) << key.name;
        EXPECT_TRUE(key.doc.ends_with('.')) << key.name;
        const bool inner = key.form == Form::table || key.form == Form::named_tables || key.form == Form::collection;
        EXPECT_EQ(inner, key.table != nullptr) << key.name;
        EXPECT_EQ(inner, key.slot.child != nullptr) << key.name;
        EXPECT_EQ(!inner, key.slot.store != nullptr) << key.name;
        if (!inner) {
            EXPECT_EQ(key.slot.kind, kind_of(key.form)) << key.name << ": the struct's member and the form differ";
        }
        const bool words = key.form == Form::word || key.form == Form::flag_or_word || key.form == Form::path_or_word ||
                           key.form == Form::integer_or_word;
        EXPECT_EQ(words, !key.words.empty()) << key.name;
        EXPECT_FALSE(!key.default_text.empty() && !key.derived.empty()) << key.name;
        if (key.form == Form::word && !key.default_text.empty()) {
            EXPECT_NE(std::ranges::find(key.words, key.default_text), key.words.end()) << key.name;
        }
        if (key.needs.ends_with('*')) {
            for (const std::string_view word : key.words) {
                if (word == "auto") { continue; }
                const std::string name = std::string(key.needs.substr(0, key.needs.size() - 1)).append(word);
                EXPECT_FALSE(find_capability(name).empty()) << name << " is no capability";
            }
        } else if (!key.needs.empty()) {
            EXPECT_FALSE(find_capability(key.needs).empty()) << key.needs << " is no capability";
        }
        if (key.table != nullptr) { check(*key.table, seen); }
    }
    for (const auto* list : {&table.one_of, &table.name_from}) {
        for (const std::string_view name : *list) { EXPECT_NE(table.find(name), nullptr) << name; }
    }
}

TEST(Schema, FitsTheStructs) {
    std::set<const TableSchema*> seen;
    check(schema_of<Config>(), seen);
    check(schema_of<HypervisorConfig>(), seen);
    EXPECT_GE(seen.size(), 17U);
}

TEST(Schema, DefaultsAreThoseOfTheTable) {
    EXPECT_EQ(prototype<VmConfig>().mem.value, 512);
    EXPECT_EQ(prototype<VmConfig>().vcpu.value, 1);
    EXPECT_TRUE(prototype<VmConfig>().enabled.value);
    EXPECT_EQ(prototype<VmConfig>().hypervisor.front().value, "auto");
    EXPECT_EQ(prototype<VmConfig>().startup_timeout.value, 150'000);
    EXPECT_EQ(prototype<VolumeConfig>().fs_type.value, "ext4");
    EXPECT_FALSE(prototype<VmConfig>().mem.span.known());
}

TEST(Capabilities, AreKnownAndExplained) {
    for (const CapabilityName& known : known_capabilities()) {
        EXPECT_FALSE(known.doc.empty()) << known.name;
        EXPECT_FALSE(known.remedy.empty()) << known.name;
    }

    for (const Traits& traits : all_traits()) {
        std::set<std::string_view> declared;
        for (const Capability& capability : traits.capabilities) {
            EXPECT_TRUE(declared.insert(capability.name).second) << traits.name << ": " << capability.name << " twice";
            EXPECT_FALSE(find_capability(capability.name).empty()) << traits.name << ": unknown " << capability.name;
            if (capability.support == Support::unsupported) {
                EXPECT_FALSE(capability.why.empty()) << traits.name << ": " << capability.name;
            }
        }
    }
}

TEST(Capabilities, WhatKeysNeedIsKnown) {
    const auto check = [](const TableSchema& schema, const auto& self) -> void {
        for (const KeySchema& key : schema.keys) {
            if (key.needs.ends_with('*')) {
                for (const std::string_view word : key.words) {
                    if (word == "auto") { continue; }
                    const std::string name = std::string(key.needs.substr(0, key.needs.size() - 1)).append(word);
                    EXPECT_FALSE(find_capability(name).empty()) << schema.noun << "." << key.name << ": " << name;
                }
            } else if (!key.needs.empty()) {
                EXPECT_FALSE(find_capability(key.needs).empty()) << schema.noun << "." << key.name;
            }
            if (key.table != nullptr && key.table != &schema_of<VmConfig>()) { self(*key.table, self); }
        }
    };
    check(schema_of<Config>(), check);
    check(schema_of<VmConfig>(), check);
}

TEST(Codes, AreInOrderAndExplained) {
    std::string_view last;
    for (const CodeInfo& info : diagnostic_codes()) {
        EXPECT_LT(last, info.code);
        last = info.code;
        EXPECT_FALSE(info.title.empty());
        EXPECT_GT(info.explanation.size(), 20U) << info.code;
        EXPECT_EQ(find_code(info.code), &info);
    }
    EXPECT_EQ(find_code("E9999"), nullptr);
}

} // namespace
} // namespace microvmc
