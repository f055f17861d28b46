#include "runtime/guest_spec.h"

#include "compiler/file_system.h"
#include "runtime/error.h"
#include "runtime/guest/spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace microvmc {

namespace {

using guest::append_record;

void append_param(std::string& spec, const std::string& key, const std::string& value) {
    if (!value.empty()) { append_record(spec, "param", {key, value}); }
}

std::string with_read_only(std::vector<std::string> options, bool read_only) {
    if (read_only) { options.emplace_back("ro"); }
    return fmt::format("{}", fmt::join(options, ","));
}

/// The options one by one: an element of the plan may have several.
std::vector<std::string> single_options(const std::vector<std::string>& options) {
    std::vector<std::string> single;
    for (const std::string& each : options) {
        for (std::string_view rest = each; !rest.empty();) {
            const std::string_view option = rest.substr(0, rest.find(','));
            if (!option.empty()) { single.emplace_back(option); }
            rest.remove_prefix(std::min(option.size() + 1, rest.size()));
        }
    }
    return single;
}

// FAT's names are read by the kernel's defaults, which distributions choose; here by these, which keep all of Unicode
// (linux: Documentation/filesystems/vfat.rst).
std::vector<std::string> mount_options(const VolumePlan& volume) {
    std::vector<std::string> options = single_options(volume.mount_options);
    const auto has = [&options](std::string_view prefix) {
        return std::ranges::any_of(options, [&](const std::string& option) { return option.starts_with(prefix); });
    };
    if (volume.fs_type == "vfat") {
        const bool unicode = !has("iocharset=");
        if (!has("codepage=")) { options.emplace_back("codepage=437"); }
        if (unicode) { options.insert(options.end(), {"iocharset=iso8859-1", "utf8"}); }
    }
    if (volume.discard && !has("discard") && !has("nodiscard")) { options.emplace_back("discard"); }
    return options;
}

std::string grows(const VolumePlan& volume) {
    const FileSystemInfo* file_system = find_file_system(volume.fs_type);
    return file_system != nullptr && file_system->grows && !volume.read_only && volume.auto_create ? "1" : "0";
}

void append_volume(std::string& spec, const VolumePlan& volume, bool serials, std::size_t position) {
    append_record(spec, "volume",
                  {serials ? volume.serial : "", serials ? volume.uuid : "", std::to_string(position), volume.fs_type,
                   volume.mount_point, with_read_only(mount_options(volume), volume.read_only), grows(volume)});
}

bool is_made(const RootPlan& root) {
    return !root.image.empty();
}

/// Whether it is a disk, the first one then.
bool is_disk(const RootPlan& root) {
    return is_made(root) || root.kind == RootPlan::Kind::image;
}

std::string parent_of(const std::string& path) {
    return path.substr(0, path.rfind('/'));
}

void append_root(std::string& spec, const VmPlan& vm, bool serials) {
    const RootPlan& root = vm.root;
    const std::string overlay = root.overlay == "tmpfs" || root.overlay == "none" ? root.overlay : "volume";
    switch (root.kind) {
    case RootPlan::Kind::initramfs: return;
    case RootPlan::Kind::share: append_record(spec, "root", {"share", overlay, root.tag}); break;
    case RootPlan::Kind::image:
    case RootPlan::Kind::dir:
    case RootPlan::Kind::tar:
    case RootPlan::Kind::oci: {
        const bool written = root.kind == RootPlan::Kind::image && !root.read_only;
        append_record(spec, "root",
                      {"disk", overlay, serials ? root_serial : "", serials ? root.uuid : "", "0",
                       std::to_string(root.partition), root.fs_type, written ? "rw" : "ro"});
        break;
    }
    case RootPlan::Kind::store:
        append_record(spec, "root", {"store", overlay, root.tag, parent_of(root.source)});
        break;
    }
    for (std::size_t i = 0; i < vm.volumes.size(); ++i) {
        const VolumePlan& volume = vm.volumes[i];
        if (volume.name != root.overlay) { continue; }
        // A file that is written first gets a copy there, under its name by a rename, which fdatasync(2) of the copy
        // doesn't make durable (linux: fs/overlayfs/copy_up.c): without this, a kill takes what a database has
        // committed.
        std::vector<std::string> options = mount_options(volume);
        options.emplace_back("dirsync");
        append_record(spec, "overlay",
                      {serials ? volume.serial : "", serials ? volume.uuid : "",
                       std::to_string(i + (is_disk(root) ? 1 : 0)), volume.fs_type,
                       with_read_only(std::move(options), false), grows(volume)});
    }
}

// virtiofs' server decides what these are about; of 9p the guest's client does (linux:
// Documentation/filesystems/9p.rst).
std::string share_options(const SharePlan& share) {
    std::vector<std::string> options;
    if (share.proto == "9p") {
        if (!share.cache.empty()) { options.push_back("cache=" + share.cache); }
        // Only access=client has the client look at ACLs.
        if (share.posix_acl) { options.insert(options.end(), {"posixacl", "access=client"}); }
    }
    return with_read_only(std::move(options), share.read_only);
}

void append_interface(std::string& spec, const InterfacePlan& interface) {
    std::vector<std::string> args{interface.mac};
    for (const std::string& address : interface.addresses) {
        if (address != "dhcp") { args.push_back(address); } // that, the guest's own client asks for
    }
    args.emplace_back();
    args.push_back(interface.gateway);
    args.insert(args.end(), interface.dns.begin(), interface.dns.end());
    append_record(spec, "interface", args);
    if (interface.mtu != 0) { append_record(spec, "mtu", {interface.mac, std::to_string(interface.mtu)}); }
}

void append_ready(std::string& spec, const ReadyPlan& ready) {
    switch (ready.kind) {
    case ReadyPlan::Kind::init: return append_record(spec, "ready", {"init"});
    case ReadyPlan::Kind::tcp: return append_record(spec, "ready", {"tcp", std::to_string(ready.port)});
    case ReadyPlan::Kind::http: return append_record(spec, "ready", {"http", std::to_string(ready.port), ready.path});
    case ReadyPlan::Kind::console: return append_record(spec, "ready", {"console", ready.text});
    case ReadyPlan::Kind::command: {
        std::vector<std::string> args{"command"};
        args.insert(args.end(), ready.command.begin(), ready.command.end());
        return append_record(spec, "ready", args);
    }
    case ReadyPlan::Kind::notify: return append_record(spec, "ready", {"notify"});
    case ReadyPlan::Kind::exit: return append_record(spec, "ready", {"exit", std::to_string(ready.status)});
    }
}

// A root has an init of its own; the busybox userland has none, and idles.
constexpr const char* default_init = "/sbin/init";
constexpr const char* initramfs_init = "/init"; // linux: Documentation/admin-guide/initrd.rst, rdinit=

} // namespace

