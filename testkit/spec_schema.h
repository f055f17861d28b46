#pragma once

#include "compiler/config.h"
#include "compiler/schema.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

// What a spec's text says of one case, typed, beside its machines: the matrix is carried out before. Members are named
// after the keys; spec_schema.cpp has the table of them.

namespace microvmc::testkit {

struct ConsoleStepConfig {
    Span span;
    Opt<std::string> type;
    Located<std::int64_t> times;
};

/// Of `tcp` and `udp`.
struct SocketStepConfig {
    Span span;
    Opt<std::string> address;
    Opt<std::string> send;
};

struct VmStepConfig {
    Span span;
    Opt<std::string> verb; ///< of the short form
    Opt<std::int64_t> balloon;
};

struct VolumeStepConfig {
    Span span;
    Opt<std::string> name;
    Opt<std::string> path;
};

struct ExpectConfig {
    Span span;
    Opt<std::string> status;
    Opt<std::string> equals;
    Opt<std::string> matches;
    Opt<std::string> min;
    Opt<std::string> max;
    Opt<std::string> sha256;
};

struct StepConfig {
    Span span;
    Opt<std::string> guest;
    Strings host;
    Opt<std::string> http;
    std::optional<SocketStepConfig> tcp;
    std::optional<SocketStepConfig> udp;
    Opt<std::string> ping;
    std::optional<ConsoleStepConfig> console;
    std::optional<VmStepConfig> vm;
    std::optional<VolumeStepConfig> volume;
    Opt<std::string> stats;
    Strings needs;                       ///< capabilities without which there is no such step
    std::shared_ptr<const Config> apply; ///< read by whoever has the machines' text
    Opt<std::string> on;
    StringTable env;
    std::optional<ExpectConfig> expect;
    StringTable capture;
    Opt<std::int64_t> within;
    Opt<std::int64_t> timeout;
};

struct SpecConfig {
    Strings proves;
    Located<std::int64_t> timeout;
    Located<bool> isolated;
    std::vector<Strings> prepare;
    std::vector<Strings> cleanup;
    std::vector<StepConfig> steps;
};

/// Whether a key at the top of a spec is about its machines, and means what it means in a microvm.toml.
bool is_machine_key(std::string_view key);

} // namespace microvmc::testkit

namespace microvmc {

/// The whole file, machines included.
template <> const TableSchema& schema_of<testkit::SpecConfig>();
template <> const TableSchema& schema_of<testkit::StepConfig>();
template <> const TableSchema& schema_of<testkit::ExpectConfig>();
template <> const TableSchema& schema_of<testkit::ConsoleStepConfig>();
template <> const TableSchema& schema_of<testkit::SocketStepConfig>();
template <> const TableSchema& schema_of<testkit::VmStepConfig>();
template <> const TableSchema& schema_of<testkit::VolumeStepConfig>();

} // namespace microvmc
