#include "runtime/kernel/pin.h"

#include "compiler/facts_json.h"
#include "runtime/error.h"
#include "runtime/file_lock.h"
#include "runtime/files.h"
#include "runtime/kernel/bzimage.h"
#include "runtime/kernel/decompress.h"
#include "runtime/kernel/elf.h"
#include "runtime/kernel/modules.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <linux/fs.h>
#include <nlohmann/json.hpp>
#include <set>
#include <sys/ioctl.h>
#include <unistd.h>

namespace microvmc {

namespace {

namespace fs = std::filesystem;

// Another pin takes seconds at most; what is unpacked is 50 MB.
constexpr std::chrono::milliseconds lock_timeout{60'000};
constexpr std::size_t kernel_limit = std::size_t{1} << 30U;
constexpr std::size_t module_limit = std::size_t{256} << 20U;

/// What a plan may need, whichever hypervisor it gets later: buses and devices, file systems, shares, network, clocks.
/// Names that a kernel doesn't have are built in or not needed there.
const std::vector<std::string>& pinned_modules() {
    static const std::vector<std::string> names{
        "virtio",
        "virtio_ring",
        "virtio_mmio",
        "virtio_pci",
        "virtio_pci_modern_dev",
        "virtio_blk",
        "virtio_net",
        "virtio_console",
        "virtio_balloon",
        "virtio_rng",
        "virtio_mem",
        "virtio_scsi",
        "virtio_input",
        "bochs",
        "virtio_pmem",
        "nd_pmem",
        "failover",
        "net_failover",
        "9p",
        "9pnet",
        "9pnet_virtio",
        "fuse",
        "virtiofs",
        "overlay",
        "loop",
        "dm_mod",
        "ext4",
        "ext3",
        "ext2",
        "jbd2",
        "xfs",
        "btrfs",
        "vfat",
        "nls_cp437",
        "nls_iso8859-1",
        "nls_ascii",
        "nls_utf8",
        "nls_cp850",
        "nls_cp852",
        "nls_cp866",
        "nls_cp1250",
        "nls_cp1251",
        "nls_iso8859-2",
        "nls_iso8859-15",
        "nls_koi8-r",
        "erofs",
        "squashfs",
        "isofs",
        "crc32c",
        "crc32c_generic",
        "crc32c_intel",
        "vsock",
        "vmw_vsock_virtio_transport",
        "af_packet",
        "ipv6",
        "sd_mod",
        "sr_mod",
        "ahci",
        "ata_piix",
        "e1000",
        "evdev",
        "button",
        "i8042",
        "atkbd",
        "psmouse",
        "qemu_fw_cfg",
        "pvpanic",
        "pvpanic_mmio",
        "pvpanic_pci",
        "i6300esb",
        "rng_core",
        "ptp_kvm",
        "tun",
        "bridge",
        "veth",
        "binfmt_misc",
    };
    return names;
}

/// depmod's indexes that libkmod looks things up in, and its texts that are short. They name more modules than are
/// here; what is looked up is found all the same.
constexpr std::array index_names{
    "modules.dep.bin",     "modules.alias.bin",         "modules.softdep",         "modules.builtin",
    "modules.builtin.bin", "modules.builtin.alias.bin", "modules.builtin.modinfo", "modules.order",
};

/// Copies a file, sharing its blocks where the file system can.
void copy_file(const std::string& from, const std::string& to) {
    const Fd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
    if (!in) { throw Error(fmt::format("can't read {}: {}", from, std::strerror(errno))); }
    const Fd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!out) { throw Error(fmt::format("can't create {}: {}", to, std::strerror(errno))); }
    if (::ioctl(out.get(), FICLONE, in.get()) == 0) { return; }
    std::error_code error;
    fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
    if (error) { throw Error(fmt::format("can't copy {} to {}: {}", from, to, error.message())); }
}

void write_plainly(const std::string& path, std::string_view content) {
    const Fd out(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    std::size_t done = 0;
    while (out && done < content.size()) {
        const ssize_t wrote = ::write(out.get(), content.data() + done, content.size() - done);
        if (wrote < 0 && errno != EINTR) { break; }
        if (wrote > 0) { done += static_cast<std::size_t>(wrote); }
    }
    if (done < content.size() || !out) { throw Error(fmt::format("can't write {}: {}", path, std::strerror(errno))); }
}

std::string read_kernel(const std::string& path) {
    auto content = read_file(path, kernel_limit);
    if (!content) { throw Error(fmt::format("there is no kernel at {}", path)); }
    return std::move(*content);
}

/// The path of a module without the suffix of its compression.
std::string plain_path(const std::string& path) {
    return (fs::path(path).parent_path() / plain_module_name(path)).string();
}

void copy_modules(const std::string& from, const std::string& to) {
    fs::create_directory(to);
    if (from.empty()) { return; }
    std::set<std::string> pinned;
    for (const ModuleFile& module : resolve_modules(from, pinned_modules()).files) {
        const std::string source = from + "/" + module.path;
        const std::string target = to + "/" + plain_path(module.path);
        fs::create_directories(fs::path(target).parent_path());
        if (fs::path(module.path).extension() == ".ko") {
            copy_file(source, target);
        } else {
            const std::string packed = read_kernel(source);
            write_plainly(target, decompress(packed, sniff_compression(packed), module_limit, source));
        }
        pinned.insert(module.path);
    }
    for (const char* name : index_names) {
        if (fs::exists(from + "/" + name)) { copy_file(from + "/" + name, to + "/" + name); }
    }
    // modules.dep, which makes it a modules directory, of what is here alone: "PATH: PATH PATH\n"
    const std::string all = read_kernel(from + "/modules.dep");
    std::string kept;
    for (std::size_t start = 0; start < all.size();) {
        const std::size_t end = std::min(all.find('\n', start), all.size());
        std::string_view line(all.data() + start, end - start);
        if (const std::size_t colon = line.find(':');
            colon != std::string_view::npos && pinned.contains(std::string(line.substr(0, colon)))) {
            kept += plain_path(std::string(line.substr(0, colon))) + ":";
            for (line.remove_prefix(colon + 1); !line.empty();) {
                line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
                const std::size_t stop = std::min(line.find(' '), line.size());
                if (stop > 0) { kept += " " + plain_path(std::string(line.substr(0, stop))); }
                line.remove_prefix(stop);
            }
            kept += "\n";
        }
        start = end + 1;
    }
    write_plainly(to + "/modules.dep", kept);
}

std::string extracted(const std::string& image, const std::string& what) {
    std::string vmlinux = extract_vmlinux(image, what);
    if (!parse_elf(vmlinux)) { throw Error(fmt::format("the payload of {} is not an ELF64 kernel", what)); }
    return vmlinux;
}

[[noreturn]] void stale(const std::string& path) {
    throw Error(fmt::format("{} is another file than the plan was made with", path), "make the plan again");
}

/// Everything of a pin, in a directory that nobody looks at yet.
void fill(const KernelPlan& kernel, const std::string& directory) {
    if (file_identity(kernel.source) != kernel.identity) { stale(kernel.source); }
    KernelFacts facts = inspect_kernel(kernel.source);
    if (!facts.readable) { throw Error(fmt::format("can't read the kernel {}", kernel.source)); }
    const bool is_elf = facts.image == KernelImage::elf;
    if (is_elf && kernel.image == KernelImage::bzimage) {
        throw Error(fmt::format("{} is an ELF file, and a bzImage is wanted", kernel.source),
                    "name the bzImage (vmlinuz) of that kernel");
    }
    const std::string copy = is_elf ? "vmlinux" : "vmlinuz";
    copy_file(kernel.source, directory + "/" + copy);
    if (file_identity(kernel.source) != kernel.identity) { stale(kernel.source); }
    if (is_elf && !parse_elf(read_kernel(directory + "/vmlinux"))) {
        throw Error(fmt::format("{} is not an ELF64 kernel", kernel.source));
    }
    if (!is_elf && kernel.image == KernelImage::elf) {
        write_plainly(directory + "/vmlinux", extracted(read_kernel(directory + "/vmlinuz"), kernel.source));
    }
    copy_modules(kernel.modules, directory + "/modules");
    const std::string configuration = (fs::path(kernel.source).parent_path() / ("config-" + kernel.release)).string();
    if (!kernel.release.empty() && fs::exists(configuration)) { copy_file(configuration, directory + "/config"); }

    facts.path = kernel.pin + "/" + copy;
    facts.release = kernel.release;
    facts.modules = kernel.modules.empty() ? "" : kernel.pin + "/modules";
    facts.identity = kernel.identity;
    facts.pinned_from = kernel.source;
    write_plainly(directory + "/pin.json", nlohmann::json(facts).dump(2) + "\n");

    // One call for some hundred files and directories.
    const Fd opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened || ::syncfs(opened.get()) != 0) {
        throw Error(fmt::format("can't write {}: {}", directory, std::strerror(errno)));
    }
}

/// Whether there is a pin. remove_tree takes the files first, so one whose removal was cut short lacks one of these.
bool is_there(const std::string& pin) {
    return fs::exists(pin + "/pin.json") && (fs::exists(pin + "/vmlinuz") || fs::exists(pin + "/vmlinux"));
}

bool is_complete(const KernelPlan& kernel) {
    return is_there(kernel.pin) && (kernel.image != KernelImage::elf || fs::exists(kernel.pin + "/vmlinux"));
}

} // namespace

bool pin_kernel(const KernelPlan& kernel) {
    if (is_complete(kernel)) { return false; }
    const fs::path pin(kernel.pin);
    const std::string parent = pin.parent_path().string();
    make_directories(parent, 0700);
    const FileLock lock(parent + "/.lock", lock_timeout, "the pinned kernels");
    // Under the lock nobody works in these: a process that did was killed.
    std::vector<std::string> leftovers;
    for (const auto& entry : fs::directory_iterator(parent)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with('.') && name.ends_with(".part")) { leftovers.push_back(entry.path().string()); }
    }
    for (const std::string& leftover : leftovers) { remove_tree(leftover); }
    if (is_complete(kernel)) { return false; }

    if (is_there(kernel.pin)) {
        write_whole(kernel.pin + "/vmlinux", extracted(read_kernel(kernel.pin + "/vmlinuz"), kernel.source), 0644);
        return true;
    }
    const std::string temporary = (pin.parent_path() / ("." + pin.filename().string() + ".part")).string();
    make_directories(temporary, 0700);
    try {
        fill(kernel, temporary);
    } catch (const fs::filesystem_error& error) {
        remove_tree(temporary);
        throw Error(fmt::format("can't pin the kernel {}: {}", kernel.source, error.what()));
    } catch (...) {
        remove_tree(temporary);
        throw;
    }
    remove_tree(kernel.pin); // what is left of one
    if (::rename(temporary.c_str(), kernel.pin.c_str()) != 0) {
        const int error = errno;
        remove_tree(temporary);
        throw Error(fmt::format("can't create {}: {}", kernel.pin, std::strerror(error)));
    }
    sync_directory(parent);
    return true;
}

} // namespace microvmc
