#include "testkit/verdict.h"

#include "compiler/text.h"

namespace microvmc::testkit {

namespace {

Outcome outcome_of(End::Kind kind) {
    switch (kind) {
    case End::Kind::panic: return Outcome::panic;
    case End::Kind::vmm_crash:
    case End::Kind::helper_crash:
    case End::Kind::killed: return Outcome::crash;
    case End::Kind::timed_out: return Outcome::hang;
    // The guest's init could not do what the plan says; or the guest ended as it was not meant to.
    case End::Kind::start_failed:
    case End::Kind::exited:
    case End::Kind::poweroff:
    case End::Kind::reboot: return Outcome::wrong;
    }
    return Outcome::error;
}

} // namespace

Verdict verdict_of(const std::string& vm, const End& end) {
    return {outcome_of(end.kind), vm + " " + printable(describe(end))};
}

} // namespace microvmc::testkit
