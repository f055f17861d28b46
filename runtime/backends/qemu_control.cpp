// Asking a running QEMU (qemu: the QEMU 7.2 sources, docs/interop/qmp-spec.txt, qapi/). What is odd:
//
// - A machine is saved by migrating it into a file, which QEMU is handed as a descriptor ("fd:"): so it needs no right
//   to open or execute anything, and the file may have no name yet. One that stands still is written in one pass.
// - After that, in "postmigrate", QEMU has let go of its images, flushed, until `cont`; and it can't be saved again
//   before (qemu: migration/migration.c, qmp_migrate).
// - Loading is done in the main loop: QMP doesn't answer meanwhile. One that fails ends the process.
// - A 9p share that is mounted, and a virtiofs share before QEMU 8.2, can't be saved (qemu: hw/9pfs/9p.c,
//   hw/virtio/vhost-user-fs.c).
// - `balloon` and `query-balloon` speak of the memory that is left to the guest, of what it was started with:
// virtio-mem
//   doesn't count (qemu: hw/virtio/virtio-balloon.c).
// - No option says how big the balloon is at start: it is told before the guest's driver asks.
// - The guest's statistics come once they were asked for, by a polling interval (qemu:
// docs/interop/virtio-balloon-stats.rst).

#include "runtime/backends/qemu_control.h"

#include "runtime/backends/parts.h"
#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/qmp.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <string_view>
#include <thread>

