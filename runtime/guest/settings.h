#pragma once

#include "runtime/guest/text.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// spec.h's records, typed.

namespace microvmc::guest {

struct VolumeSettings {
    std::string serial;
    std::string uuid;
    unsigned position = 0;
    std::string fs;
    std::string mount_point;
    std::string options;
    bool grow = false;
    std::string device{}; ///< its disk, once it is mounted
};

struct RootSettings {
    enum class Kind { share, store, disk } kind = Kind::share;
    std::string store;      ///< where the share is mounted, on a root that is empty but for it
    std::string tag;        ///< of the 9p share
    VolumeSettings disk;    ///< its `mount_point` is nothing
    unsigned partition = 0; ///< of the disk; 0: all of it
    bool writable = false;  ///< the disk
    enum class Overlay { none, tmpfs, volume } overlay = Overlay::none;
};

/// Modules that a file system needs, loaded when it is mounted.
struct FileSystemSettings {
    std::string name;
    std::vector<std::string> modules;
};

struct ShareSettings {
    enum class Protocol { p9, virtiofs } protocol = Protocol::p9;
    std::string tag;
    std::string mount_point;
    std::string options;
};

/// An IPv4 or IPv6 address.
struct Address {
    int family = 0; ///< AF_INET, AF_INET6
    std::array<std::uint8_t, 16> bytes{};
    unsigned prefix = 0; ///< bits
    [[nodiscard]] std::size_t size() const;

    friend bool operator==(const Address&, const Address&) = default;
};

/// "10.0.2.15/24", "fd00::1/64", or without a prefix the whole address. Nothing when it is neither.
std::optional<Address> parse_address(std::string_view text);

struct InterfaceSettings {
    std::string mac; ///< lower case
    std::vector<Address> addresses;
    std::optional<Address> gateway;
    std::vector<std::string> dns;
    std::uint16_t mtu = 0; ///< 0: what its device says
};

namespace ready {
struct Tcp {
    std::uint16_t port = 0;
};
struct Http {
    std::uint16_t port = 0;
    std::string path;
};
struct Command {
    std::vector<std::string> argv;
};
struct Notify {};
struct Init {};
/// Told by the host itself (exit, console): the guest reports nothing.
struct Host {};
} // namespace ready
using Ready = std::variant<ready::Host, ready::Init, ready::Tcp, ready::Http, ready::Command, ready::Notify>;

/// How the machine is ended in its VMM's terms.
enum class EndCall { reboot, poweroff };

struct Settings {
    std::vector<std::string> modules;
    std::vector<FileSystemSettings> file_systems;
    std::string hostname;
    std::string machine_id; ///< empty: the root's own
    std::string console;    ///< device; empty: /dev/console
    std::string agent;      ///< channel; empty: none
    EndCall end = EndCall::poweroff;
    std::optional<RootSettings> root;
    std::optional<VolumeSettings> overlay; ///< of the root's writes, its `mount_point` is nothing
    std::vector<VolumeSettings> volumes;
    std::vector<ShareSettings> shares;
    std::vector<InterfaceSettings> interfaces;
    std::vector<std::string> credentials; ///< names
    std::vector<std::string> env;         ///< NAME=VALUE
    std::string workdir;
    std::vector<std::string> command;
    std::string init;
    Ready ready = ready::Init{};
};

/// Decodes spec.h's text. Pure. A failure names the record ("record 3, volume: ...").
Failure parse_settings(std::string_view text, Settings& settings);

} // namespace microvmc::guest
