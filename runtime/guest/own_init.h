#pragma once

#include "runtime/guest/ending.h"

namespace microvmc::guest {

// Where the guest's own init is PID 1 and the agent a process beside it.

/// Asks it to end the machine: systemd by its signals (systemd(1)), others by their poweroff and reboot programs.
void ask_own_init(Ending::Kind kind);

/// How the machine ends, asked when the init terminates this process: what systemd-shutdown was told, else what
/// `ask_own_init` asked for, else a power-off.
Ending own_init_ending();

} // namespace microvmc::guest
