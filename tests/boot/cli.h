#pragma once

#include "runtime/process.h"

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

namespace microvmc::boot {

/// A microvmc with a state and a runtime directory of its own; what it started is ended, and everything removed, with
/// it.
class Cli {
public:
    Cli();
    ~Cli();
    Cli(const Cli&) = delete;
    Cli& operator=(const Cli&) = delete;

    /// Runs the program to its end; standard output and error are no terminal.
    [[nodiscard]] Ran run(std::vector<std::string> args,
                          std::chrono::seconds timeout = std::chrono::seconds(240)) const;
    /// Starts it and goes on; output to `log()`.
    [[nodiscard]] pid_t start(const std::vector<std::string>& args) const;

    /// Writes a file below `dir()`, directories included; its path.
    std::string write(const std::string& name, const std::string& text) const;
    [[nodiscard]] const std::string& dir() const { return dir_; }
    [[nodiscard]] std::string state() const { return dir_ + "/state"; }
    [[nodiscard]] std::string runtime() const { return dir_ + "/run"; }
    [[nodiscard]] std::string log() const { return dir_ + "/cli.log"; }

    /// Processes that a command of this Cli started, by pid: name of the program. Found by their command line naming
    /// our directories.
    [[nodiscard]] std::map<pid_t, std::string> processes() const;
    /// What a clean stop leaves none of: sockets and the like in the runtime directory (all but locks and how machines
    /// ended), and `.part` files anywhere.
    [[nodiscard]] std::vector<std::string> leftovers() const;

private:
    std::string dir_;
};

/// GET over plain HTTP from this host; the body, or empty when nothing answered 200 within the time.
std::string http_get(std::uint16_t port, const std::string& path,
                     std::chrono::milliseconds within = std::chrono::seconds(5));

} // namespace microvmc::boot
