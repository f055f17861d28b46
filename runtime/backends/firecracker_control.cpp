// Asking a running firecracker (src/firecracker/swagger/firecracker.yaml of v1.17). What is odd:
//
// - It saves into two files: the memory, and a small one with all else. Where on the host the machine was, the paths of
//   its disks and sockets, is in it, so that it goes on at no other place.
// - It maps the file with the memory for as long as it runs (src/vmm/src/vstate/memory.rs, snapshot_file).
// - Loading takes a process that was not told of any machine (docs/snapshotting/snapshot-support.md).
// - The balloon's statistics are polled at an interval, which can be changed later but not begun; changing it asks the
//   guest at once (docs/ballooning.md). They are asked for here when somebody wants them.
// - It has no power button; Ctrl-Alt-Del needs an i8042 with a keyboard in the guest (docs/api_requests/actions.md).
// - Memory that is plugged in starts at none (docs/memory-hotplug.md): what the plan has of it from the start is told
//   once it listens.
// - Nothing ends it but a signal.

#include "runtime/backends/firecracker_control.h"

#include "runtime/backends/guest_memory.h"
#include "runtime/error.h"
#include "runtime/http_client.h"
#include "runtime/volume.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <string_view>
#include <thread>

namespace microvmc {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr milliseconds request_timeout{10'000};
constexpr milliseconds poll_interval{20};
constexpr milliseconds guest_patience{1'500}; ///< for a guest to tell its statistics
constexpr unsigned seldom_s = 3'600;          ///< of statistics that nobody asked for

// The two files that it saves into, and is loaded from.
std::string memory_in(const std::string& directory) {
    return directory + "/memory";
}

std::string state_in(const std::string& directory) {
    return directory + "/state";
}

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

    void require_savable(const VmPlan& /*plan*/) override {}

    void save(const std::string& directory, milliseconds timeout) override {
        http_request(socket_, "PUT", "/snapshot/create",
                     {{"snapshot_type", "Full"},
                      {"snapshot_path", state_in(directory)},
                      {"mem_file_path", memory_in(directory)}},
                     timeout);
    }

    void load(const std::string& directory, milliseconds timeout) override {
        http_request(socket_, "PUT", "/snapshot/load",
                     {{"snapshot_path", state_in(directory)},
                      {"mem_backend", {{"backend_path", memory_in(directory)}, {"backend_type", "File"}}},
                      {"resume_vm", false}},
                     timeout);
    }

    // It takes the image's length anew when it is told of its path, the same one.
    void grow_volume(const Growth& growth) override {
        lengthen_raw_image(growth.image, growth.bytes);
        const std::string drive = firecracker_drive(growth.disk);
        ask("PATCH", "/drives/" + drive, {{"drive_id", drive}, {"path_on_host", growth.image}});
    }

    ControlStats stats() override {
        ControlStats stats;
        try {
            const nlohmann::json told = statistics();
            stats.balloon_mib = told.value("actual_mib", std::uint64_t{0});
            add_guest_memory(told, stats.guest);
        } catch (const HttpError&) {} // it has no balloon
        return stats;
    }

private:
    nlohmann::json get(const char* target) { return http_request(socket_, "GET", target, nullptr, request_timeout); }
    void ask(const char* method, const std::string& target, const nlohmann::json& body) {
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

std::string firecracker_drive(std::size_t disk) {
    return fmt::format("disk{}", disk);
}

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
