#include "runtime/supervisor/execs.h"

#include "runtime/error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

namespace microvmc::supervisor {

namespace {

constexpr std::size_t client_queue = std::size_t{256} * 1024; ///< above this a client holds up the agent
constexpr std::size_t agent_queue = std::size_t{256} * 1024;  ///< above this the agent holds up the clients
constexpr std::size_t grant_step = wire::output_window / 4;   ///< so that not each piece has its grant
constexpr std::size_t max_orphans = 1024;
constexpr std::uint32_t client_stream = 1;

const std::string& text_of(const nlohmann::json& json) {
    const auto& text = json.get_ref<const std::string&>();
    if (text.find('\0') != std::string::npos) { throw Error("a NUL in an argument"); }
    return text;
}

wire::Exec exec_of(const nlohmann::json& request) {
    wire::Exec exec;
    for (const auto& arg : request.at("argv")) { exec.argv.push_back(text_of(arg)); }
    if (exec.argv.empty()) { throw Error("no command"); }
    if (const auto env = request.find("env"); env != request.end()) {
        for (const auto& [name, value] : env->items()) {
            if (name.empty() || name.find_first_of(std::string("=\0", 2)) != std::string::npos) {
                throw Error("\"" + name + "\" can't be the name of an environment variable");
            }
            exec.env.push_back(name + "=" + text_of(value));
        }
    }
    if (const auto workdir = request.find("workdir"); workdir != request.end()) { exec.workdir = text_of(*workdir); }
    if (const auto tty = request.find("tty"); tty != request.end() && !tty->is_null()) {
        exec.tty = true;
        exec.rows = tty->at("rows").get<std::uint16_t>();
        exec.columns = tty->at("columns").get<std::uint16_t>();
    }
    return exec;
}

} // namespace

Execs::Execs(AgentLink& agent) : agent_(agent) {}

void Execs::start(const nlohmann::json& request, const std::shared_ptr<Stream>& client, std::string_view rest,
                  bool windowed) {
    wire::Exec wanted = exec_of(request);
    if (windowed) { wanted.window = wire::output_window; }
    const std::string payload = wire::encode_exec(wanted);
    if (payload.size() > wire::max_payload) {
        throw Error("command and environment are longer than " + std::to_string(wire::max_payload) + " bytes");
    }
    auto exec = std::make_shared<Exec>();
    exec->id = next_id_++;
    exec->client = client;
    exec->windowed = windowed;
    running_[exec->id] = exec;
    // Not owned by its client's callbacks: each would keep the other.
    client->on_data = [this, weak = std::weak_ptr(exec)](std::string_view bytes) {
        const auto still = weak.lock();
        if (!still) { return; }
        still->decoder.feed(bytes);
        pump(still);
    };
    client->on_end = [this, id = exec->id] { client_gone(id); };
    client->on_written = [this, weak = std::weak_ptr(exec)] {
        if (const auto still = weak.lock()) { grant(*still); }
        balance();
    };
    client->write("{\"ok\":true}\n");
    agent_.send(wire::Type::exec, exec->id, payload);
    exec->decoder.feed(rest);
    pump(exec);
}

void Execs::pump(const std::shared_ptr<Exec>& exec) {
    while (agent_.queued() < agent_queue) {
        auto frame = exec->held ? std::exchange(exec->held, std::nullopt) : exec->decoder.next();
        if (!frame) { break; }
        if (!forward(*exec, *frame)) {
            exec->held = std::move(frame);
            break;
        }
    }
    exec->client->read(!exec->held && agent_.queued() < agent_queue);
}

// False when it must wait.
bool Execs::forward(Exec& exec, wire::Frame& frame) {
    switch (frame.type) {
    case wire::Type::input:
        if (exec.unconfirmed + frame.payload.size() > wire::input_window) { return false; }
        exec.unconfirmed += frame.payload.size();
        break;
    case wire::Type::signal:
    case wire::Type::resize: break;
    case wire::Type::hello:
    case wire::Type::ready:
    case wire::Type::end:
    case wire::Type::failed:
    case wire::Type::output:
    case wire::Type::error:
    case wire::Type::exit:
    case wire::Type::taken:
    case wire::Type::ping:
    case wire::Type::shutdown:
    case wire::Type::exec:
    case wire::Type::close:
    case wire::Type::grant:
    case wire::Type::renew:
    case wire::Type::renewed:
    case wire::Type::want:
    case wire::Type::credential: return true; // not a client's to send
    }
    agent_.send(frame.type, exec.id, frame.payload);
    return true;
}

void Execs::handle(const wire::Frame& frame) {
    const auto found = running_.find(frame.stream);
    if (found == running_.end()) { return; }
    const auto exec = found->second;
    if (frame.type == wire::Type::output || frame.type == wire::Type::error) {
        exec->received += wire::frame_size(frame.payload.size());
    }
    exec->client->write(wire::encode(frame.type, client_stream, frame.payload));
    if (frame.type == wire::Type::exit) {
        running_.erase(frame.stream);
        exec->client->read(false);
        exec->client->finish();
    } else if (frame.type == wire::Type::taken) {
        const auto fields = wire::split_fields(frame.payload);
        const auto count = fields.empty() ? std::nullopt : wire::parse_number<std::size_t>(fields[0]);
        exec->unconfirmed -= std::min(exec->unconfirmed, count.value_or(0));
        pump(exec);
    }
    balance();
}

void Execs::grant(Exec& exec) {
    if (!exec.windowed || exec.received < grant_step || !running_.contains(exec.id)) { return; }
    agent_.send(wire::Type::grant, exec.id, std::to_string(exec.received));
    exec.received = 0;
}

void Execs::close_orphans() {
    for (const std::uint32_t id : std::exchange(orphans_, {})) { agent_.send(wire::Type::close, id, {}); }
}

void Execs::client_gone(std::uint32_t id) {
    if (running_.erase(id) != 0) { agent_.send(wire::Type::close, id, {}); }
    balance();
}

void Execs::agent_written() {
    const Running running = running_;
    for (const auto& [id, exec] : running) { pump(exec); }
}

void Execs::balance() {
    const auto slow = [](const auto& entry) { return entry.second->client->queued() > client_queue; };
    if (!waiting_) {
        const Running running = running_;
        for (const auto& entry : running) {
            if (!slow(entry)) { continue; }
            entry.second->client->close();
            running_.erase(entry.first);
            agent_.send(wire::Type::close, entry.first, {});
        }
    }
    agent_.read(std::ranges::none_of(running_, slow));
}

void Execs::stop_waiting() {
    waiting_ = false;
    balance();
}

void Execs::end_all() {
    const Running running = std::exchange(running_, {});
    for (const auto& [id, exec] : running) {
        if (orphans_.size() < max_orphans) { orphans_.push_back(id); }
        exec->client->on_end = nullptr;
        exec->client->finish();
    }
    agent_.read(true);
}

} // namespace microvmc::supervisor
