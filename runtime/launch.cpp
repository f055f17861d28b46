#include "runtime/launch.h"

#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/supervisor/protocol.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc {

namespace {

// Names of an enum's values, in their order. nlohmann's own macro takes an unknown name for the first value.
constexpr std::array agent_kinds{"none", "unix-stream", "hybrid-vsock", "terminal", "served"};
constexpr std::array descriptor_kinds{"read", "write", "listen", "connect", "macvtap"};
constexpr std::array death_kinds{"nothing", "restart", "stop"};
constexpr std::array end_kinds{"exited", "poweroff",  "reboot",       "panic",       "vmm-crash",
                               "killed", "timed-out", "start-failed", "helper-crash"};
constexpr std::array state_names{"starting", "running", "ready", "stopping", "restarting"};

template <std::size_t N>
std::optional<std::size_t> index_of(const std::array<const char*, N>& names, std::string_view name) {
    const auto* const found = std::ranges::find(names, name);
    if (found == names.end()) { return std::nullopt; }
    return static_cast<std::size_t>(found - names.begin());
}

template <typename Enum, std::size_t N>
void read_enum(const nlohmann::json& json, const std::array<const char*, N>& names, Enum& value) {
    const auto& name = json.get_ref<const std::string&>();
    const auto index = index_of(names, name);
    if (!index) { throw nlohmann::json::other_error::create(501, "unknown kind \"" + name + "\"", &json); }
    value = static_cast<Enum>(*index);
}

// One list for both directions, so that neither can forget a field.
template <typename Self, typename Visit> void visit_launch(Self& launch, Visit visit) {
    visit("version", launch.version);
    visit("project", launch.project);
    visit("vm", launch.vm);
    visit("children", launch.children);
    visit("agent", launch.agent);
    visit("ready_kind", launch.ready_kind);
    visit("ready_text", launch.ready_text);
    visit("ready_status", launch.ready_status);
    visit("restart", launch.restart);
    visit("startup_timeout_ms", launch.startup_timeout_ms);
    visit("shutdown_timeout_ms", launch.shutdown_timeout_ms);
    visit("taps", launch.taps);
    visit("release", launch.release);
    visit("images", launch.images);
    visit("runtime_dir", launch.runtime_dir);
    visit("console_piece", launch.console_piece);
    visit("console_log", launch.console_log);
    visit("vmm_log", launch.vmm_log);
    visit("event_log", launch.event_log);
    visit("end_file", launch.end_file);
    visit("pre_start", launch.pre_start);
    visit("post_stop", launch.post_stop);
    visit("next_children", launch.next_children);
    visit("limits", launch.limits);
    visit("plan", launch.plan);
    visit("restored", launch.restored);
    visit("was_ready", launch.was_ready);
}

[[noreturn]] void fail(const std::string& what, const std::string& path) {
    throw Error("can't " + what + " " + path + ": " + std::strerror(errno));
}

} // namespace

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Tap, name, queues, link)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Launch::Image, path, read_only)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ChatStep, expect, send)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ChildFile, path, content)

static void to_json(nlohmann::json& json, const Descriptor& descriptor) {
    json = {{"kind", descriptor_kinds[static_cast<std::size_t>(descriptor.kind)]},
            {"number", descriptor.number},
            {"path", descriptor.path}};
}

static void from_json(const nlohmann::json& json, Descriptor& descriptor) {
    read_enum(json.at("kind"), descriptor_kinds, descriptor.kind);
    json.at("number").get_to(descriptor.number);
    json.at("path").get_to(descriptor.path);
}

static void to_json(nlohmann::json& json, const Child& child) {
    json = {{"role", child.role}, {"argv", child.argv}, {"console", child.console}};
    json["await_socket"] = child.await_socket;
    if (!child.chat.empty()) { json["chat"] = child.chat; }
    if (!child.first_argv.empty()) { json["first_argv"] = child.first_argv; }
    if (!child.files.empty()) { json["files"] = child.files; }
    if (!child.listen.empty()) { json["listen"] = child.listen; }
    if (!child.read_only.empty()) { json["read_only"] = child.read_only; }
    if (!child.descriptors.empty()) { json["descriptors"] = child.descriptors; }
    if (!child.user.empty()) { json["user"] = child.user; }
    if (!child.raw_images.empty()) { json["raw_images"] = child.raw_images; }
    if (child.on_death != Child::OnDeath::nothing) {
        json["on_death"] = death_kinds[static_cast<std::size_t>(child.on_death)];
    }
}

