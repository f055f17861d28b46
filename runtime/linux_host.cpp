#include "runtime/linux_host.h"

#include "compiler/plan_keys.h"
#include "runtime/backend.h"
#include "runtime/cloud_init.h"
#include "runtime/copy_file.h"
#include "runtime/credentials.h"
#include "runtime/fd.h"
#include "runtime/files.h"
#include "runtime/initramfs.h"
#include "runtime/kernel/pin.h"
#include "runtime/machine.h"
#include "runtime/machine_control.h"
#include "runtime/network/links.h"
#include "runtime/network/network.h"
#include "runtime/root/root_image.h"
#include "runtime/share_image.h"
#include "runtime/user.h"
#include "runtime/volume.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace microvmc {

using std::chrono::milliseconds;

namespace {

// A VMM answers its control socket within milliseconds of its start; this bounds a host that is swapping.
constexpr milliseconds control_timeout{30'000};
// For reading a saved machine's memory from a disk.
constexpr milliseconds load_timeout{600'000};
constexpr milliseconds resize_timeout{60'000};
constexpr std::uint64_t plugged_piece_mib = 4;

std::string text_of(const std::optional<End>& end) {
    return end ? describe(*end) : "it ended";
}

// What a running machine's plan calls ready, for people.
std::string wanted(const std::string& runtime_dir) {
    const std::optional<MachineStatus> status = machine_status(runtime_dir);
    if (!status || !status->plan.is_object()) { return {}; }
    return fmt::format(", {}", ready_text(status->plan.get<VmPlan>().ready));
}

// Has a machine that is to power off go on when it was paused, and presses its power button when its agent isn't there
// to be asked; whether the button was pressed.
bool ask_to_power_off(const MachineStatus& status) {
    try {
        const auto control = attach_control(status);
        if (control->paused()) { control->resume(); }
        if (status.agent) { return false; }
        control->power_button();
        return true;
    } catch (const std::exception&) {
        return false; // the supervisor kills it at the deadline, and says so
    }
}

} // namespace

LinuxHost::LinuxHost(std::string supervisor) : supervisor_(std::move(supervisor)) {}

bool LinuxHost::exists(const std::string& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

bool LinuxHost::make_directory(const std::string& path, std::uint32_t mode) {
    if (::mkdir(path.c_str(), mode) == 0) { return true; }
    if (errno == EEXIST) { return false; }
    throw Error(fmt::format("can't make the directory {}: {}", path, std::strerror(errno)));
}

std::optional<std::string> LinuxHost::read_file(const std::string& path) {
    return microvmc::read_file(path);
}

void LinuxHost::write_file(const std::string& path, const std::string& content, std::uint32_t mode) {
    write_whole(path, content, mode);
}

void LinuxHost::remove_file(const std::string& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        throw Error(fmt::format("can't remove {}: {}", path, std::strerror(errno)));
    }
}

void LinuxHost::remove_tree(const std::string& path) {
    microvmc::remove_tree(path);
}

bool LinuxHost::remove_directory(const std::string& path) {
    if (::rmdir(path.c_str()) == 0) { return true; }
    if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOENT) { return false; }
    throw Error(fmt::format("can't remove the directory {}: {}", path, std::strerror(errno)));
}

bool LinuxHost::pin_kernel(const KernelPlan& kernel) {
    return microvmc::pin_kernel(kernel);
}

bool LinuxHost::build_initramfs(const BuildInitramfs& request) {
    return microvmc::build_initramfs(request);
}

void LinuxHost::read_credentials(const ReadCredentials& request) {
    std::vector<supervisor::Credential> read = microvmc::read_credentials(request.credentials);
    const std::scoped_lock lock(credentials_mutex_);
    credentials_[request.runtime_dir] = std::move(read);
}

bool LinuxHost::build_root(const BuildRoot& request, const RootProgress& progress) {
    return microvmc::build_root(request, progress);
}

void LinuxHost::build_cloud_init(const BuildCloudInit& request) {
    microvmc::build_cloud_init(request);
}

void LinuxHost::build_share_image(const BuildShareImage& request) {
    microvmc::build_share_image(request);
}

bool LinuxHost::create_volume(const CreateVolume& request) {
    return microvmc::create_volume(request);
}

void LinuxHost::grow_volume(const GrowVolume& request) {
    microvmc::grow_volume(request);
}

void LinuxHost::grow_running_volume(const GrowRunningVolume& request) {
    backend(request.hypervisor)
        .attach(request.control, control_timeout)
        ->grow_volume(
            {.volume = request.number, .disk = request.disk, .image = request.image, .bytes = request.size_mib << 20U});
}

bool LinuxHost::ensure_network(const NetworkUp& up) {
    return bring_up(up, supervisor_);
}

bool LinuxHost::release_network(const ReleaseNetwork& request) {
    return take_down(request.bridge, request.runtime_dir);
}

void LinuxHost::make_tap(const MakeTap& request) {
    clean_stale(request.machine); // with a tap that a killed machine left
    const std::string alias = link_alias(request.machine);
    if (const auto there = find_link(request.tap.name); there && there->alias == alias) {
        microvmc::remove_tap(request.tap);
    }
    if (request.tap.link.empty()) {
        const std::optional<User> owner = request.owner.empty() ? std::nullopt : find_account(request.owner);
        microvmc::make_tap(request.tap, owner ? owner->uid : ::geteuid());
    } else {
        make_macvtap(request.tap.name, request.tap.link, request.mode, request.mac);
    }
    try {
        adopt_port(request.tap.name, alias, request.bridge, request.mtu);
        if (request.rate_mib != 0) { limit_rate(request.tap.name, request.rate_mib); }
    } catch (const Error&) {
        microvmc::remove_tap(request.tap);
        throw;
    }
}

void LinuxHost::remove_tap(const MakeTap& request) {
    microvmc::remove_tap(request.tap);
    if (request.rate_mib != 0) { unlimit_rate(request.tap.name); }
}

void LinuxHost::copy_file(const std::string& from, const std::string& to) {
    microvmc::copy_file(from, to, Sync::to_disk);
}

void LinuxHost::swap_files(const std::string& path, const std::string& other) {
    microvmc::swap_files(path, other);
}

void LinuxHost::start_machine(const StartMachine& request) {
    std::vector<supervisor::Credential> credentials;
    {
        const std::scoped_lock lock(credentials_mutex_);
        if (auto read = credentials_.extract(request.launch.runtime_dir)) { credentials = std::move(read.mapped()); }
    }
    start_supervisor(supervisor_, request.launch, credentials);
    if (request.control.empty()) { return; }
    try {
        const VmPlan plan = request.launch.plan.get<VmPlan>();
        const auto control = backend(plan.hypervisor).attach(request.control, control_timeout);
        if (!request.load.empty()) {
            control->load(request.load, load_timeout);
            control->resume();
        }
    } catch (const Error& error) {
        // How it ended is written when all of it is dead. That we killed it is no news; why it didn't answer is.
        microvmc::stop_machine(request.launch.runtime_dir, milliseconds(0), StopKind::kill);
        const std::optional<End> end = last_end(request.launch.runtime_dir);
        if (end && end->kind != End::Kind::killed) {
            throw Error(fmt::format("{}: {}", request.launch.vm, describe(*end)), error.help);
        }
        throw;
    }
}

void LinuxHost::resize_memory(const std::string& runtime_dir, std::uint64_t mib) {
    const auto status = machine_status(runtime_dir);
    if (!status) { throw Error("the machine has ended meanwhile", "apply again"); }
    const auto control = attach_control(*status);
    const auto deadline = std::chrono::steady_clock::now() + resize_timeout;
    control->set_memory(mib);
    // Linux takes pieces of 4 MiB (drivers/virtio/virtio_mem.c), and none in part.
    for (std::uint64_t now = 0; (now = control->memory_mib()) > mib || now + plugged_piece_mib <= mib;) {
        if (std::chrono::steady_clock::now() >= deadline) {
            throw TimeoutError(
                fmt::format("{} has {} MiB after {}s, not {}", status->vm, now, resize_timeout.count() / 1000, mib),
                now > mib ? "its guest uses what it should give back; end something in it, or restart it"
                          : "its guest's kernel plugs no more in (its log says why)");
        }
        std::this_thread::sleep_for(milliseconds(20));
    }
}

void LinuxHost::amend_machine(const std::string& runtime_dir, const Amendment& amendment) {
    microvmc::amend_machine(runtime_dir, amendment);
}

void LinuxHost::await_ready(const AwaitReady& request) {
    const AwaitOutcome outcome = await_machine(request.runtime_dir, Goal::ready, milliseconds(request.timeout_ms));
    switch (outcome.kind) {
    case AwaitOutcome::Kind::reached: return;
    case AwaitOutcome::Kind::ended:
    case AwaitOutcome::Kind::not_running:
        throw Error(fmt::format("{} ended before it was ready: {}", request.vm, text_of(outcome.end)),
                    fmt::format("its console's last lines: microvmc logs {}", request.vm));
    case AwaitOutcome::Kind::timed_out:
        throw TimeoutError(fmt::format("{} was not ready within {}s: waiting for {}{}", request.vm,
                                       request.timeout_ms / 1000, outcome.waiting_for, wanted(request.runtime_dir)),
                           "see its console with microvmc logs, or give it longer with startup-timeout");
    }
}

StopOutcome LinuxHost::stop_machine(const StopMachine& request) {
    const std::optional<MachineStatus> status = machine_status(request.runtime_dir);
    const bool asked = status && request.timeout_ms > 0 && ask_to_power_off(*status);
    // Who gives the guest no time doesn't want to ask it.
    const StopKind kind = request.timeout_ms == 0 ? StopKind::kill : StopKind::poweroff;
    return microvmc::stop_machine(request.runtime_dir, milliseconds(request.timeout_ms), kind, asked);
}

} // namespace microvmc