namespace microvmc {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr milliseconds command_timeout{5'000};
constexpr milliseconds poll_interval{5};
constexpr milliseconds guest_patience{1'500}; ///< for a guest to tell its statistics; under emulation it takes some 50
constexpr unsigned mib_shift = 20;
constexpr std::uint64_t unlimited = std::uint64_t{1} << 40U; ///< bytes a second; QEMU's own default is 128 MiB
constexpr const char* file_name = "state"; ///< in the directory, and of the descriptor that QEMU gets

// QEMU's names of what ControlStats::guest has.
constexpr std::pair<const char*, const char*> guest_numbers[] = {
    {"stat-total-memory", "total"},         {"stat-free-memory", "free"},
    {"stat-available-memory", "available"}, {"stat-disk-caches", "caches"},
    {"stat-swap-in", "swapped-in"},         {"stat-swap-out", "swapped-out"},
    {"stat-major-faults", "major-faults"},  {"stat-minor-faults", "minor-faults"},
};

std::string text_at(const nlohmann::json& json, const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

class QemuControl final : public Control {
public:
    QemuControl(const std::string& socket, milliseconds timeout) : qmp_(socket, timeout) {}

    void power_button() override { ask("system_powerdown"); }
    void quit() override { ask("quit"); }

    void pause() override { ask("stop"); }
    void resume() override { ask("cont"); }
    bool paused() override { return !ask("query-status").at("running").get<bool>(); }

    void set_balloon(std::uint64_t mib) override {
        const std::uint64_t all = base_memory();
        const std::uint64_t taken = mib << mib_shift;
        if (taken >= all) {
            throw Error(fmt::format("a balloon of {} MiB would take all of the guest's {} MiB", mib, all >> mib_shift));
        }
        qmp_.execute("balloon", {{"value", all - taken}}, command_timeout);
    }

    std::uint64_t balloon_mib() override {
        return (base_memory() - ask("query-balloon").at("actual").get<std::uint64_t>()) >> mib_shift;
    }

    void set_memory(std::uint64_t mib) override {
        set_property(qemu_ids::plugged, "requested-size", (mib << mib_shift) - base_memory());
    }

    std::uint64_t memory_mib() override {
        return (base_memory() + property(qemu_ids::plugged, "size").get<std::uint64_t>()) >> mib_shift;
    }

    void require_savable(const VmPlan& /*plan*/) override {
        if (text_at(ask("query-status"), "status") == "postmigrate") {
            throw Error("it was saved already since it was paused", "resume it before it is saved again");
        }
        for (const auto& reason : ask("query-migrate").value("blocked-reasons", nlohmann::json::array())) {
            const auto words = reason.get<std::string>();
            const bool is_share = words.find("VirtFS") != std::string::npos;
            throw Error(is_share ? fmt::format("QEMU can't save a machine that has a 9p share mounted: {}", words)
                                 : fmt::format("QEMU can't save it: {}", words),
                        is_share ? "unmount the shares in the guest before, or give it the files on a volume" : "");
        }
    }

    void save(const std::string& directory, milliseconds timeout) override {
        const auto deadline = Clock::now() + timeout;
        hand_over(directory, O_WRONLY | O_CREAT | O_EXCL);
        qmp_.execute("migrate-set-parameters", {{"max-bandwidth", unlimited}}, command_timeout);
        qmp_.execute("migrate", {{"uri", fmt::format("fd:{}", file_name)}}, command_timeout);
        if (await_migration("save", deadline, command_timeout)) { return; }
        ask("migrate_cancel");
        throw TimeoutError(fmt::format("the machine's memory was not written within {}s", timeout.count() / 1000));
    }

    void load(const std::string& directory, milliseconds timeout) override {
        const auto deadline = Clock::now() + timeout;
        hand_over(directory, O_RDONLY);
        qmp_.execute("migrate-incoming", {{"uri", fmt::format("fd:{}", file_name)}}, command_timeout);
        if (await_migration("load", deadline, timeout)) { return; }
        throw TimeoutError(fmt::format("the machine's memory was not read within {}s", timeout.count() / 1000));
    }

    void grow_volume(const Growth& growth) override {
        qmp_.execute("block_resize",
                     {{"node-name", fmt::format("{}{}", qemu_ids::volume, growth.volume)}, {"size", growth.bytes}},
                     command_timeout);
    }

    ControlStats stats() override {
        ControlStats stats;
        try {
            stats.balloon_mib = balloon_mib();
            stats.guest = guest_memory();
        } catch (const QmpError&) {} // DeviceNotActive: it has no balloon
        for (const nlohmann::json& each : ask("query-blockstats")) {
            const auto number = numbered(text_at(each, "qdev"), qemu_ids::volume, "-device");
            if (!number) { continue; }
            const nlohmann::json& counted = each.at("stats");
            if (stats.disks.size() <= *number) { stats.disks.resize(*number + 1); }
            stats.disks[*number] = {.reads = counted.at("rd_operations").get<std::uint64_t>(),
                                    .writes = counted.at("wr_operations").get<std::uint64_t>(),
                                    .flushes = counted.at("flush_operations").get<std::uint64_t>(),
                                    .read_bytes = counted.at("rd_bytes").get<std::uint64_t>(),
                                    .written_bytes = counted.at("wr_bytes").get<std::uint64_t>()};
        }
        return stats;
    }

private:
    nlohmann::json ask(const char* command) { return qmp_.execute(command, command_timeout); }

    // QEMU may run as a user who can't open it.
    void hand_over(const std::string& directory, int flags) {
        const std::string path = directory + "/" + file_name;
        const Fd file(::open(path.c_str(), flags | O_CLOEXEC, 0600));
        if (!file) { throw Error(fmt::format("can't open {}: {}", path, std::strerror(errno))); }
        qmp_.hand_over(file.get(), file_name, command_timeout);
    }

    // Bytes that the machine was started with.
    std::uint64_t base_memory() { return ask("query-memory-size-summary").at("base-memory").get<std::uint64_t>(); }

    // False: the time is up. `patience`: for one answer.
    bool await_migration(std::string_view what, Clock::time_point deadline, milliseconds patience) {
        for (;;) {
            const nlohmann::json state = qmp_.execute("query-migrate", patience);
            const std::string status = text_at(state, "status");
            if (status == "completed") { return true; }
            if (status == "failed" || status == "cancelled") {
                const std::string why = text_at(state, "error-desc");
                throw Error(fmt::format("QEMU could not {} the machine: {}", what, why.empty() ? status : why));
            }
            if (Clock::now() >= deadline) { return false; }
            std::this_thread::sleep_for(poll_interval);
        }
    }

    nlohmann::json property(const char* device, const char* name) {
        return qmp_.execute("qom-get", {{"path", fmt::format("/machine/peripheral/{}", device)}, {"property", name}},
                            command_timeout);
    }
    void set_property(const char* device, const char* name, std::uint64_t value) {
        qmp_.execute("qom-set",
                     {{"path", fmt::format("/machine/peripheral/{}", device)}, {"property", name}, {"value", value}},
                     command_timeout);
    }
    nlohmann::json guest_stats() { return property(qemu_ids::balloon, "guest-stats"); }
    void set_polling(std::uint64_t seconds) {
        set_property(qemu_ids::balloon, "guest-stats-polling-interval", seconds);
    }

    // Asks the guest once; what it says isn't trusted to be a number.
    std::map<std::string, std::uint64_t> guest_memory() {
        const auto before = guest_stats().value("last-update", std::int64_t{0});
        set_polling(1);
        nlohmann::json answer;
        for (const auto deadline = Clock::now() + guest_patience; Clock::now() < deadline;) {
            answer = guest_stats();
            if (answer.value("last-update", std::int64_t{0}) != before) { break; }
            std::this_thread::sleep_for(poll_interval);
        }
        set_polling(0);
        std::map<std::string, std::uint64_t> numbers;
        const nlohmann::json said = answer.value("stats", nlohmann::json::object());
        for (const auto& [theirs, ours] : guest_numbers) {
            const auto found = said.find(theirs);
            constexpr auto unknown = static_cast<std::uint64_t>(-1);
            if (found == said.end() || !found->is_number_unsigned() || *found == unknown) { continue; }
            numbers.emplace(ours, found->get<std::uint64_t>());
        }
        return numbers;
    }

    Qmp qmp_;
};

} // namespace

std::vector<ChatStep> qemu_start_chat(const VmPlan& vm) {
    if (vm.balloon.initial_mib == 0 || vm.balloon.initial_mib >= vm.mem_mib) { return {}; }
    const std::uint64_t left = (vm.mem_mib - vm.balloon.initial_mib) << mib_shift;
    const nlohmann::json balloon{{"execute", "balloon"}, {"arguments", {{"value", left}}}};
    return {{.expect = "\"QMP\"", .send = "{\"execute\": \"qmp_capabilities\"}\n"},
            {.expect = "\"return\"", .send = balloon.dump() + '\n'},
            {.expect = "\"return\"", .send = {}}};
}

std::unique_ptr<Control> attach_qemu(const std::string& control, milliseconds timeout) {
    return std::make_unique<QemuControl>(control, timeout);
}

} // namespace microvmc
