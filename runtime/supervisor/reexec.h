#pragma once

#include "runtime/supervisor/handover.h"

#include <string>
#include <string_view>

namespace microvmc::supervisor {

/// What a program says when it was tried and can take over; its exit status is 0 then.
inline constexpr std::string_view takes_over = "microvmc-supervisor: can take over\n";

/// Replaces the program of this process, which must have one thread, by `program`. It is tried first, in a child that
/// does everything but go on: only when that says that it can take over, the same file is executed here. Signals
/// are as open_signals() left them, so that none is lost or ends us. Returns only when it did not happen, and nothing
/// has changed: the reason.
std::string reexec(const std::string& program, const Handover& handover);

} // namespace microvmc::supervisor
