#include "runtime/commands/ends.h"

#include "runtime/commands/session.h"

namespace microvmc {

int exit_of(const End& end) {
    switch (end.kind) {
    case End::Kind::exited: return end.status;
    case End::Kind::poweroff:
    case End::Kind::reboot: return exit_ok;
    case End::Kind::panic: return exit_panic;
    case End::Kind::start_failed: return exit_never_ran;
    case End::Kind::vmm_crash:
    case End::Kind::helper_crash: return exit_crashed;
    case End::Kind::killed: return exit_killed;
    case End::Kind::timed_out: return exit_timeout;
    }
    return exit_failure;
}

} // namespace microvmc
