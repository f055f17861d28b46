#include "runtime/supervisor/handover.h"

#include "runtime/error.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace microvmc::supervisor {

namespace {

constexpr std::string_view digits = "0123456789abcdef";

std::size_t digit(char c, const nlohmann::json& json) {
    const std::size_t value = digits.find(c);
    if (value == std::string_view::npos) {
        throw nlohmann::json::other_error::create(501, "not a hexadecimal digit", &json);
    }
    return value;
}

} // namespace

// JSON's strings are UTF-8, which a guest's output need not be.
static void to_json(nlohmann::json& json, const Bytes& bytes) {
    std::string text;
    text.reserve(bytes.bytes.size() * 2);
    for (const char c : bytes.bytes) {
        text.push_back(digits[static_cast<std::uint8_t>(c) >> 4U]);
        text.push_back(digits[static_cast<std::uint8_t>(c) & 0xfU]);
    }
    json = std::move(text);
}

static void from_json(const nlohmann::json& json, Bytes& bytes) {
    const auto& text = json.get_ref<const std::string&>();
    bytes.bytes.clear();
    bytes.bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        bytes.bytes.push_back(static_cast<char>(digit(text[i], json) << 4U | digit(text[i + 1], json)));
    }
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ConsoleHandover, master, slave, typed, history, panic_tail, ready_tail, panicking,
                                   panicked)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(AgentHandover, socket, unsent, partial)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ChildHandover, pid, alive, wait_status, err, words)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(CredentialHandover, name, value)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Handover, version, launch, lock, images, control, client, cgroup, console, agent,
                                   children, credentials, next_exec, started, reboots, restarts, restarts_in_a_row,
                                   restart_after,
                                   boot_id, agent_up, agent_version, ready)

std::vector<int> descriptors_of(const Handover& handover) {
    std::vector<int> descriptors{handover.lock, handover.control, handover.client, handover.console.master,
                                 handover.console.slave};
    descriptors.insert(descriptors.end(), handover.images.begin(), handover.images.end());
    if (handover.agent.socket >= 0) { descriptors.push_back(handover.agent.socket); }
    for (const ChildHandover& child : handover.children) {
        if (child.err >= 0) { descriptors.push_back(child.err); }
    }
    return descriptors;
}

Fd write_handover(const Handover& handover) {
    // The guest chooses its boot id.
    const std::string text = nlohmann::json(handover).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    Fd fd(::memfd_create("microvmc-handover", MFD_CLOEXEC));
    std::string_view rest = text;
    while (fd && !rest.empty()) {
        const ssize_t count = ::write(fd.get(), rest.data(), rest.size());
        if (count < 0 && errno == EINTR) { continue; }
        if (count <= 0) { break; }
        rest.remove_prefix(static_cast<std::size_t>(count));
    }
    if (!fd || !rest.empty()) { throw Error(std::string("can't write the handover: ") + std::strerror(errno)); }
    return fd;
}

Handover read_handover(int fd) {
    std::string text;
    std::array<char, 16384> buffer{};
    for (ssize_t count = 0; (count = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(text.size()))) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    Handover handover;
    try {
        const auto json = nlohmann::json::parse(text);
        const int version = json.at("version").get<int>();
        if (version != handover_version) {
            throw Error("version " + std::to_string(version) + " of the handover is not one that this program reads");
        }
        json.get_to(handover);
    } catch (const nlohmann::json::exception& error) {
        throw Error(std::string("the handover can't be read: ") + error.what());
    }
    if (handover.launch.children.empty() || handover.children.size() != handover.launch.children.size()) {
        throw Error("the handover is of other children than the machine's");
    }
    for (const int descriptor : descriptors_of(handover)) {
        if (descriptor < 3 || ::fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) {
            throw Error("the handover's descriptor " + std::to_string(descriptor) + " isn't open");
        }
    }
    return handover;
}

} // namespace microvmc::supervisor
