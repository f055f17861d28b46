#pragma once

#include "tests/boot/cli.h"

#include <gtest/gtest.h>
#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace microvmc::boot {

/// What a command line says in the guest of a machine, both streams; run by `sh -c`. A status that isn't 0 fails the
/// test.
std::string in_guest(const std::string& runtime_dir, const std::string& command);

/// The first number that follows a word: number_after("MemFree:  12 kB", "MemFree:"); 0 when there is none.
std::uint64_t number_after(const std::string& text, const std::string& word);

std::uint64_t mem_free_mib(const std::string& runtime_dir);
/// Of its VMM, as the host sees it.
std::uint64_t resident_mib(const std::string& runtime_dir);

/// One machine, `a` of the project `c`.
class OneMachine : public ::testing::Test {
protected:
    /// Makes it what the keys say.
    void apply(const std::string& keys) const;
    void write(const std::string& keys) const;
    /// Runs a command that must go well; its output.
    std::string done(const std::vector<std::string>& args) const;
    std::string guest(const std::string& command) const { return in_guest(machine(), command); }
    /// Has the guest reboot, and waits until it is up again.
    void reboot_guest() const;
    [[nodiscard]] std::string machine() const { return cli.runtime() + "/c/a"; }
    [[nodiscard]] std::string state() const { return cli.state() + "/projects/c/a"; }
    [[nodiscard]] nlohmann::json status() const;
    Cli cli;
};

} // namespace microvmc::boot
