#pragma once

#include "runtime/fd.h"
#include "runtime/machine.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace microvmc::test {

using namespace std::chrono_literals;

/// AddressSanitizer's own memory counts as a process's.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool memory_is_checked = true;
#elif defined(__has_feature)
constexpr bool memory_is_checked = __has_feature(address_sanitizer);
#else
constexpr bool memory_is_checked = false;
#endif

/// A machine of the real supervisor in a directory of its own. Whatever a test leaves is killed, and it is checked that
/// nothing stays.
class MachineTest : public ::testing::Test {
protected:
    MachineTest();
    ~MachineTest() override;

    /// A machine whose only child has the console and whose guest has no agent.
    Launch plain(std::vector<std::string> argv) const;
    /// A machine whose VMM performs the fake VMM's steps after `listen` and `accept`.
    Launch fake(std::vector<std::string> steps) const;
    Started start(const Launch& launch, const std::vector<supervisor::Credential>& credentials = {});
    /// Starts, and waits for the agent.
    Started start_up(const Launch& launch);
    /// How it ended, once it has.
    End ended();
    /// A connection that has said `request`; nothing has been read.
    Fd connect(const std::string& request) const;
    std::string console_log() const;
    std::string vmm_log() const;

    std::string directory_;
    std::string run_;   ///< runtime_dir
    std::string state_; ///< logs and end.json
    std::string supervisor_;

private:
    std::vector<pid_t> supervisors_;
};

std::string read_text(const std::string& path);
/// Whether it comes true within 5 s.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds time = 5s);
/// Whether a process runs (a zombie does not).
bool runs(pid_t pid);
/// The most memory that a process has had, in KiB.
long peak_memory(pid_t pid);
/// How much a supervisor may grow, whatever a slow client or a guest does, in KiB.
inline constexpr long bounded_growth = memory_is_checked ? 32'000 : 3'000;
/// The names in a directory, sorted.
std::vector<std::string> names_in(const std::string& path);
/// Reads until `text` came, the other side closed or 5 s are over.
std::string read_until(int fd, const std::string& text, std::chrono::milliseconds time = 5s);

} // namespace microvmc::test
