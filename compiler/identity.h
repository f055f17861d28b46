#pragma once

#include "compiler/facts.h"

#include <cstdint>
#include <string>
#include <string_view>

// What the language leaves open is derived from names, so that it is the same on every run and on every host.

namespace microvmc {

/// A locally administered unicast MAC, from 46 bits of SHA-256 of the three names.
std::string derived_mac(std::string_view project, std::string_view vm, std::string_view interface);
/// The file system's UUID.
std::string derived_uuid(std::string_view project, std::string_view vm, std::string_view volume);
/// At most `most` bytes: the name itself, or its beginning and 8 hexadecimal digits of its hash.
std::string derived_tag(std::string_view name, std::size_t most);
/// The first port to try, 20000 to 29999.
std::uint16_t derived_port(std::string_view project, std::string_view vm, std::string_view forward,
                           std::string_view proto);
/// "6.1.0-56-amd64-0123456789abcdef": the directory of a pinned kernel below <state>/kernels.
std::string pin_name(const KernelFacts& kernel);

} // namespace microvmc
