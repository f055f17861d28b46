#include "runtime/guest/settings.h"

#include "runtime/guest/spec.h"
#include "runtime/guest/wire.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>

namespace microvmc::guest {

std::size_t Address::size() const {
    return family == AF_INET ? 4 : 16;
}

std::optional<Address> parse_address(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string host(text.substr(0, slash));
    Address address;
    address.family = host.find(':') == std::string::npos ? AF_INET : AF_INET6;
    if (inet_pton(address.family, host.c_str(), address.bytes.data()) != 1) { return std::nullopt; }
    const auto bits = static_cast<unsigned>(address.size() * 8);
    address.prefix = bits;
    if (slash != std::string_view::npos) {
        const auto prefix = wire::parse_number<unsigned>(text.substr(slash + 1));
        if (!prefix || *prefix > bits) { return std::nullopt; }
        address.prefix = *prefix;
    }
    return address;
}

namespace {

using Args = std::vector<std::string_view>;

Failure parse_param(const Args& args, Settings& settings) {
    const std::string_view key = args[0];
    const std::string_view value = args[1];
    if (key == "hostname") {
        settings.hostname = value;
    } else if (key == "machine-id") {
        settings.machine_id = value;
    } else if (key == "console") {
        settings.console = value;
    } else if (key == "agent") {
        settings.agent = value;
    } else if (key == "end") {
        if (value != "reboot" && value != "poweroff") {
            return concat({"end is neither reboot nor poweroff: ", value});
        }
        settings.end = value == "reboot" ? EndCall::reboot : EndCall::poweroff;
    } else {
        return concat({"unknown key ", key});
    }
    return std::nullopt;
}

/// SERIAL UUID POSITION FS of a disk.
Failure parse_disk(const Args& args, VolumeSettings& disk) {
    const auto position = wire::parse_number<unsigned>(args[2]);
    if (!position) { return concat({"position is not a number: ", args[2]}); }
    disk.serial = args[0];
    disk.uuid = args[1];
    disk.position = *position;
    disk.fs = args[3];
    return std::nullopt;
}

Failure parse_root(const Args& args, Settings& settings) {
    RootSettings root;
    if (args[1] != "tmpfs" && args[1] != "none" && args[1] != "volume") {
        return concat({"unknown overlay ", args[1]});
    }
    root.overlay = args[1] == "tmpfs"  ? RootSettings::Overlay::tmpfs
                   : args[1] == "none" ? RootSettings::Overlay::none
                                       : RootSettings::Overlay::volume;
    if (args[0] == "share" && args.size() == 3) {
        root.kind = RootSettings::Kind::share;
        root.tag = args[2];
    } else if (args[0] == "store" && args.size() == 4) {
        root.kind = RootSettings::Kind::store;
        root.tag = args[2];
        root.store = args[3];
    } else if (args[0] == "disk" && args.size() == 8) {
        root.kind = RootSettings::Kind::disk;
        if (auto failure = parse_disk({args[2], args[3], args[4], args[6]}, root.disk)) { return failure; }
        const auto partition = wire::parse_number<unsigned>(args[5]);
        if (!partition) { return concat({"partition is not a number: ", args[5]}); }
        root.partition = *partition;
        if (args[7] != "ro" && args[7] != "rw") { return concat({"mode is neither ro nor rw: ", args[7]}); }
        root.writable = args[7] == "rw";
    } else {
        return concat({"unknown kind or wrong number of arguments: ", args[0]});
    }
    settings.root = root;
    return std::nullopt;
}

Failure parse_grow(std::string_view text, VolumeSettings& volume) {
    if (text != "0" && text != "1") { return concat({"grow is neither 0 nor 1: ", text}); }
    volume.grow = text == "1";
    return std::nullopt;
}

Failure parse_overlay(const Args& args, Settings& settings) {
    VolumeSettings volume;
    if (auto failure = parse_disk(args, volume)) { return failure; }
    volume.options = args[4];
    if (auto failure = parse_grow(args[5], volume)) { return failure; }
    settings.overlay = volume;
    return std::nullopt;
}

Failure parse_volume(const Args& args, Settings& settings) {
    VolumeSettings volume;
    if (auto failure = parse_disk(args, volume)) { return failure; }
    volume.mount_point = args[4];
    volume.options = args[5];
    if (auto failure = parse_grow(args[6], volume)) { return failure; }
    settings.volumes.push_back(volume);
    return std::nullopt;
}

Failure parse_share(const Args& args, Settings& settings) {
    if (args[0] != "9p" && args[0] != "virtiofs") { return concat({"unknown protocol ", args[0]}); }
    const auto protocol = args[0] == "9p" ? ShareSettings::Protocol::p9 : ShareSettings::Protocol::virtiofs;
    settings.shares.push_back({protocol, std::string(args[1]), std::string(args[2]), std::string(args[3])});
    return std::nullopt;
}

std::string lower_case(std::string_view text) {
    std::string lower(text);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return lower;
}

Failure parse_interface(const Args& args, Settings& settings) {
    InterfaceSettings interface;
    interface.mac = lower_case(args[0]);
    const auto end = std::find(args.begin() + 1, args.end(), std::string_view());
    if (end == args.end() || end + 1 == args.end()) { return std::string("addresses without an end, or no gateway"); }
    for (auto text = args.begin() + 1; text != end; ++text) {
        const auto address = parse_address(*text);
        if (!address) { return concat({"not an address: ", *text}); }
        interface.addresses.push_back(*address);
    }
    const std::string_view gateway = end[1];
    if (!gateway.empty()) {
        interface.gateway = parse_address(gateway);
        if (!interface.gateway) { return concat({"gateway is not an address: ", gateway}); }
    }
    interface.dns.assign(end + 2, args.end());
    settings.interfaces.push_back(std::move(interface));
    return std::nullopt;
}

Failure parse_mtu(const Args& args, Settings& settings) {
    constexpr std::uint16_t least = 68; // of IPv4, RFC 791
    const auto mtu = wire::parse_number<std::uint16_t>(args[1]);
    if (!mtu || *mtu < least) { return concat({"not an MTU: ", args[1]}); }
    const std::string mac = lower_case(args[0]);
    for (InterfaceSettings& interface : settings.interfaces) {
        if (interface.mac != mac) { continue; }
        interface.mtu = *mtu;
        return std::nullopt;
    }
    return concat({"no interface before it has the MAC ", mac});
}

Failure parse_ready(const Args& args, Settings& settings) {
    const std::string_view kind = args[0];
    if (kind == "init") {
        settings.ready = ready::Init{};
    } else if (kind == "notify") {
        settings.ready = ready::Notify{};
    } else if (kind == "exit" || kind == "console") {
        settings.ready = ready::Host{};
    } else if (kind == "command" && args.size() > 1) {
        settings.ready = ready::Command{{args.begin() + 1, args.end()}};
    } else if ((kind == "tcp" && args.size() == 2) || (kind == "http" && args.size() == 3)) {
        const auto port = wire::parse_number<std::uint16_t>(args[1]);
        if (!port || *port == 0) { return concat({"not a port: ", args[1]}); }
        if (kind == "tcp") {
            settings.ready = ready::Tcp{*port};
        } else {
            settings.ready = ready::Http{*port, std::string(args[2])};
        }
    } else {
        return concat({"unknown kind or too few arguments: ", kind});
    }
    return std::nullopt;
}

struct Verb {
    std::string_view name;
    std::size_t least; ///< arguments
    std::size_t most;
    Failure (*parse)(const Args& args, Settings& settings);
};

constexpr std::size_t any = SIZE_MAX;

const Verb verbs[] = {
    {"module", 1, 1,
     [](const Args& args, Settings& settings) -> Failure {
         settings.modules.emplace_back(args[0]);
         return std::nullopt;
     }},
    {"file-system", 1, any,
     [](const Args& args, Settings& settings) -> Failure {
         settings.file_systems.push_back({std::string(args[0]), {args.begin() + 1, args.end()}});
         return std::nullopt;
     }},
    {"param", 2, 2, parse_param},
    {"root", 3, 8, parse_root},
    {"overlay", 6, 6, parse_overlay},
    {"volume", 7, 7, parse_volume},
    {"share", 4, 4, parse_share},
    {"interface", 3, any, parse_interface},
    {"mtu", 2, 2, parse_mtu},
    {"credential", 1, 1,
     [](const Args& args, Settings& settings) -> Failure {
         if (args[0].empty() || args[0].find('/') != std::string_view::npos || args[0][0] == '.') {
             return concat({"no name of a file: ", args[0]});
         }
         settings.credentials.emplace_back(args[0]);
         return std::nullopt;
     }},
    {"env", 2, 2,
     [](const Args& args, Settings& settings) -> Failure {
         settings.env.push_back(concat({args[0], "=", args[1]}));
         return std::nullopt;
     }},
    {"workdir", 1, 1,
     [](const Args& args, Settings& settings) -> Failure {
         settings.workdir = args[0];
         return std::nullopt;
     }},
    {"command", 1, any,
     [](const Args& args, Settings& settings) -> Failure {
         settings.command.assign(args.begin(), args.end());
         return std::nullopt;
     }},
    {"init", 1, 1,
     [](const Args& args, Settings& settings) -> Failure {
         settings.init = args[0];
         return std::nullopt;
     }},
    {"ready", 1, any, parse_ready},
};

Failure parse_record(const Record& record, Settings& settings) {
    for (const auto& verb : verbs) {
        if (verb.name != record.verb) { continue; }
        if (record.args.size() < verb.least || record.args.size() > verb.most) {
            return std::string("wrong number of arguments");
        }
        return verb.parse(record.args, settings);
    }
    return std::string("unknown verb");
}

} // namespace

Failure parse_settings(std::string_view text, Settings& settings) {
    bool whole = false;
    const auto records = parse_records(text, whole);
    if (!whole) { return concat({"malformed after record ", std::to_string(records.size())}); }
    for (std::size_t i = 0; i < records.size(); ++i) {
        if (auto failure = parse_record(records[i], settings)) {
            return concat({"record ", std::to_string(i + 1), ", ", records[i].verb, ": ", *failure});
        }
    }
    return std::nullopt;
}

} // namespace microvmc::guest
