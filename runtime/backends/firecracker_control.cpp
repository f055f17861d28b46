// Asking a running firecracker (src/firecracker/swagger/firecracker.yaml of v1.17). What is odd:
//
// - It saves into two files, that it opens by name: the memory, and a small one with all else. Here the second follows
//   the first in one file, with what says where it begins, and where on the host the machine was: the paths of its
//   disks and sockets are in it, so that it goes on at no other place.
// - It maps the file with the memory for as long as it runs (src/vmm/src/vstate/memory.rs, snapshot_file).
// - Loading takes a process that was not told of any machine (docs/snapshotting/snapshot-support.md).
// - The balloon's statistics are polled at an interval, which can be changed later but not begun; changing it asks the
//   guest at once (docs/ballooning.md). They are asked for here when somebody wants them.
// - It has no power button; Ctrl-Alt-Del needs an i8042 with a keyboard in the guest (docs/api_requests/actions.md).
// - Memory that is plugged in starts at none (docs/memory-hotplug.md): what the plan has of it from the start is told
//   once it listens.
// - Nothing ends it but a signal.

#include "runtime/backends/firecracker_control.h"

#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/files.h"
#include "runtime/http_client.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace microvmc {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr milliseconds request_timeout{10'000};
constexpr milliseconds poll_interval{20};
constexpr milliseconds guest_patience{1'500}; ///< for a guest to tell its statistics
constexpr unsigned seldom_s = 3'600;          ///< of statistics that nobody asked for
constexpr std::string_view magic = "microvmc firecracker 1\n";

// Firecracker's names of what ControlStats::guest has.
constexpr std::pair<const char*, const char*> guest_numbers[] = {
    {"total_memory", "total"},        {"free_memory", "free"},          {"available_memory", "available"},
    {"disk_caches", "caches"},        {"swap_in", "swapped-in"},        {"swap_out", "swapped-out"},
    {"major_faults", "major-faults"}, {"minor_faults", "minor-faults"},
};

std::string directory_of(const std::string& path) {
    return path.substr(0, path.rfind('/'));
}

/// A file of ours by a name that another process of the same user can open.
std::string name_of(int fd) {
    return fmt::format("/proc/{}/fd/{}", ::getpid(), fd);
}

/// What follows the memory in a saved state.
struct Rest {
    std::string place; ///< the machine's runtime directory
    std::string state; ///< firecracker's own
};

void write_at_end(int fd, const std::string& bytes) {
    if (::lseek(fd, 0, SEEK_END) < 0) { throw Error(fmt::format("can't write the state: {}", std::strerror(errno))); }
    for (std::string_view rest = bytes; !rest.empty();) {
        const ssize_t wrote = ::write(fd, rest.data(), rest.size());
        if (wrote < 0 && errno == EINTR) { continue; }
        if (wrote <= 0) { throw Error(fmt::format("can't write the state: {}", std::strerror(errno))); }
        rest.remove_prefix(static_cast<std::size_t>(wrote));
    }
}

std::string size_text(std::size_t size) {
    return fmt::format("{:020}\n", size);
}

/// The place, the state, their sizes and the magic: read from the end.
void append_rest(int fd, const Rest& rest) {
    write_at_end(fd, rest.place + rest.state + size_text(rest.place.size()) + size_text(rest.state.size()) +
                         std::string(magic));
}

std::string read_at(int fd, off_t from, std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t done = 0;
    while (done < size) {
        const ssize_t got = ::pread(fd, bytes.data() + done, size - done, from + static_cast<off_t>(done));
        if (got < 0 && errno == EINTR) { continue; }
        if (got <= 0) { throw Error("the saved state is not whole"); }
        done += static_cast<std::size_t>(got);
    }
    return bytes;
}

Rest read_rest(int fd) {
    const std::string foreign = "that is no state that was saved with firecracker";
    constexpr std::size_t size_bytes = 21;
    constexpr std::size_t tail_bytes = 2 * size_bytes + magic.size();
    struct stat status {};
    if (::fstat(fd, &status) != 0 || status.st_size < static_cast<off_t>(tail_bytes)) { throw Error(foreign); }
    const std::string tail = read_at(fd, status.st_size - static_cast<off_t>(tail_bytes), tail_bytes);
    if (!tail.ends_with(magic)) { throw Error(foreign); }
    const std::size_t place = std::strtoull(tail.c_str(), nullptr, 10);
    const std::size_t state = std::strtoull(tail.c_str() + size_bytes, nullptr, 10);
    const auto has = static_cast<std::size_t>(status.st_size) - tail_bytes;
    if (place > has || state > has - place) { throw Error(foreign); }
    const auto from = static_cast<off_t>(has - place - state);
    return {read_at(fd, from, place), read_at(fd, from + static_cast<off_t>(place), state)};
}

/// A file that is there for a while only.
class Scratch {
public:
    explicit Scratch(std::string path) : path_(std::move(path)) { ::unlink(path_.c_str()); }
    ~Scratch() { ::unlink(path_.c_str()); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

class FirecrackerControl final : public Control {
public:
    FirecrackerControl(std::string socket, milliseconds timeout) : socket_(std::move(socket)) {
        http_request(socket_, "GET", "/", nullptr, timeout);
    }

    void power_button() override { ask("PUT", "/actions", {{"action_type", "SendCtrlAltDel"}}); }
    void quit() override { throw Error("firecracker has no way to be told to end", "kill it: microvmc stop --kill"); }

    void pause() override { ask("PATCH", "/vm", {{"state", "Paused"}}); }
    void resume() override { ask("PATCH", "/vm", {{"state", "Resumed"}}); }
    bool paused() override { return get("/").value("state", "") == "Paused"; }

    void set_balloon(std::uint64_t mib) override { ask("PATCH", "/balloon", {{"amount_mib", mib}}); }
    std::uint64_t balloon_mib() override { return get("/balloon/statistics").value("actual_mib", std::uint64_t{0}); }

    void set_memory(std::uint64_t mib) override {
        const std::uint64_t base = base_mib();
        ask("PATCH", "/hotplug/memory", {{"requested_size_mib", mib - std::min(mib, base)}});
    }
    std::uint64_t memory_mib() override {
        return base_mib() + get("/hotplug/memory").value("plugged_size_mib", std::uint64_t{0});
    }

    void require_savable() override {}

    void save(int fd, milliseconds timeout) override {
        const Scratch state(directory_of(socket_) + "/saved.state");
        http_request(socket_, "PUT", "/snapshot/create",
                     {{"snapshot_type", "Full"}, {"snapshot_path", state.path()}, {"mem_file_path", name_of(fd)}},
                     timeout);
        const auto saved = read_file(state.path());
        if (!saved) { throw Error("firecracker saved no state"); }
        append_rest(fd, {.place = directory_of(socket_), .state = *saved});
    }

    void load(int fd, milliseconds timeout) override {
        const Rest rest = read_rest(fd);
        if (rest.place != directory_of(socket_)) {
            throw Error(fmt::format("firecracker goes on only where it was saved, which was in {}", rest.place),
                        "restore it there, by the names of its project and its machine");
        }
        const Scratch state(directory_of(socket_) + "/loaded.state");
        write_private_file(state.path(), rest.state, false);
        http_request(socket_, "PUT", "/snapshot/load",
                     {{"snapshot_path", state.path()},
                      {"mem_backend", {{"backend_path", name_of(fd)}, {"backend_type", "File"}}},
                      {"resume_vm", false}},
                     timeout);
    }

    ControlStats stats() override {
        ControlStats stats;
        try {
            const nlohmann::json told = statistics();
            stats.balloon_mib = told.value("actual_mib", std::uint64_t{0});
            for (const auto& [theirs, ours] : guest_numbers) {
                const auto found = told.find(theirs);
                if (found == told.end() || !found->is_number_unsigned()) { continue; }
                stats.guest.emplace(ours, found->get<std::uint64_t>());
            }
        } catch (const HttpError&) {} // it has no balloon
        return stats;
    }

private:
    nlohmann::json get(const char* target) { return http_request(socket_, "GET", target, nullptr, request_timeout); }
    void ask(const char* method, const char* target, const nlohmann::json& body) {
        http_request(socket_, method, target, body, request_timeout);
    }
    std::uint64_t base_mib() { return get("/machine-config").value("mem_size_mib", std::uint64_t{0}); }

    // Asks the guest once; one that stands still doesn't tell.
    nlohmann::json statistics() {
        const nlohmann::json before = get("/balloon/statistics");
        ask("PATCH", "/balloon/statistics", {{"stats_polling_interval_s", 1}});
        nlohmann::json now = before;
        for (const auto deadline = Clock::now() + guest_patience; now == before && Clock::now() < deadline;) {
            std::this_thread::sleep_for(poll_interval);
            now = get("/balloon/statistics");
        }
        ask("PATCH", "/balloon/statistics", {{"stats_polling_interval_s", seldom_s}});
        return now;
    }

    std::string socket_;
};

} // namespace

std::string firecracker_vsock(const std::string& runtime_dir) {
    return runtime_dir + "/vsock.sock";
}

std::vector<ChatStep> firecracker_start_chat(const VmPlan& vm) {
    if (vm.mem_max_mib == 0 || vm.mem_mib == vm.mem_boot_mib) { return {}; }
    const std::string body = nlohmann::json{{"requested_size_mib", vm.mem_mib - vm.mem_boot_mib}}.dump();
    return {{.expect = {},
             .send = fmt::format("PATCH /hotplug/memory HTTP/1.1\r\nContent-Type: application/json\r\n"
                                 "Content-Length: {}\r\n\r\n{}",
                                 body.size(), body)},
            {.expect = "HTTP/1.1 204", .send = {}}};
}

std::unique_ptr<Control> attach_firecracker(const std::string& control, milliseconds timeout) {
    return std::make_unique<FirecrackerControl>(control, timeout);
}

} // namespace microvmc
