#pragma once

namespace microvmc::supervisor {

/// Blocks SIGCHLD, SIGTERM and SIGINT for good and gives the descriptor that they are read from (signalfd(2)). One that
/// nobody has read yet still waits when this process executes another program, which finds it there. Throws Error.
int open_signals();

} // namespace microvmc::supervisor