static void from_json(const nlohmann::json& json, Child& child) {
    json.at("role").get_to(child.role);
    json.at("argv").get_to(child.argv);
    json.at("console").get_to(child.console);
    json.at("await_socket").get_to(child.await_socket);
    child.chat = json.value("chat", std::vector<ChatStep>());
    child.first_argv = json.value("first_argv", std::vector<std::string>());
    child.files = json.value("files", std::vector<ChildFile>());
    child.listen = json.value("listen", "");
    child.read_only = json.value("read_only", std::vector<std::string>());
    child.descriptors = json.value("descriptors", std::vector<Descriptor>());
    child.user = json.value("user", "");
    child.raw_images = json.value("raw_images", std::vector<std::string>());
    if (json.contains("on_death")) { read_enum(json["on_death"], death_kinds, child.on_death); }
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Limits, cpu, mem_mib, pids, io_read_mib, io_write_mib, io_paths)

void to_json(nlohmann::json& json, const Amendment& amendment) {
    json = {{"children", amendment.children}, {"post_stop", amendment.post_stop}};
}

void from_json(const nlohmann::json& json, Amendment& amendment) {
    json.at("children").get_to(amendment.children);
    json.at("post_stop").get_to(amendment.post_stop);
}

static void to_json(nlohmann::json& json, const AgentChannel& agent) {
    json = {{"kind", agent_kinds[static_cast<std::size_t>(agent.kind)]}, {"socket", agent.socket}};
    if (agent.port != 0) { json["port"] = agent.port; }
    if (!agent.doubled.empty()) { json["doubled"] = agent.doubled; }
}

static void from_json(const nlohmann::json& json, AgentChannel& agent) {
    read_enum(json.at("kind"), agent_kinds, agent.kind);
    json.at("socket").get_to(agent.socket);
    agent.port = json.value("port", std::uint32_t{0});
    agent.doubled = json.value("doubled", "");
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Restart, policy, delay_ms, limit, stable_ms)

void to_json(nlohmann::json& json, const Launch& launch) {
    json = nlohmann::json::object();
    visit_launch(launch, [&json](const char* key, const auto& value) { json[key] = value; });
    if (launch.taps.empty()) { json.erase("taps"); }
    if (launch.release.empty()) { json.erase("release"); }
    if (launch.console_piece == 0) { json.erase("console_piece"); }
    if (launch.images.empty()) { json.erase("images"); }
}

void from_json(const nlohmann::json& json, Launch& launch) {
    visit_launch(launch, [&json](const char* key, auto& value) {
        const std::string_view name = key;
        const bool optional = name == "taps" || name == "release" || name == "images" || name == "console_piece";
        if (optional && !json.contains(key)) { return; }
        try {
            json.at(key).get_to(value);
        } catch (const nlohmann::json::type_error& error) {
            throw nlohmann::json::other_error::create(501, std::string(key) + ": " + error.what(), &json);
        }
    });
}

void to_json(nlohmann::json& json, const End& end) {
    json = {{"kind", end_kinds[static_cast<std::size_t>(end.kind)]}, {"status", end.status}, {"detail", end.detail}};
}

void from_json(const nlohmann::json& json, End& end) {
    read_enum(json.at("kind"), end_kinds, end.kind);
    json.at("status").get_to(end.status);
    json.at("detail").get_to(end.detail);
}

std::string describe(const End& end) {
    const auto with_detail = [&end](std::string text) {
        if (!end.detail.empty()) { text.append(": ").append(end.detail); }
        return text;
    };
    switch (end.kind) {
    case End::Kind::exited: return "exited with status " + std::to_string(end.status);
    case End::Kind::poweroff: return "powered off";
    case End::Kind::reboot: return "rebooted";
    case End::Kind::panic: return with_detail("panicked");
    case End::Kind::vmm_crash: return with_detail("its VMM ended");
    case End::Kind::killed: return with_detail("killed");
    case End::Kind::timed_out: return with_detail("timed out");
    case End::Kind::start_failed: return with_detail("could not be started");
    case End::Kind::helper_crash: return with_detail("lost a process that it needs");
    }
    return {};
}

