#include "runtime/supervisor/supervisor.h"

#include "runtime/error.h"

#include <algorithm>

// The requests of protocol.h.

namespace microvmc::supervisor {

namespace {

using namespace std::chrono_literals;
constexpr auto reconnection_time = 20s; ///< of a channel that was cut

std::chrono::milliseconds milliseconds_in(const nlohmann::json& request, const char* key) {
    const auto value = request.at(key).get<std::int64_t>();
    if (value < 0) { throw Error(std::string(key) + " is negative"); }
    return std::chrono::milliseconds(std::min<std::int64_t>(value, std::int64_t{365} * 24 * 3600 * 1000));
}

} // namespace

void Supervisor::handle(const nlohmann::json& request, const std::shared_ptr<Stream>& client, std::string_view rest) {
    const auto& op = request.at("op").get_ref<const std::string&>();
    // Nothing more is expected of it, but that it may go.
    client->on_data = [](std::string_view) {};
    if (op == "status") {
        answer(client, status());
    } else if (op == "await") {
        handle_await(request, client);
    } else if (op == "stop") {
        handle_stop(request, client);
    } else if (op == "amend") {
        handle_amend(request, client);
    } else if ((op == "renew" || op == "exec") && hold(request, client, rest)) {
        return; // until the agent can be spoken to
    } else if (op == "renew") {
        handle_renew(client);
    } else if (op == "reexec") {
        handle_reexec(request, client);
    } else if (op == "console") {
        const bool history = request.value("history", true);
        client->write("{\"ok\":true}\n");
        console_.attach(client, history, rest);
    } else if (op == "exec") {
        if (!agent_answers()) { throw Error("the guest's agent isn't up, so that nothing can be run in the guest"); }
        execs_.start(request, client, rest, agent_version_ >= wire::window_version);
    } else {
        throw Error("unknown op \"" + op + "\"");
    }
}

bool Supervisor::hold(const nlohmann::json& request, const std::shared_ptr<Stream>& client, std::string_view rest) {
    if (!agent_up_ || agent_.connected()) { return false; }
    held_.push_back({request, client, std::string(rest)});
    if (held_.size() > 1) { return true; }
    reconnection_.expires_after(reconnection_time);
    reconnection_.async_wait([this](boost::system::error_code error) {
        if (error) { return; }
        for (const Held& held : std::exchange(held_, {})) {
            answer(held.client, error_answer("the guest's agent went, and can't be reached"));
        }
    });
    return true;
}

void Supervisor::handle_held() {
    reconnection_.cancel();
    for (const Held& held : std::exchange(held_, {})) {
        if (!held.client->open()) { continue; }
        try {
            handle(held.request, held.client, held.rest);
        } catch (const Error& error) {
            answer(held.client, error_answer(error.what()));
        } catch (const nlohmann::json::exception& error) { answer(held.client, error_answer(error.what())); }
    }
}

void Supervisor::handle_await(const nlohmann::json& request, const std::shared_ptr<Stream>& client) {
    const auto goal = request.at("for").get<std::string>();
    const auto timeout = milliseconds_in(request, "timeout_ms");
    if (goal != "vmm" && goal != "agent" && goal != "ready" && goal != "end") {
        throw Error("can't await \"" + goal + "\"");
    }
    if (reached(goal)) {
        answer(client, {{"state", to_string(state())}});
        return;
    }
    waiters_.remove_if([](const Waiter& waiter) { return !waiter.client->open(); });
    Waiter& waiter = waiters_.emplace_back(Waiter{goal, client, std::make_unique<asio::steady_timer>(io_, timeout)});
    waiter.timer->async_wait([this, goal, client](boost::system::error_code error) {
        if (error) { return; }
        answer(client, {{"timeout", true}, {"waiting_for", waiting_for(goal)}});
    });
    client->read(true);
}

void Supervisor::handle_stop(const nlohmann::json& request, const std::shared_ptr<Stream>& client) {
    const auto kind = request.at("kind").get<std::string>();
    const auto timeout = milliseconds_in(request, "timeout_ms");
    if (kind != "poweroff" && kind != "kill") { throw Error("can't stop by \"" + kind + "\""); }
    stoppers_.remove_if([](const Stopper& stopper) { return !stopper.client->open(); });
    stoppers_.push_back({client, Clock::now()});
    client->read(true);
    log_.line("stop: " + kind);
    stop(timeout, kind == "kill", request.value("asked", false));
}

void Supervisor::handle_amend(const nlohmann::json& request, const std::shared_ptr<Stream>& client) {
    auto amendment = request.at("amendment").get<Amendment>();
    const std::vector<Child>& children = amendment.children;
    const bool same = std::ranges::equal(children, launch_.children, {}, &Child::role, &Child::role);
    const bool executable = std::ranges::all_of(
        children, [](const Child& child) { return !child.argv.empty() && child.argv[0].starts_with('/'); });
    if (!same || !executable) { throw Error("these are not the machine's children"); }
    launch_.next_children = std::move(amendment.children);
    launch_.post_stop = std::move(amendment.post_stop);
    answer(client, {{"ok", true}});
}

void Supervisor::handle_renew(const std::shared_ptr<Stream>& client) {
    if (!agent_answers()) { throw Error("the guest's agent isn't up, so that its clock can't be set"); }
    if (agent_version_ < wire::renew_version) {
        throw Error("the guest's agent is too old to set its clock: it was started by an earlier microvmc");
    }
    renewers_.push_back(client);
    client->read(true);
    send_renew("resumed");
}

MachineState Supervisor::state() const {
    if (stopping_ || phase_ == Phase::ending || phase_ == Phase::done) { return MachineState::stopping; }
    if (phase_ == Phase::waiting) { return MachineState::restarting; }
    if (ready_) { return MachineState::ready; }
    return vmm_up_ ? MachineState::running : MachineState::starting;
}

nlohmann::json Supervisor::status() const {
    const bool vmm_runs = running_.size() == launch_.children.size() && running_.back().alive;
    nlohmann::json json = {
        {"vm", launch_.vm},         {"state", to_string(state())}, {"pid", vmm_runs ? running_.back().pid : 0},
        {"supervisor", ::getpid()}, {"started", started_},         {"agent", agent_answers()},
        {"reboots", reboots_},      {"restarts", restarts_},       {"program", program_},
        {"plan", launch_.plan}};
    if (!ready_) { json["waiting_for"] = waiting_for("ready"); }
    if (restart_after_) { json["last_end"] = *restart_after_; }
    return json;
}

bool Supervisor::reached(const std::string& goal) const {
    if (goal == "vmm") { return vmm_up_; }
    if (goal == "agent") { return agent_up_; }
    return goal == "ready" && ready_;
}

bool Supervisor::ready_by(const End& end) const {
    return launch_.ready_kind == "exit" && end.kind == End::Kind::exited && end.status == launch_.ready_status;
}

std::string Supervisor::waiting_for(const std::string& goal) const {
    if (goal == "end") { return "the machine to end"; }
    if (phase_ == Phase::waiting) {
        const auto left = std::chrono::ceil<std::chrono::seconds>(restart_at_ - Clock::now());
        return "the machine to be started again in " + std::to_string(std::max<std::int64_t>(left.count(), 0)) +
               "s, after it " + describe(*restart_after_);
    }
    if (!vmm_up_) {
        const std::string role = running_.empty() ? "the first process" : running_.back().child->role;
        return role + " to start";
    }
    if (!evidence_.panic.empty()) { return "a guest that has panicked: " + evidence_.panic; }
    if (goal == "ready" && launch_.ready_kind == "console") { return "\"" + launch_.ready_text + "\" on the console"; }
    if (!agent_up_) { return "the guest's init to come up"; }
    if (launch_.ready_kind == "exit") { return "the main process to exit"; }
    return "the guest to be ready (" + launch_.ready_kind + ")";
}

void Supervisor::answer_waiters() {
    waiters_.remove_if([this](const Waiter& waiter) {
        if (!reached(waiter.goal)) { return false; }
        answer(waiter.client, {{"state", to_string(state())}});
        return true;
    });
}

void Supervisor::answer_all(const End& end) {
    for (const Waiter& waiter : std::exchange(waiters_, {})) {
        nlohmann::json json = {{"end", end}};
        if (ready_by(end) && waiter.goal == "ready") { json["state"] = to_string(MachineState::ready); }
        answer(waiter.client, json);
    }
    for (const Stopper& stopper : std::exchange(stoppers_, {})) { answer(stopper.client, stop_answer(stopper, end)); }
}

nlohmann::json Supervisor::stop_answer(const Stopper& stopper, const End& end) const {
    std::string detail;
    if (evidence_.killed) {
        detail = evidence_.kill_reason;
    } else {
        const auto took = std::chrono::duration_cast<Milliseconds>(Clock::now() - stopper.since);
        detail = describe(end) + " in " + seconds(took);
    }
    return {{"outcome", evidence_.killed ? "killed" : "graceful"}, {"detail", detail}, {"end", end}};
}

} // namespace microvmc::supervisor
