#include "runtime/kernel/config.h"

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/kernel/bzimage.h"
#include "runtime/kernel/decompress.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <set>

namespace microvmc {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

namespace {

constexpr std::size_t config_limit = std::size_t{4} << 20U;
constexpr std::size_t kernel_limit = std::size_t{512} << 20U;
constexpr std::string_view prefix = "CONFIG_";

struct ModuleOption {
    std::string_view module;
    std::string_view option;
};

// linux: the Makefiles beside the drivers, which say what is built by which option.
constexpr std::array module_options{
    ModuleOption{"9p", "9P_FS"},
    ModuleOption{"9pnet_virtio", "NET_9P_VIRTIO"},
    ModuleOption{"btrfs", "BTRFS_FS"},
    ModuleOption{"erofs", "EROFS_FS"},
    ModuleOption{"ext4", "EXT4_FS"},
    ModuleOption{"overlay", "OVERLAY_FS"},
    ModuleOption{"squashfs", "SQUASHFS"},
    ModuleOption{"vfat", "VFAT_FS"},
    ModuleOption{"virtio_balloon", "VIRTIO_BALLOON"},
    ModuleOption{"virtio_blk", "VIRTIO_BLK"},
    ModuleOption{"virtio_console", "VIRTIO_CONSOLE"},
    ModuleOption{"virtio_mem", "VIRTIO_MEM"},
    ModuleOption{"virtio_mmio", "VIRTIO_MMIO"},
    ModuleOption{"virtio_net", "VIRTIO_NET"},
    ModuleOption{"virtio_pci", "VIRTIO_PCI"},
    ModuleOption{"virtiofs", "VIRTIO_FS"},
    ModuleOption{"vmw_vsock_virtio_transport", "VIRTIO_VSOCKETS"},
    ModuleOption{"xfs", "XFS_FS"},
};

/// Those that hypervisors need beside drivers.
constexpr std::array backend_options{
    "ACPI"sv,
    "HVC_DRIVER"sv,
    "HW_RANDOM_VIRTIO"sv,
    "INPUT_EVDEV"sv,
    "KEYBOARD_ATKBD"sv,
    "MODULES"sv,
    "PCI"sv,
    "PCI_MSI"sv,
    "PVH"sv,
    "RELOCATABLE"sv,
    "SERIAL_8250"sv,
    "SERIAL_8250_CONSOLE"sv,
    "SERIO_I8042"sv,
    "SMP"sv,
    "VIRTIO_CONSOLE"sv,
    "VIRTIO_MMIO"sv,
    "VIRTIO_MMIO_CMDLINE_DEVICES"sv,
    "VIRTIO_PCI"sv,
    "VSOCKETS"sv,
    "X86_MPPARSE"sv,
};

/// A file's text; nothing when it isn't there or can't be read.
std::optional<std::string> read_if_possible(const std::string& path, std::size_t limit) {
    try {
        return read_file(path, limit);
    } catch (const Error&) { return std::nullopt; }
}

std::vector<std::string> places_of(const KernelFacts& kernel) {
    const fs::path directory = fs::path(kernel.path).parent_path();
    std::vector<std::string> places;
    if (!kernel.release.empty()) { places.push_back((directory / ("config-" + kernel.release)).string()); }
    for (const char* name : {"config", ".config"}) { places.push_back((directory / name).string()); }
    // .../arch/x86/boot/bzImage
    const fs::path tree = directory.parent_path().parent_path().parent_path();
    if (directory.filename() == "boot" && tree != tree.root_path()) { places.push_back((tree / ".config").string()); }
    if (!kernel.release.empty()) { places.push_back("/boot/config-" + kernel.release); }
    return places;
}

/// What CONFIG_IKCONFIG put into an unpacked kernel.
std::optional<std::string> embedded_config(std::string_view vmlinux) {
    constexpr std::string_view begin_mark = "IKCFG_ST";
    constexpr std::string_view end_mark = "IKCFG_ED";
    // The marks are also in the code that knows them; the text follows one at once.
    constexpr std::string_view gzip = "\x1f\x8b"sv;
    const std::size_t begin = vmlinux.find(std::string(begin_mark) + std::string(gzip));
    if (begin == std::string_view::npos) { return std::nullopt; }
    const std::size_t text = begin + begin_mark.size();
    const std::size_t end = vmlinux.find(end_mark, text);
    if (end == std::string_view::npos) { return std::nullopt; }
    return decompress(vmlinux.substr(text, end - text), Compression::gzip, config_limit, "the kernel's configuration");
}

} // namespace

KernelConfig KernelConfig::parse(std::string_view text) {
    KernelConfig config;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (!line.starts_with(prefix)) { continue; }
        const std::size_t equals = line.find('=');
        if (equals == std::string_view::npos) { continue; }
        const std::string_view value = line.substr(equals + 1);
        const Setting setting = value == "m" ? Setting::module : value == "n" ? Setting::absent : Setting::built_in;
        config.settings_[std::string(line.substr(prefix.size(), equals - prefix.size()))] = setting;
    }
    return config;
}

KernelConfig::Setting KernelConfig::of(std::string_view option) const {
    const auto found = settings_.find(option);
    return found == settings_.end() ? Setting::absent : found->second;
}

std::optional<std::string> find_kernel_config(const KernelFacts& kernel, const std::string& named) {
    if (!named.empty()) { return read_if_possible(named, config_limit); }
    auto text = config_beside(kernel);
    return text ? text : config_inside(kernel);
}

std::optional<std::string> config_beside(const KernelFacts& kernel) {
    for (const std::string& place : places_of(kernel)) {
        if (auto text = read_if_possible(place, config_limit)) { return text; }
    }
    return std::nullopt;
}

std::optional<std::string> config_inside(const KernelFacts& kernel) {
    const auto image = read_if_possible(kernel.path, kernel_limit);
    if (!image) { return std::nullopt; }
    try {
        switch (kernel.image) {
        case KernelImage::elf: return embedded_config(*image);
        case KernelImage::bzimage: {
            auto text = embedded_config(*image); // one that isn't compressed
            return text ? text : embedded_config(extract_vmlinux(*image, kernel.path));
        }
        case KernelImage::unknown: return std::nullopt;
        }
    } catch (const Error&) {} // a damaged one has none that can be read
    return std::nullopt;
}

bool is_known_option(std::string_view option) {
    static const std::set<std::string_view> known = [] {
        std::set<std::string_view> all(backend_options.begin(), backend_options.end());
        for (const ModuleOption& driver : module_options) { all.insert(driver.option); }
        for (const std::string_view of_init : init_options()) { all.insert(of_init); }
        return all;
    }();
    return known.contains(option);
}

KernelOptions options_of(std::string_view text) {
    KernelOptions kept;
    const KernelConfig config = KernelConfig::parse(text);
    for (const auto& [option, setting] : config.settings()) {
        if (setting != KernelConfig::Setting::absent && is_known_option(option)) {
            kept[option] = setting == KernelConfig::Setting::built_in;
        }
    }
    return kept;
}

std::string_view option_of_module(std::string_view module) {
    const auto* found = std::ranges::find(module_options, module, &ModuleOption::module);
    return found == module_options.end() ? std::string_view() : found->option;
}

std::vector<std::string_view> init_options() {
    return {"BLK_DEV_INITRD", "BINFMT_ELF", "BINFMT_SCRIPT", "DEVTMPFS", "PROC_FS", "SYSFS",
            "TMPFS",          "UNIX",       "INET",          "EPOLL",    "SIGNALFD"};
}

} // namespace microvmc