bool is_failure(const End& end) {
    switch (end.kind) {
    case End::Kind::exited: return end.status != 0;
    case End::Kind::poweroff:
    case End::Kind::reboot: return false;
    case End::Kind::panic:
    case End::Kind::vmm_crash:
    case End::Kind::killed:
    case End::Kind::timed_out:
    case End::Kind::start_failed:
    case End::Kind::helper_crash: return true;
    }
    return true;
}

std::string_view to_string(MachineState state) {
    return state_names[static_cast<std::size_t>(state)];
}

std::optional<MachineState> machine_state(std::string_view name) {
    const auto index = index_of(state_names, name);
    if (!index) { return std::nullopt; }
    return static_cast<MachineState>(*index);
}

void write_private_file(const std::string& path, std::string_view content, bool durable) {
    const std::string part = path + ".part";
    ::unlink(part.c_str());
    Fd fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) { fail("create", part); }
    while (!content.empty()) {
        const ssize_t written = ::write(fd.get(), content.data(), content.size());
        if (written < 0 && errno == EINTR) { continue; }
        if (written < 0) {
            const int error = errno;
            ::unlink(part.c_str());
            errno = error;
            fail("write", part);
        }
        content.remove_prefix(static_cast<std::size_t>(written));
    }
    if ((durable && ::fsync(fd.get()) != 0) || std::rename(part.c_str(), path.c_str()) != 0) {
        const int error = errno;
        ::unlink(part.c_str());
        errno = error;
        fail("write", path);
    }
    if (!durable) { return; }
    const std::string directory = path.substr(0, path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1);
    const Fd parent(::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent) { ::fsync(parent.get()); }
}

static std::string read_small_file(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) { fail("open", path); }
    std::string text;
    std::array<char, 16384> buffer{};
    for (;;) {
        const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) { continue; }
        if (count < 0) { fail("read", path); }
        if (count == 0) { return text; }
        text.append(buffer.data(), static_cast<std::size_t>(count));
        if (text.size() > supervisor::max_launch) {
            errno = EFBIG;
            fail("read", path);
        }
    }
}

Launch read_launch(const std::string& runtime_dir) {
    const std::string path = runtime_dir + "/" + supervisor::launch_name;
    const std::string text = read_small_file(path);
    Launch launch;
    try {
        launch = nlohmann::json::parse(text).get<Launch>();
    } catch (const nlohmann::json::exception& error) {
        throw Error(path + " is not a launch description: " + error.what(), "start the machine again");
    }
    const auto refuse = [&path](const std::string& why) { throw Error(path + ": " + why, "start the machine again"); };
    if (launch.version != 1) { refuse("version " + std::to_string(launch.version) + " is not one that this reads"); }
    if (launch.children.empty()) { refuse("no children"); }
    for (const Child& child : launch.children) {
        if (child.argv.empty() || !child.argv[0].starts_with('/')) {
            refuse(child.role + "'s program is not an absolute path");
        }
    }
    for (const std::string* file : {&launch.runtime_dir, &launch.console_log, &launch.vmm_log, &launch.end_file}) {
        if (!file->starts_with('/')) { refuse("\"" + *file + "\" is not an absolute path"); }
    }
    return launch;
}

void write_end(const std::string& path, const RecordedEnd& end) {
    nlohmann::json json = end.end;
    json["ready"] = end.ready;
    // Text of a guest may be in it, which need not be UTF-8.
    write_private_file(path, json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n", true);
}

std::optional<RecordedEnd> read_recorded_end(const std::string& path) {
    try {
        const auto json = nlohmann::json::parse(read_small_file(path));
        return RecordedEnd{json.get<End>(), json.at("ready").get<bool>()};
    } catch (const Error&) { return std::nullopt; } catch (const nlohmann::json::exception&) {
        return std::nullopt;
    }
}

} // namespace microvmc
