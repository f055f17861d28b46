#pragma once

#include "compiler/facts.h"
#include "compiler/plan.h"

#include <cstdint>
#include <string>
#include <string_view>

// What the language leaves open is derived from names, so that it is the same on every run and on every host.

namespace microvmc {

/// A locally administered unicast MAC, from 46 bits of SHA-256 of the three names.
std::string derived_mac(std::string_view project, std::string_view vm, std::string_view interface);
/// The file system's UUID.
std::string derived_uuid(std::string_view project, std::string_view vm, std::string_view volume);
/// What FAT has instead, of a UUID: "54B3-B3B2", its first 32 bits.
std::string fat_volume_id(std::string_view uuid);
/// At most `most` bytes: the name itself, or its beginning and 8 hexadecimal digits of its hash.
std::string derived_tag(std::string_view name, std::size_t most);
/// Of anything whose digest (hexadecimal digits, 32 at least) is known.
std::string uuid_of_digest(std::string_view digest);
/// The first port to try, 20000 to 29999.
std::uint16_t derived_port(std::string_view project, std::string_view vm, std::string_view forward,
                           std::string_view proto);
/// The name of a tap on the host: "mv" and the digits of the interface's derived MAC.
std::string derived_tap(std::string_view derived_mac);
/// The name of a network's bridge on the host: "mvbr" and 8 hexadecimal digits.
std::string derived_bridge(std::string_view project, std::string_view network);
/// The first subnet to try: 10.X.Y.0/24, X from 64 to 127, away from what homes and clouds usually have.
std::string derived_subnet(std::string_view project, std::string_view network);
/// The first CID to try, 1000 to 2^31 (those below 3 have meanings of their own; vsock(7)).
std::uint32_t derived_cid(std::string_view project, std::string_view vm);
/// 32 hexadecimal digits (machine-id(5)).
std::string derived_machine_id(std::string_view project, std::string_view vm);
/// What a root's image is named by: 64 hexadecimal digits of what it is made of and how. `arch`: of an OCI image's,
/// which may be for several; else empty.
std::string root_key(RootPlan::Kind kind, std::string_view fs_type, std::string_view arch,
                     std::string_view source_identity);
/// "6.1.0-56-amd64-0123456789abcdef": the directory of a pinned kernel below <state>/kernels.
std::string pin_name(const KernelFacts& kernel);

} // namespace microvmc
