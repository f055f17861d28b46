#pragma once

#include "runtime/launch.h"

#include <optional>
#include <string>

namespace microvmc::supervisor {

/// What is known when the VMM has ended.
struct Evidence {
    std::optional<End> reported; ///< by the guest, before it happened
    std::string failed;          ///< the init's words, why it could not do what the plan says; or ours, why not started
    bool start_failed = false;
    std::string lost;         ///< the process that the VMM needs and that ended before it, and how; empty: none
    std::string panic;        ///< the kernel's line on the console; empty: none
    bool killed = false;      ///< by us
    bool out_of_time = false; ///< killed because a deadline ran out
    std::string kill_reason;  ///< "didn't end within 60s"
    bool asked = false;       ///< the guest was asked to power off
    bool has_agent = false;   ///< there is a channel on which an end would be reported
    bool booted = false;      ///< the guest's agent had come up
    int wait_status = 0;      ///< the VMM's
    std::string last_words;   ///< the last lines of its stderr
};

/// Pure: how the machine ended. What the guest reported counts above what came after; then a panic; then what we did
/// to it; then how the VMM ended. One that ends well without a report ends with a guest that powered off behind its
/// init's back (`poweroff -f`), once that guest had booted; before, it did not end well (a triple fault makes QEMU exit
/// 0).
End decide_end(const Evidence& evidence);

} // namespace microvmc::supervisor
