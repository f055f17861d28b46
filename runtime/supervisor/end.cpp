#include "runtime/supervisor/end.h"

#include "runtime/supervisor/spawn.h"

namespace microvmc::supervisor {

End decide_end(const Evidence& evidence) {
    if (evidence.start_failed) { return {End::Kind::start_failed, 0, evidence.failed}; }
    if (!evidence.lost.empty()) { return {End::Kind::helper_crash, 0, evidence.lost}; }
    if (evidence.reported) { return *evidence.reported; }
    if (!evidence.panic.empty()) { return {End::Kind::panic, 0, evidence.panic}; }
    if (evidence.killed) {
        return {evidence.out_of_time ? End::Kind::timed_out : End::Kind::killed, 0, evidence.kill_reason};
    }
    const int status = shell_status(evidence.wait_status);
    const bool could_power_off = evidence.asked || evidence.booted || !evidence.has_agent;
    if (status == 0 && could_power_off) { return {End::Kind::poweroff, 0, {}}; }
    std::string detail = "the VMM " + describe_wait_status(evidence.wait_status);
    if (status == 0) { detail.append(" before the guest had booted"); }
    if (!evidence.last_words.empty()) { detail.append(": ").append(evidence.last_words); }
    return {End::Kind::vmm_crash, status, detail};
}

} // namespace microvmc::supervisor
