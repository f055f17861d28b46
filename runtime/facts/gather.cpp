#include "runtime/facts/gather.h"

#include "runtime/error.h"
#include "runtime/facts/cache.h"
#include "runtime/facts/host_devices.h"
#include "runtime/facts/kernels.h"
#include "runtime/facts/kvm_probe.h"
#include "runtime/facts/namespaces.h"
#include "runtime/facts/tools.h"
#include "runtime/facts/tsc.h"
#include "runtime/fd.h"
#include "runtime/files.h"
#include "runtime/image_header.h"
#include "runtime/image_lock.h"
#include "runtime/image_users.h"
#include "runtime/kernel/config.h"
#include "runtime/root/directory_source.h"
#include "runtime/root/oci_image.h"
#include "runtime/supervisor/cgroup.h"
#include "runtime/user.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <linux/fs.h>
#include <optional>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <thread>
#include <unistd.h>
#include <unordered_map>

namespace microvmc {

namespace {

// Device nodes that hypervisors use for some of what a machine may ask.
constexpr const char* nodes[] = {"/dev/vhost-net", "/dev/vhost-vsock"};

/// The cache, and whether it learned anything.
constexpr std::size_t most_of_config = std::size_t{4} << 20U;

struct Memory {
    FactsCache cache;
    bool changed = false;
};

std::string boot_id() {
    std::string id = read_file("/proc/sys/kernel/random/boot_id").value_or("");
    while (!id.empty() && id.back() == '\n') { id.pop_back(); }
    return id;
}

KvmProbe find_kvm(const std::string& device, Memory& memory) {
    // Whether it may be opened is never remembered: joining a group changes it.
    const KvmFacts opened = open_kvm(device);
    if (opened.state != KvmState::works) { return {.facts = opened}; }
    const FileIdentity identity = file_identity(device).value_or(FileIdentity{});
    if (!memory.cache.kvm || memory.cache.kvm->device != identity) {
        memory.cache.kvm = FactsCache::Kvm{.device = identity, .probe = probe_kvm(device)};
        memory.changed = true;
    }
    return memory.cache.kvm->probe;
}

std::uint64_t find_tsc_khz(const KvmProbe& kvm, Memory& memory) {
    if (!memory.cache.tsc_khz) {
        const bool constant = has_constant_tsc(read_file("/proc/cpuinfo").value_or(""));
        memory.cache.tsc_khz = !constant ? 0 : kvm.tsc_khz != 0 ? kvm.tsc_khz : measure_tsc_khz();
        memory.changed = true;
    }
    return *memory.cache.tsc_khz;
}

// What lies beside the kernel is read each time; unpacking a kernel takes half a second.
KernelOptions find_options(const KernelFacts& kernel, Memory& memory) {
    if (const auto text = config_beside(kernel)) { return options_of(*text); }
    const auto known = memory.cache.kernels.find(kernel.path);
    if (known != memory.cache.kernels.end() && known->second.identity == kernel.identity) {
        return known->second.options;
    }
    const KernelOptions options = options_of(config_inside(kernel).value_or(""));
    memory.cache.kernels[kernel.path] = {.identity = kernel.identity, .options = options};
    memory.changed = true;
    return options;
}

void find_tools(const FactsRequest& request, HostFacts& facts, Memory& memory) {
    const char* const path = std::getenv("PATH");
    for (const std::string& name : request.programs) {
        const auto override = request.overrides.find(name);
        const std::string program =
            find_program(override == request.overrides.end() ? name : override->second, path == nullptr ? "" : path);
        const auto identity = program.empty() ? std::nullopt : file_identity(program);
        if (!identity) { continue; }
        const auto known = memory.cache.tools.find(program);
        if (known == memory.cache.tools.end() || known->second.identity != *identity) {
            memory.cache.tools[program] = {.path = program, .version = ask_version(program), .identity = *identity};
            memory.changed = true;
        }
        facts.tools[name] = memory.cache.tools[program];
    }
}

std::uint64_t memory_mib() {
    const long pages = ::sysconf(_SC_PHYS_PAGES);
    const long page_size = ::sysconf(_SC_PAGESIZE);
    return pages <= 0 ? 0 : static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_size) >> 20U;
}

/// A file system, and how much more it takes.
struct Room {
    std::uint64_t device = 0;
    std::uint64_t bytes = 0;
};

std::optional<Room> room_at(const std::string& path) {
    struct statvfs file_system {};
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || ::statvfs(path.c_str(), &file_system) != 0) { return std::nullopt; }
    return Room{status.st_dev, static_cast<std::uint64_t>(file_system.f_bavail) * file_system.f_frsize};
}

/// Where files that aren't there would be made: in the nearest directory that is. Each is looked at once, since most
/// images lie side by side.
class Rooms {
public:
    Room above(std::string_view path) {
        const std::size_t slash = path.rfind('/');
        const std::string directory(slash == std::string_view::npos ? "." : path.substr(0, slash == 0 ? 1 : slash));
        const auto known = known_.find(directory);
        if (known != known_.end()) { return known->second; }
        std::optional<Room> room = room_at(directory);
        if (!room) { room = directory == "/" || directory == "." ? Room{} : above(directory); }
        return known_.emplace(directory, *room).first->second;
    }

private:
    std::unordered_map<std::string, Room> known_;
};

