#include "runtime/facts/host_devices.h"

#include "compiler/text.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <unistd.h>

namespace microvmc {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kib_per_mib = 1024;

// sysfs' files have no size.
std::string text_of(const fs::path& path) {
    std::ifstream file(path);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    while (text.ends_with('\n')) { text.pop_back(); }
    return text;
}

std::string link_name(const fs::path& path) {
    std::error_code error;
    return fs::read_symlink(path, error).filename().string();
}

bool may_open(const std::string& path) {
    return ::faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK, AT_EACCESS) == 0;
}

// linux: Documentation/driver-api/vfio.rst
HostDeviceFacts pci_facts(const std::string& address, const std::string& sys, const std::string& dev) {
    HostDeviceFacts facts;
    if (address.find('/') != std::string::npos) { return facts; }
    const fs::path device = fs::path(sys) / "bus/pci/devices" / address;
    std::error_code error;
    facts.present = !address.empty() && fs::exists(device, error);
    facts.driver = link_name(device / "driver");
    facts.iommu_group = link_name(device / "iommu_group");
    facts.accessible = !facts.iommu_group.empty() && may_open(fmt::format("{}/vfio/{}", dev, facts.iommu_group));
    return facts;
}

HostDeviceFacts usb_facts(const std::string& id, const std::string& sys, const std::string& dev) {
    HostDeviceFacts facts;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(fs::path(sys) / "bus/usb/devices", error)) {
        if (text_of(entry.path() / "idVendor") + ':' + text_of(entry.path() / "idProduct") != id) { continue; }
        facts.present = true;
        const auto bus = parse_number(text_of(entry.path() / "busnum"));
        const auto number = parse_number(text_of(entry.path() / "devnum"));
        if (!bus || !number) { continue; }
        facts.accessible = facts.accessible || may_open(fmt::format("{}/bus/usb/{:03}/{:03}", dev, *bus, *number));
    }
    return facts;
}

} // namespace

HostDeviceFacts host_device_facts(const std::string& bus, const std::string& path, const std::string& sys,
                                  const std::string& dev) {
    if (bus == "pci") { return pci_facts(path, sys, dev); }
    if (bus == "usb") { return usb_facts(path, sys, dev); }
    return {};
}

std::map<std::string, HugePageFacts> huge_page_facts(const std::string& sys) {
    std::map<std::string, HugePageFacts> sizes;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(fs::path(sys) / "kernel/mm/hugepages", error)) {
        // hugepages-2048kB
        std::string name = entry.path().filename().string();
        constexpr std::string_view prefix = "hugepages-";
        constexpr std::string_view suffix = "kB";
        if (!name.starts_with(prefix) || !name.ends_with(suffix)) { continue; }
        name = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
        const auto kib = parse_number(name);
        if (!kib || *kib < static_cast<std::int64_t>(kib_per_mib)) { continue; } // ARM has some of 64 KiB
        const auto number = [&entry](const char* file) {
            return static_cast<std::uint64_t>(parse_number(text_of(entry.path() / file)).value_or(0));
        };
        sizes[format_size(static_cast<std::uint64_t>(*kib) / kib_per_mib)] = {.total = number("nr_hugepages"),
                                                                              .free = number("free_hugepages")};
    }
    return sizes;
}

std::string default_huge_page(const std::string& meminfo) {
    const std::size_t at = meminfo.find("Hugepagesize:");
    if (at == std::string::npos) { return {}; }
    const std::size_t begin = meminfo.find_first_of("0123456789", at);
    const std::size_t end = meminfo.find_first_not_of("0123456789", begin);
    const auto kib = begin == std::string::npos ? std::nullopt : parse_number(meminfo.substr(begin, end - begin));
    return kib && *kib >= static_cast<std::int64_t>(kib_per_mib)
               ? format_size(static_cast<std::uint64_t>(*kib) / kib_per_mib)
               : std::string();
}

} // namespace microvmc
