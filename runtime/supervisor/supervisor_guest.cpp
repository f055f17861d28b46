#include "runtime/supervisor/supervisor.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <sys/random.h>

// What the guest says, by its agent and on its console. It is not trusted: it may say anything, at any time.

namespace microvmc::supervisor {

namespace {

using namespace std::chrono_literals;
constexpr auto panic_grace = 5s;
constexpr auto failed_grace = 10s;
constexpr auto question_interval = 300ms;
constexpr auto halt_grace = 500ms; ///< for a VMM that ends with its guest after all
constexpr std::size_t credential_piece = 32'768;
constexpr std::size_t max_unsent_credentials = std::size_t{2} << 20U;

std::optional<End> end_of(const std::vector<std::string_view>& fields) {
    if (fields.empty()) { return std::nullopt; }
    const int status = fields.size() > 1 ? wire::parse_number<int>(fields[1]).value_or(0) : 0;
    if (fields[0] == "exited") { return End{End::Kind::exited, status & 0xff, {}}; }
    if (fields[0] == "poweroff") { return End{End::Kind::poweroff, 0, {}}; }
    if (fields[0] == "reboot") { return End{End::Kind::reboot, 0, {}}; }
    return std::nullopt;
}

} // namespace

void Supervisor::guest_said(const wire::Frame& frame) {
    switch (frame.type) {
    case wire::Type::hello: {
        const auto fields = wire::split_fields(frame.payload);
        agent_version_ = fields.empty() ? 0 : wire::parse_number<int>(fields[0]).value_or(0);
        if (launch_.restored && agent_version_ >= wire::renew_version) {
            if (!std::exchange(renew_sent_, true)) { send_renew("restored"); }
            return;
        }
        launch_.restored = false;
        guest_hello(std::string(fields.size() > 1 ? fields[1].substr(0, 64) : std::string_view()));
        return;
    }
    case wire::Type::ready:
        if (launch_.restored) { return; } // once more, when it is renewed
        if (launch_.ready_kind != "console" && launch_.ready_kind != "exit") { guest_is_ready(); }
        return;
    case wire::Type::end: guest_ended(wire::split_fields(frame.payload)); return;
    case wire::Type::failed:
        if (evidence_.start_failed) { return; }
        evidence_.start_failed = true;
        evidence_.failed = last_lines(std::string_view(frame.payload).substr(0, frame.payload.find('\0')), 3);
        log_.line("the guest's init failed: " + evidence_.failed);
        end_by(failed_grace, "its init failed, and it didn't power off");
        return;
    case wire::Type::output:
    case wire::Type::error:
    case wire::Type::exit:
    case wire::Type::taken: execs_.handle(frame); return;
    case wire::Type::renewed: guest_renewed(frame.payload); return;
    case wire::Type::want: send_credential(wire::split_fields(frame.payload)); return;
    case wire::Type::ping:
    case wire::Type::shutdown:
    case wire::Type::exec:
    case wire::Type::input:
    case wire::Type::signal:
    case wire::Type::resize:
    case wire::Type::close:
    case wire::Type::grant:
    case wire::Type::renew:
    case wire::Type::credential: return; // ours to send
    }
}

void Supervisor::guest_hello(const std::string& boot_id) {
    hello_since_panic_ = true;
    const bool known = agent_up_ && boot_id == boot_id_;
    if (!known) { guest_booted(boot_id); }
    if (stopping_ && phase_ == Phase::up && !shutdown_sent_) {
        ask_to_power_off(Milliseconds(launch_.shutdown_timeout_ms));
    }
}

void Supervisor::guest_booted(const std::string& boot_id) {
    if (agent_up_) {
        // Some VMMs restart their guest without ending.
        log_.line("the guest has rebooted");
        execs_.end_all();
        new_boot();
        evidence_.reported.reset();
        evidence_.panic.clear();
        console_.watch_for_panic();
        if (!stopping_) {
            deadline_.cancel();
            deadline_at_ = Clock::time_point::max();
        }
    }
    boot_id_ = boot_id;
    agent_up_ = true;
    if (launch_.ready_kind == "init") {
        guest_is_ready();
    } else {
        answer_waiters();
    }
}

void Supervisor::send_renew(std::string_view kind) {
    std::array<std::uint8_t, 64> seed{};
    if (::getrandom(seed.data(), seed.size(), 0) != static_cast<ssize_t>(seed.size())) {
        return guest_renewed("this host has no random numbers");
    }
    std::string digits;
    for (const std::uint8_t byte : seed) {
        digits.push_back("0123456789abcdef"[byte >> 4U]);
        digits.push_back("0123456789abcdef"[byte & 0xfU]);
    }
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto time = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
    agent_.send(wire::Type::renew, 0, wire::join_fields({std::string(kind), std::to_string(time), digits}));
}

// crosvm's console keeps what came while the machine was loaded, and delivers it when more comes (crosvm:
// devices/src/virtio/console/worker.rs: the event is taken though there is no queue yet).
void Supervisor::ask_restored_again() {
    question_.expires_after(question_interval);
    question_.async_wait([this](boost::system::error_code error) {
        if (error || !launch_.restored || renew_sent_) { return; }
        agent_.send(wire::Type::ping, 0, {});
        ask_restored_again();
    });
}

void Supervisor::guest_renewed(std::string_view failure) {
    failure = failure.substr(0, failure.find('\0'));
    if (!failure.empty()) { log_.line("the guest could not be renewed: " + std::string(failure.substr(0, 200))); }
    for (const auto& client : std::exchange(renewers_, {})) {
        answer(client, failure.empty() ? nlohmann::json{{"ok", true}} : error_answer(std::string(failure)));
    }
    if (!launch_.restored) { return; }
    launch_.restored = false;
    if (launch_.was_ready) { ready_ = true; }
    agent_.send(wire::Type::ping, 0, {});
}

void Supervisor::send_credential(const std::vector<std::string_view>& fields) {
    // It may ask as often as it likes; more than this is never kept for it.
    if (fields.size() != 1 || agent_.queued() > max_unsent_credentials) { return; }
    const auto found = std::ranges::find(credentials_, fields[0], &Credential::name);
    wire::CredentialPiece piece{.name = fields[0], .known = found != credentials_.end(), .bytes = {}};
    if (!piece.known) {
        agent_.send(wire::Type::credential, 0, wire::encode_credential(piece));
        return;
    }
    const std::string_view value = found->value;
    piece.size = value.size();
    do {
        piece.bytes = value.substr(piece.offset, credential_piece);
        agent_.send(wire::Type::credential, 0, wire::encode_credential(piece));
        piece.offset += piece.bytes.size();
    } while (piece.offset < value.size());
}

void Supervisor::guest_ended(const std::vector<std::string_view>& fields) {
    const auto end = end_of(fields);
    if (!end || evidence_.reported) { return; }
    evidence_.reported = end;
    log_.line("the guest reports: " + describe(*end));
    // Not every VMM ends with its guest.
    if (phase_ == Phase::up) {
        end_by(Milliseconds(launch_.shutdown_timeout_ms), describe(*end) + ", but its VMM didn't end");
    }
}

void Supervisor::guest_is_ready() {
    if (!ready_) {
        ready_ = true;
        events_.tell("ready");
        stable_from_now();
    }
    answer_waiters();
}

void Supervisor::panicked(const std::string& line) {
    evidence_.panic = line;
    log_.line("the console shows: " + line);
    if (phase_ != Phase::up) { return; }
    // A guest that panicked ends by itself (panic=-1), unless the VMM can't. The text may also come from a log that
    // somebody prints: then the agent still answers.
    hello_since_panic_ = false;
    agent_.send(wire::Type::ping, 0, {});
    panic_.expires_after(panic_grace);
    panic_.async_wait([this](boost::system::error_code error) {
        if (error || phase_ != Phase::up) { return; }
        if (agent_up_ && hello_since_panic_) {
            evidence_.panic.clear();
            console_.watch_for_panic();
        } else if (agent_up_ || !ready_) {
            kill_vmm("panicked, and its VMM didn't end within 5s; killed", false);
        }
    });
}

// A guest with an init of its own does what it calls powering off, which some VMMs don't take for their end. The text
// may come from anywhere; a guest that has said that it ends may as well end now.
void Supervisor::halted() {
    if (phase_ != Phase::up || !evidence_.reported) { return; }
    log_.line("the console shows that the kernel has halted");
    end_by(halt_grace, describe(*evidence_.reported) + ", and its VMM didn't end");
}

void Supervisor::new_boot() {
    ++reboots_;
    events_.tell("rebooted");
    ready_ = false;
    shutdown_sent_ = false;
}

} // namespace microvmc::supervisor
