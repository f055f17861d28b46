#include "runtime/supervisor/supervisor.h"

#include "runtime/error.h"
#include "runtime/supervisor/protocol.h"
#include "runtime/supervisor/reexec.h"
#include "runtime/supervisor/signals.h"

#include <algorithm>

// An upgrade: another program takes this one's place in the same process, which keeps its children and descriptors.

namespace microvmc::supervisor {

void Supervisor::handle_reexec(const nlohmann::json& request, const std::shared_ptr<Stream>& client) {
    const auto program = request.at("program").get<std::string>();
    if (!program.starts_with('/')) { throw Error("\"" + program + "\" is not an absolute path"); }
    if (const std::string why = occupied_but_for(client); !why.empty()) {
        answer(client, {{"later", why}});
        return;
    }
    log_.line("executing " + program + " in place of this program");
    const std::string why = reexec(program, hand_over(client));
    log_.line(program + " can't take over: " + why);
    throw Error(program + " can't take over, so the supervisor goes on with the program that it has: " + why);
}

// The simple and safe rule: nothing that has a deadline or a client. All of it passes by itself.
std::string Supervisor::occupied_but_for(const std::shared_ptr<Stream>& client) {
    if (phase_ == Phase::starting || phase_ == Phase::waiting || launch_.restored) {
        return "the machine is being started";
    }
    const bool ends = phase_ != Phase::up || stopping_ || evidence_.reported || evidence_.start_failed;
    const bool lost = std::ranges::any_of(running_, [](const Running& running) {
        return !running.alive && running.child->on_death != Child::OnDeath::nothing;
    });
    if (ends || lost || !running_.back().alive || !evidence_.panic.empty()) { return "the machine is ending"; }
    if (execs_.busy()) { return "a command runs in the guest"; }
    if (console_.busy()) { return "somebody is attached to the console"; }
    if (control_.busy(client)) { return "another client is connected to the supervisor"; }
    return {};
}

static std::vector<Credential> taken(const std::vector<CredentialHandover>& handed) {
    std::vector<Credential> credentials;
    for (const CredentialHandover& each : handed) { credentials.push_back({each.name, each.value.bytes}); }
    return credentials;
}

Handover Supervisor::hand_over(const std::shared_ptr<Stream>& client) {
    Handover handover;
    handover.launch = launch_;
    handover.lock = lock_;
    for (const Fd& image : images_) { handover.images.push_back(image.get()); }
    handover.control = control_.descriptor();
    handover.client = client->descriptor();
    handover.cgroup = cgroup_->path();
    handover.console = console_.hand_over();
    handover.agent = agent_.hand_over();
    for (const Running& running : running_) {
        const int err = running.err ? running.err->descriptor() : -1;
        handover.children.push_back({running.pid, running.alive, running.wait_status, err, {running.words.text()}});
    }
    for (const Credential& each : credentials_) { handover.credentials.push_back({each.name, {each.value}}); }
    handover.next_exec = execs_.next_id();
    handover.started = started_;
    handover.reboots = reboots_;
    handover.restarts = restarts_;
    handover.restarts_in_a_row = in_a_row_;
    if (restart_after_) { handover.restart_after = *restart_after_; }
    handover.boot_id = boot_id_;
    handover.agent_up = agent_up_;
    handover.agent_version = agent_version_;
    handover.ready = ready_;
    return handover;
}

Supervisor::Supervisor(asio::io_context& io, const Handover& handover)
    : io_(io), launch_(handover.launch), credentials_(taken(handover.credentials)), lock_(handover.lock),
      log_(launch_.vmm_log), events_(launch_.event_log, launch_.vm), null_(::open("/dev/null", O_RDWR | O_CLOEXEC)),
      console_(io, launch_.console_log, launch_.ready_kind == "console" ? launch_.ready_text : "",
               launch_.console_piece, handover.console),
      agent_(io, launch_.agent), execs_(agent_), control_(io, path(control_name), handover.control),
      signals_(io, open_signals()), poll_(io), deadline_(io), helpers_(io), panic_(io), stable_(io), hook_time_(io),
      question_(io), reconnection_(io), phase_(Phase::up), started_(handover.started), reboots_(handover.reboots),
      restarts_(handover.restarts), in_a_row_(handover.restarts_in_a_row), boot_id_(handover.boot_id), told_(true),
      vmm_up_(true), agent_up_(handover.agent_up), agent_version_(handover.agent_version), ready_(handover.ready),
      upgrader_(control_.adopt(handover.client)) {
    for (const int image : handover.images) { images_.emplace_back(image); }
    execs_.set_next_id(handover.next_exec);
    if (restarts_ != 0) { restart_after_ = handover.restart_after; }
    connect_parts();
    running_.reserve(launch_.children.size()); // callbacks hold on to elements
    for (std::size_t i = 0; i < launch_.children.size(); ++i) {
        const ChildHandover& child = handover.children[i];
        Running& running = running_.emplace_back();
        running.child = &launch_.children[i];
        running.pid = child.pid;
        running.alive = child.alive;
        running.wait_status = child.wait_status;
        running.words.feed(child.words.bytes);
        if (child.err < 0) { continue; }
        running.err = Stream::make(io, child.err);
        watch_words(i);
    }
    if (evidence_.has_agent) { agent_.resume(handover.agent, running_.back().pid); }
}

void Supervisor::go_on(const Handover& handover) {
    cgroup_ = Cgroup::adopt(handover.cgroup);
    log_.line("the machine goes on under this program");
    if (ready_) { stable_from_now(); }
    answer(std::exchange(upgrader_, nullptr), {{"supervisor", ::getpid()}, {"program", program_}});
    reap();
}

} // namespace microvmc::supervisor
