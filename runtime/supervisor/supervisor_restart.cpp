#include "runtime/supervisor/supervisor.h"

#include "runtime/supervisor/spawn.h"

#include <algorithm>

// A machine that is started again: because its plan says so, or because it lost a process that its VMM needs.

namespace microvmc::supervisor {

namespace {

using namespace std::chrono_literals;
constexpr auto longest_delay = 60s;
constexpr auto lost_grace = 10s;         ///< for a guest to end that has lost what it stands on
constexpr auto disconnect_grace = 500ms; ///< a server ends with its VMM, and may be heard of first

} // namespace

void Supervisor::helper_ended(const Running& running, const std::string& words) {
    const Child::OnDeath on_death = running.child->on_death;
    if (on_death == Child::OnDeath::nothing || !evidence_.lost.empty()) { return; }
    const std::string how =
        running.child->role + " " + describe_wait_status(running.wait_status) + (words.empty() ? "" : ": ") + words;
    helpers_.expires_after(disconnect_grace);
    helpers_.async_wait([this, on_death, how](boost::system::error_code error) {
        if (error || phase_ != Phase::up) { return; }
        // The VMM is on its way out, however slowly: the guest has said how it ended.
        if (evidence_.reported) { return end_by(lost_grace, "lost " + how + ", and didn't end"); }
        evidence_.lost = how;
        helper_lost(on_death);
    });
}

// No VMM goes on with another server, and no guest with one that doesn't know what it had open.
void Supervisor::helper_lost(Child::OnDeath on_death) {
    log_.line("the machine lost " + evidence_.lost);
    events_.tell("lost", {{"detail", evidence_.lost}});
    if (on_death == Child::OnDeath::stop) { stopping_ = true; }
    const auto time = std::min<Milliseconds>(lost_grace, Milliseconds(launch_.shutdown_timeout_ms));
    if (agent_answers()) {
        ask_to_power_off(time);
    } else {
        kill_vmm("lost a process that it needs, and has no agent to be asked; killed", false);
    }
}

bool Supervisor::is_restarted_after(const End& end) const {
    if (stopping_ || !told_ || ready_by(end) || in_a_row_ >= launch_.restart.limit) { return false; }
    if (end.kind == End::Kind::helper_crash) { return true; }
    return launch_.restart.policy == "always" || (launch_.restart.policy == "on-failure" && is_failure(end));
}

void Supervisor::restart_later(const End& end) {
    phase_ = Phase::waiting;
    ready_ = false;
    shutdown_sent_ = false;
    vmm_up_ = false;
    agent_up_ = false;
    restart_after_ = end;
    stable_.cancel();
    Milliseconds delay(launch_.restart.delay_ms);
    for (std::uint32_t i = 0; i < in_a_row_ && delay < longest_delay; ++i) { delay *= 2; }
    delay =
        std::min<Milliseconds>(delay, std::max<Milliseconds>(longest_delay, Milliseconds(launch_.restart.delay_ms)));
    ++in_a_row_;
    ++restarts_;
    log_.line("the machine " + describe(end) + "; it is started again in " + seconds(delay) + ", for the " +
              std::to_string(in_a_row_) + ". time of " + std::to_string(launch_.restart.limit));
    events_.tell("restarting", {{"end", end}, {"after_ms", delay.count()}, {"restarts", restarts_}});
    restart_at_ = Clock::now() + delay;
    poll_.expires_at(restart_at_);
    poll_.async_wait([this](boost::system::error_code error) {
        if (error || phase_ != Phase::waiting) { return; }
        started_ = std::time(nullptr);
        start_again();
    });
}

void Supervisor::stable_from_now() {
    stable_.expires_after(Milliseconds(launch_.restart.stable_ms));
    stable_.async_wait([this](boost::system::error_code error) {
        if (!error && ready_) { in_a_row_ = 0; }
    });
}

} // namespace microvmc::supervisor