std::vector<std::string> file_system_modules(const VolumePlan& volume, bool takes_writes) {
    const bool mounted = takes_writes || !volume.mount_point.empty();
    if (!mounted || volume.fs_type == "none") { return {}; }
    std::vector<std::string> modules{volume.fs_type};
    if (volume.fs_type != "vfat") { return modules; }
    for (const std::string& option : mount_options(volume)) {
        constexpr std::string_view code_page = "codepage=";
        constexpr std::string_view charset = "iocharset=";
        if (option.starts_with(code_page)) { modules.push_back("nls_cp" + option.substr(code_page.size())); }
        if (option.starts_with(charset)) { modules.push_back("nls_" + option.substr(charset.size())); }
    }
    return modules;
}

std::string guest_spec(const VmPlan& vm, const Lowered& lowered) {
    std::string spec;
    append_param(spec, "hostname", vm.hostname);
    append_param(spec, "machine-id", vm.machine_id);
    append_param(spec, "console", lowered.console_device);
    append_param(spec, "agent", lowered.agent_device);
    append_param(spec, "end", lowered.end);
    append_root(spec, vm, lowered.serials);
    const std::size_t first = is_disk(vm.root) ? 1 : 0;
    for (std::size_t i = 0; i < vm.volumes.size(); ++i) {
        append_volume(spec, vm.volumes[i], lowered.serials, first + i);
    }
    std::size_t image = first + vm.volumes.size(); // as disks_of has them
    for (const SharePlan& share : vm.shares) {
        if (share.proto == "image") {
            append_record(spec, "volume", {"", "", std::to_string(image++), "erofs", share.mount_point, "ro", "0"});
            continue;
        }
        append_record(spec, "share", {share.proto, share.tag, share.mount_point, share_options(share)});
    }
    for (const InterfacePlan& interface : vm.interfaces) { append_interface(spec, interface); }
    for (const CredentialPlan& credential : vm.credentials) { append_record(spec, "credential", {credential.name}); }
    for (const auto& [name, value] : vm.env) { append_record(spec, "env", {name, value}); }
    if (!vm.workdir.empty()) { append_record(spec, "workdir", {vm.workdir}); }
    if (!vm.command.empty()) {
        append_record(spec, "command", vm.command);
    } else if (!vm.kernel.initrd.empty()) {
        append_record(spec, "init", {vm.init.empty() ? initramfs_init : vm.init});
    } else if (vm.root.kind != RootPlan::Kind::initramfs) {
        const bool is_store = vm.root.kind == RootPlan::Kind::store; // a NixOS system's own
        append_record(spec, "init", {!vm.init.empty() ? vm.init : is_store ? vm.root.source + "/init" : default_init});
    }
    append_ready(spec, vm.ready);
    return spec;
}

} // namespace microvmc
