// Asking a running cloud-hypervisor (vmm/src/api/openapi/cloud-hypervisor.yaml of v53). What is odd:
//
// - An error is a JSON array of texts, from what was asked for to what went wrong below.
// - Pausing a machine that is paused, and resuming one that runs, are errors.
// - `desired_ram` is all that the guest should have, `desired_balloon` the balloon's size; both in bytes.
// - Neither the balloon's size nor how much memory is plugged in is told by itself, but one number: what the machine
// was
//   started with, less the one and more the other (vmm/src/lib.rs, vm_info).
// - A VMM that ends may hang up before it has answered.

#include "runtime/backends/cloud_hypervisor_control.h"

#include "runtime/backends/parts.h"
#include "runtime/error.h"
#include "runtime/http_client.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <string_view>

namespace microvmc {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds request_timeout{10'000};
constexpr unsigned mib_shift = 20;

struct Memory {
    std::uint64_t base = 0;    ///< that it was started with, in bytes
    std::uint64_t plugged = 0; ///< beside, as it was asked for
    std::uint64_t balloon = 0; ///< as it was asked for
    std::uint64_t actual = 0;  ///< base, less the balloon and more what is plugged in, both as they are now
    bool has_balloon = false;
};

/// It takes what follows for the path as it is, nothing in it being escaped (vmm/src/migration/mod.rs, url_to_path).
std::string url(const std::string& directory) {
    return "file://" + directory;
}

class CloudHypervisorControl final : public Control {
public:
    CloudHypervisorControl(std::string socket, milliseconds timeout) : socket_(std::move(socket)) {
        http_request(socket_, "GET", "/api/v1/vmm.ping", nullptr, timeout);
    }

    void power_button() override { put("vm.power-button"); }
    void quit() override { put("vmm.shutdown"); }

    void pause() override {
        if (!paused()) { put("vm.pause"); }
    }
    void resume() override {
        if (paused()) { put("vm.resume"); }
    }
    bool paused() override { return info().value("state", "") == "Paused"; }

    void require_savable(const VmPlan& plan) override {
        require_no_shares(plan, "cloud-hypervisor");
        const auto descriptor = [](const InterfacePlan& each) { return each.type == "macvtap"; };
        if (std::ranges::any_of(plan.interfaces, descriptor)) {
            throw Error("cloud-hypervisor can't be given a macvtap again", "a machine that is saved has taps");
        }
    }
    void save(const std::string& directory, milliseconds timeout) override {
        put("vm.snapshot", {{"destination_url", url(directory)}}, timeout);
    }
    void load(const std::string& directory, milliseconds timeout) override {
        put("vm.restore", {{"source_url", url(directory)}}, timeout);
    }

    void set_balloon(std::uint64_t mib) override { put("vm.resize", {{"desired_balloon", mib << mib_shift}}); }
    std::uint64_t balloon_mib() override {
        const Memory memory = memory_now();
        const std::uint64_t without = memory.base + memory.plugged;
        return (without - std::min(without, memory.actual)) >> mib_shift;
    }

    void set_memory(std::uint64_t mib) override { put("vm.resize", {{"desired_ram", mib << mib_shift}}); }
    std::uint64_t memory_mib() override {
        const Memory memory = memory_now();
        return (memory.actual + memory.balloon) >> mib_shift;
    }

    void grow_volume(const Growth& growth) override {
        put("vm.resize-disk",
            {{"id", fmt::format("{}{}", cloud_hypervisor_ids::volume, growth.volume)}, {"desired_size", growth.bytes}});
    }

    ControlStats stats() override {
        ControlStats stats;
        if (memory_now().has_balloon) { stats.balloon_mib = balloon_mib(); }
        const nlohmann::json counters = get("vm.counters");
        for (const auto& [id, counted] : counters.items()) {
            const auto number = numbered(id, cloud_hypervisor_ids::volume);
            if (!number) { continue; }
            if (stats.disks.size() <= *number) { stats.disks.resize(*number + 1); }
            const auto count = [&counted = counted](const char* name) { return counted.value(name, std::uint64_t{0}); };
            stats.disks[*number] = {.reads = count("read_ops"),
                                    .writes = count("write_ops"),
                                    .flushes = 0,
                                    .read_bytes = count("read_bytes"),
                                    .written_bytes = count("write_bytes")};
        }
        return stats;
    }

private:
    nlohmann::json get(const char* what) {
        return http_request(socket_, "GET", fmt::format("/api/v1/{}", what), nullptr, request_timeout);
    }
    void put(const char* what, const nlohmann::json& body = nullptr, milliseconds timeout = request_timeout) {
        http_request(socket_, "PUT", fmt::format("/api/v1/{}", what), body, timeout);
    }
    nlohmann::json info() { return get("vm.info"); }

    Memory memory_now() {
        const nlohmann::json info = this->info();
        const auto number = [](const nlohmann::json& from, const char* key) {
            const auto found = from.find(key);
            return found != from.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
        };
        const nlohmann::json config = info.value("config", nlohmann::json::object());
        const nlohmann::json ram = config.value("memory", nlohmann::json::object());
        Memory memory;
        memory.base = number(ram, "size");
        memory.plugged = number(ram, "hotplugged_size");
        memory.actual = number(info, "memory_actual_size");
        if (const auto balloon = config.find("balloon"); balloon != config.end() && balloon->is_object()) {
            memory.has_balloon = true;
            memory.balloon = number(*balloon, "size");
        }
        return memory;
    }

    std::string socket_;
};

} // namespace

std::unique_ptr<Control> attach_cloud_hypervisor(const std::string& control, milliseconds timeout) {
    return std::make_unique<CloudHypervisorControl>(control, timeout);
}

} // namespace microvmc
