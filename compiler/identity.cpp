#include "compiler/identity.h"

#include "compiler/address.h"
#include "compiler/digest.h"

#include <algorithm>
#include <fmt/format.h>

namespace microvmc {

namespace {

/// Parts apart by NUL, which no name has in it.
std::string joined(std::string_view kind, std::initializer_list<std::string_view> parts) {
    std::string text(kind);
    for (const std::string_view part : parts) {
        text += '\0';
        text += part;
    }
    return text;
}

} // namespace

std::string derived_mac(std::string_view project, std::string_view vm, std::string_view interface) {
    const auto hash = sha256(joined("mac", {project, vm, interface}));
    // IEEE 802: bit 0 of the first byte is multicast, bit 1 locally administered.
    const auto first = static_cast<std::uint8_t>((hash[0] & 0xFC) | 0x02);
    return mac_text({first, hash[1], hash[2], hash[3], hash[4], hash[5]});
}

std::string derived_uuid(std::string_view project, std::string_view vm, std::string_view volume) {
    return uuid_of_digest(sha256_hex(joined("uuid", {project, vm, volume})));
}

std::string uuid_of_digest(std::string_view digest) {
    std::string hex(digest.substr(0, 32));
    hex[12] = '8'; // RFC 9562: version 8, made by a rule of one's own
    hex[16] = "89ab"[static_cast<unsigned char>(hex[16]) & 3];
    for (const std::size_t hyphen : {8, 13, 18, 23}) { hex.insert(hyphen, 1, '-'); }
    return hex;
}

std::string fat_volume_id(std::string_view uuid) {
    std::string id = fmt::format("{}-{}", uuid.substr(0, 4), uuid.substr(4, 4));
    std::ranges::transform(id, id.begin(), [](char c) { return c >= 'a' && c <= 'f' ? static_cast<char>(c - 32) : c; });
    return id;
}

std::string derived_tag(std::string_view name, std::size_t most) {
    if (name.size() <= most) { return std::string(name); }
    const std::string hash = sha256_hex(name).substr(0, std::min<std::size_t>(8, most));
    return most <= 9 ? hash : fmt::format("{}-{}", name.substr(0, most - 9), hash);
}

std::uint16_t derived_port(std::string_view project, std::string_view vm, std::string_view forward,
                           std::string_view proto) {
    const auto hash = sha256(joined("port", {project, vm, forward, proto}));
    const std::uint32_t number =
        static_cast<std::uint32_t>(hash[0]) << 16 | static_cast<std::uint32_t>(hash[1]) << 8 | hash[2];
    return static_cast<std::uint16_t>(20000 + number % 10000);
}

std::string derived_tap(std::string_view derived_mac) {
    std::string name = "mv" + std::string(derived_mac);
    std::erase(name, ':');
    return name;
}

std::string derived_bridge(std::string_view project, std::string_view network) {
    return "mvbr" + sha256_hex(joined("bridge", {project, network})).substr(0, 8);
}

std::string derived_subnet(std::string_view project, std::string_view network) {
    const auto hash = sha256(joined("subnet", {project, network}));
    return fmt::format("10.{}.{}.0/24", 64 + hash[0] % 64, hash[1]);
}

std::uint32_t derived_cid(std::string_view project, std::string_view vm) {
    const auto hash = sha256(joined("cid", {project, vm}));
    const std::uint32_t number = static_cast<std::uint32_t>(hash[0]) << 24 | static_cast<std::uint32_t>(hash[1]) << 16 |
                                 static_cast<std::uint32_t>(hash[2]) << 8 | hash[3];
    return 1000 + number % (0x8000'0000U - 1000);
}

std::string derived_machine_id(std::string_view project, std::string_view vm) {
    return sha256_hex(joined("machine-id", {project, vm})).substr(0, 32);
}

std::string root_key(RootPlan::Kind kind, std::string_view fs_type, std::string_view arch,
                     std::string_view source_identity) {
    constexpr std::string_view layout = "1"; // raised when the same source makes other images
    return sha256_hex(joined("root", {layout, std::to_string(static_cast<int>(kind)), fs_type, arch, source_identity}));
}

std::string pin_name(const KernelFacts& kernel) {
    const auto& id = kernel.identity;
    const std::string hash = sha256_hex(
        joined("kernel", {kernel.path, fmt::format("{} {} {} {}", id.device, id.inode, id.mtime_ns, id.size)}));
    return fmt::format("{}-{}", kernel.release.empty() ? "unknown" : kernel.release, hash.substr(0, 16));
}

} // namespace microvmc