/// What a file says of itself, and who has it.
void look_into(const std::string& path, PathFacts& facts) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) { return; }
    facts.image = read_image_header(fd.get()).value_or(ImageFacts{});
    const ImageUse use = image_use(fd.get());
    if (use.used) { facts.used_by = "another program"; }
    facts.is_written = use.written;
}

/// Who has the image, when it is a machine. Processes that were killed hold their locks until they are gone, so
/// somebody whom nobody knows and who may write it is waited for.
void find_user(const std::string& runtime_dir, const std::string& path, PathFacts& facts) {
    constexpr auto patience = std::chrono::seconds(2);
    constexpr auto interval = std::chrono::milliseconds(20);
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!facts.used_by.empty()) {
        if (std::string user = image_user(runtime_dir, path); !user.empty()) {
            facts.used_by = std::move(user);
            return;
        }
        if (!facts.is_written || std::chrono::steady_clock::now() >= deadline) { return; }
        std::this_thread::sleep_for(interval);
        facts.used_by.clear();
        look_into(path, facts);
    }
}

/// What one path is, for the user who asks.
PathFacts path_facts(const std::string& path, Rooms& rooms) {
    PathFacts facts;
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        const Room room = rooms.above(path);
        facts.device = room.device;
        facts.room = room.bytes;
        return facts;
    }
    facts.room = room_at(path).value_or(Room{}).bytes;
    facts.device = status.st_dev;
    facts.inode = status.st_ino;
    facts.mode = status.st_mode & 07777U;
    facts.owner = status.st_uid;
    facts.group = status.st_gid;
    facts.readable = ::faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) == 0;
    facts.writable = ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0;
    if (S_ISREG(status.st_mode)) {
        facts.kind = PathFacts::Kind::file;
        facts.size = static_cast<std::uint64_t>(status.st_size);
        facts.allocated = static_cast<std::uint64_t>(status.st_blocks) * 512;
        look_into(path, facts);
    } else if (S_ISDIR(status.st_mode)) {
        facts.kind = PathFacts::Kind::directory;
    } else if (S_ISBLK(status.st_mode)) {
        facts.kind = PathFacts::Kind::block_device;
        const Fd device(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
        std::uint64_t size = 0;
        if (device && ::ioctl(device.get(), BLKGETSIZE64, &size) == 0) { facts.size = size; }
    } else {
        facts.kind = PathFacts::Kind::other;
    }
    return facts;
}

} // namespace

HostFacts gather_facts(const FactsRequest& request) {
    const std::string boot = boot_id();
    const std::string cache_file = request.state_dir + "/cache/facts.json";
    Memory memory{.cache = load_facts_cache(cache_file, boot)};

    HostFacts facts;
    utsname system{};
    ::uname(&system);
    facts.hostname = system.nodename;
    facts.arch = system.machine;
    facts.uid = ::geteuid();
    facts.gid = ::getegid();
    facts.state_dir = request.state_dir;
    facts.runtime_dir = request.runtime_dir;
    facts.cpus = std::max(std::thread::hardware_concurrency(), 1U);
    facts.memory_mib = memory_mib();

    const KvmProbe kvm = find_kvm(request.kvm_device, memory);
    facts.kvm = kvm.facts;
    facts.tsc_khz = find_tsc_khz(kvm, memory);
    find_tools(request, facts, memory);
    const auto is_server = [](const auto& tool) { return tool.first.ends_with("virtiofsd"); };
    if (std::ranges::any_of(facts.tools, is_server)) { facts.namespaces = can_make_namespaces(); }
    facts.kernels = host_kernels();
    facts.pinned = pinned_kernels(request.state_dir);
    if (const auto identity = file_identity(request.guest_init); identity) {
        facts.guest_init = {.path = request.guest_init, .version = "", .identity = *identity};
    }
    facts.paths.reserve(request.paths.size() + std::size(nodes));
    Rooms rooms;
    for (const std::string& path : request.paths) {
        PathFacts& found = facts.paths[path] = path_facts(path, rooms);
        find_user(request.runtime_dir, path, found);
    }
    for (const std::string& path : request.oci_images) { facts.oci_images[path] = oci_facts(path, facts.arch); }
    for (const std::string& path : request.root_sources) { facts.paths[path].identity = source_identity(path); }
    for (const char* node : nodes) { facts.paths[node] = path_facts(node, rooms); }
    facts.huge_pages = huge_page_facts();
    facts.default_huge_page = default_huge_page(read_file("/proc/meminfo").value_or(""));
    facts.cgroup_controllers = supervisor::usable_controllers();
    for (const auto& [bus, path] : request.devices) {
        facts.host_devices[bus + ' ' + path] = host_device_facts(bus, path);
    }
    for (const std::string& name : request.users) {
        const std::optional<User> user = find_account(name);
        facts.users[name] =
            user ? UserFacts{.uid = user->uid, .groups = {user->groups.begin(), user->groups.end()}} : UserFacts{};
    }
    for (const std::string& path : request.kernels) {
        KernelFacts& kernel = facts.named_kernels[path] = kernel_facts(path);
        kernel.options = find_options(kernel, memory);
    }
    for (const std::string& path : request.kernel_configs) {
        facts.kernel_configs[path] = options_of(read_file(path, most_of_config).value_or(""));
    }

    if (memory.changed && !boot.empty()) { save_facts_cache(memory.cache, cache_file, boot); }
    return facts;
}

} // namespace microvmc
