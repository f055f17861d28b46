#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace microvmc {

struct RunOptions {
    std::string input; ///< what it reads from standard input
    std::string cwd;   ///< empty: ours
    std::chrono::milliseconds timeout{60'000};
    std::vector<int> inherit; ///< descriptors (3 and up) that it gets under the same numbers; no others
    std::size_t output_limit = std::size_t{1}
                               << 20U;        ///< bytes kept of each of `out` and `err`; the rest is read and dropped
    std::map<std::string, std::string> env{}; ///< above our own environment
    std::function<void()> meanwhile{};        ///< done every 200 ms while the program is awaited
};

/// How a program ended, and what it said.
struct Ran {
    int status = 0;         ///< as a shell has it: its exit status, 128 + N when signal N ended it
    bool timed_out = false; ///< it was killed because its time was up
    std::string out;
    std::string err;
    bool truncated = false; ///< it said more than was kept
};

/// Runs a program to its end; argv[0] without a slash is looked up on PATH. Throws Error when it can't be executed. It
/// has a process group of its own, which is killed on timeout, and dies with the calling thread (PR_SET_PDEATHSIG).
Ran run_program(const std::vector<std::string>& argv, const RunOptions& options = {});

/// The last line of what a program said on standard error, else on standard output: for error messages.
std::string last_words(const Ran& ran);

} // namespace microvmc
