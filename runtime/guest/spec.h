#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

// What the host tells the guest's init: /microvmc/spec in the initramfs. A sequence of records; a record is a verb, the
// decimal number of its arguments, and the arguments, every field ended by a NUL. Header-only and free of exceptions,
// shared by the host (writes) and the static init (reads). A verb that the init doesn't know is an error: host and init
// are of one build.
//
// clang-format off
//   module PATH                    load /microvmc/modules/PATH, in this order
//   file-system FS PATH...         modules as above, loaded when a file system of this kind is to be mounted
//   param KEY VALUE                KEY: hostname
//                                       machine-id   32 hexadecimal digits, machine-id(5); none: the root's own
//                                       console   "/dev/hvc0", "/dev/ttyS0": of the main process (/dev/console)
//                                       agent     "virtio-port:NAME", "tty:/dev/ttyS1", "vsock:PORT", "vsock-host:PORT"; none: no agent
//                                       end       "reboot", "poweroff": how the machine is ended (poweroff), whatever the
//                                                 reported kind of end is
//   root KIND OVERLAY ARG...       No root record: the initramfs stays the root. OVERLAY tmpfs, none, or volume: the
//                                  `overlay` record's
//        share OVERLAY TAG         the 9p share TAG, read-only
//        store OVERLAY TAG PATH    a root of nothing but the 9p share TAG, read-only, on PATH; it is in memory (tmpfs) or on
//                                  the volume
//        disk OVERLAY SERIAL UUID POSITION PARTITION FS MODE
//                                  a disk, found as for `volume`. PARTITION of it, 0: all of it. FS empty: what its
//                                  superblock says. MODE ro, rw
//   overlay SERIAL UUID POSITION FS OPTIONS GROW
//                                  the volume that takes the root's writes, as for `volume`
//   volume SERIAL UUID POSITION FS MOUNTPOINT OPTIONS GROW
//                                  SERIAL: of the disk (virtio: its first 20 bytes count). UUID: of the file system (ext,
//                                  xfs, btrfs, vfat), looked for on disks that tell no serial. POSITION among the disks (0, 1,
//                                  ...), used when both are empty. OPTIONS: as mount(8) takes them. GROW 1: grow the file
//                                  system to its disk (all but vfat). Empty MOUNTPOINT or FS "none": not mounted
//   share PROTO TAG MOUNTPOINT OPTIONS
//                                  PROTO 9p, virtiofs. OPTIONS: as mount(8) takes them, added to the transport's own
//   interface MAC ADDRESS... "" GATEWAY DNS...
//                                  ADDRESS with prefix length; the empty argument ends them; GATEWAY may be empty
//   mtu MAC BYTES                  of an interface before it, 68 to 65535
//   credential NAME                asked for on the agent's channel (wire.h) before anything is started
//   env NAME VALUE                 for the main process, and what the agent executes
//   workdir PATH                   of the command
//   command ARG...                 the main process; none: the init idles (and answers the agent)
//   init PATH                      executed as PID 1 instead of a command
//   ready KIND ARG...              tcp PORT | http PORT PATH | command ARG... | notify | init | exit STATUS |
//                                  console TEXT (exit and console are the host's business)
// clang-format on

namespace microvmc::guest {

struct Record {
    std::string_view verb;
    std::vector<std::string_view> args;
};

inline void append_record(std::string& out, std::string_view verb, const std::vector<std::string>& args) {
    out.append(verb).push_back('\0');
    out.append(std::to_string(args.size())).push_back('\0');
    for (const auto& arg : args) { out.append(arg.substr(0, arg.find('\0'))).push_back('\0'); }
}

/// Reads records until the text ends or is malformed; `ok` says which.
inline std::vector<Record> parse_records(std::string_view text, bool& ok) {
    std::vector<Record> records;
    ok = false;
    const auto field = [&text](std::string_view& out) {
        const std::size_t end = text.find('\0');
        if (end == std::string_view::npos) { return false; }
        out = text.substr(0, end);
        text.remove_prefix(end + 1);
        return true;
    };
    while (!text.empty()) {
        Record record;
        std::string_view count_text;
        if (!field(record.verb) || !field(count_text) || count_text.empty() || count_text.size() > 6) {
            return records;
        }
        std::size_t count = 0;
        for (const char c : count_text) {
            if (c < '0' || c > '9') { return records; }
            count = count * 10 + static_cast<std::size_t>(c - '0');
        }
        for (std::size_t i = 0; i < count; ++i) {
            std::string_view arg;
            if (!field(arg)) { return records; }
            record.args.push_back(arg);
        }
        records.push_back(std::move(record));
    }
    ok = true;
    return records;
}

} // namespace microvmc::guest
