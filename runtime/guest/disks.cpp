#include "runtime/guest/disks.h"

#include "runtime/guest/superblock.h"
#include "runtime/guest/system.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace microvmc::guest {

namespace {

// include/uapi/linux/virtio_blk.h: a longer serial is cut by the device.
constexpr std::size_t virtio_serial_bytes = 20;

// Disks in the order in which the kernel names them: vda ... vdz, vdaa.
std::vector<std::string> list_disks() {
    std::vector<std::string> disks;
    for (auto& name : list_directory("/sys/block")) {
        const auto has_prefix = [&](std::string_view prefix) { return name.compare(0, prefix.size(), prefix) == 0; };
        const bool is_virtual = has_prefix("loop") || has_prefix("ram") || has_prefix("zram") || has_prefix("dm-") ||
                                has_prefix("md") || has_prefix("nbd") || has_prefix("sr") || has_prefix("fd");
        if (!is_virtual) { disks.push_back(std::move(name)); }
    }
    std::stable_sort(disks.begin(), disks.end(),
                     [](const std::string& a, const std::string& b) { return a.size() < b.size(); });
    return disks;
}

// virtio-blk has it on the disk itself, NVMe on its controller, SCSI as page 0x80 of its vital product data, whose
// header is four bytes (SPC-4, 7.8.13).
std::string read_serial(const std::string& disk) {
    const std::string base = concat({"/sys/block/", disk});
    for (const char* file : {"/serial", "/device/serial"}) {
        if (const auto serial = read_file(concat({base, file}), 256)) { return std::string(trim(*serial)); }
    }
    constexpr std::size_t page_header = 4;
    const auto page = read_file(concat({base, "/device/vpd_pg80"}), 256);
    return page && page->size() > page_header ? std::string(trim(page->substr(page_header))) : std::string();
}

std::optional<std::string> read_uuid(const std::string& disk) {
    const auto head = read_file(concat({"/dev/", disk}), superblock_bytes);
    return head ? superblock_uuid(*head) : std::nullopt;
}

std::string pick_disk(const VolumeSettings& volume, const std::vector<std::string>& disks) {
    if (volume.serial.empty() && volume.uuid.empty()) {
        return volume.position < disks.size() ? disks[volume.position] : std::string();
    }
    std::vector<std::string> without_serial;
    for (const auto& disk : disks) {
        const std::string serial = read_serial(disk);
        if (serial.empty()) {
            without_serial.push_back(disk);
        } else if (serial == volume.serial ||
                   (serial.size() == virtio_serial_bytes && serial == volume.serial.substr(0, virtio_serial_bytes))) {
            return disk;
        }
    }
    if (volume.uuid.empty()) { return {}; }
    for (const auto& disk : volume.serial.empty() ? disks : without_serial) {
        if (read_uuid(disk) == volume.uuid) { return disk; }
    }
    return {};
}

std::string describe(const VolumeSettings& volume) {
    if (!volume.serial.empty()) { return concat({"the serial ", volume.serial}); }
    if (!volume.uuid.empty()) { return concat({"the file system ", volume.uuid}); }
    return concat({"the position ", std::to_string(volume.position)});
}

std::string describe_disks() {
    std::string text;
    for (const auto& disk : list_disks()) {
        const std::string serial = read_serial(disk);
        text.append(text.empty() ? "" : ", ").append(disk);
        if (!serial.empty()) { text.append(" (serial ").append(serial).append(")"); }
    }
    return text.empty() ? "there is no disk" : concat({"there is ", text});
}

} // namespace

Failure find_disk(const VolumeSettings& volume, std::string& device) {
    // Disks are looked at again only when their number changes: asking one for its serial is a request to it.
    std::vector<std::string> seen;
    const bool found = wait_for(device_wait_ms, [&] {
        auto disks = list_disks();
        if (disks == seen && !seen.empty()) { return false; }
        seen = std::move(disks);
        const std::string disk = pick_disk(volume, seen);
        device = concat({"/dev/", disk});
        return !disk.empty() && access(device.c_str(), F_OK) == 0;
    });
    if (!found) { return concat({"no disk with ", describe(volume), " appeared; ", describe_disks()}); }
    return std::nullopt;
}

} // namespace microvmc::guest
