#pragma once

#include "compiler/traits.h"

#include <string_view>
#include <vector>

// How a backend's table of capabilities is written. What isn't listed at all, microvmc doesn't drive yet.

namespace microvmc {

constexpr Capability native(std::string_view name, std::string_view how = {}) {
    return {.name = name, .support = Support::native, .why = how, .remedy = {}};
}

/// Of a version and later ones.
constexpr Capability native_since(std::string_view version, std::string_view name, std::string_view how = {}) {
    return {.name = name, .support = Support::native, .why = how, .remedy = {}, .since = version};
}

constexpr Capability bridged(std::string_view name, std::string_view how) {
    return {.name = name, .support = Support::bridged, .why = how, .remedy = {}};
}

constexpr Capability lacking(std::string_view name, std::string_view why, std::string_view remedy = {}) {
    return {.name = name, .support = Support::unsupported, .why = why, .remedy = remedy};
}

/// Its own, and what comes with our init, images and supervisor whatever the hypervisor.
std::vector<Capability> with_ours(std::vector<Capability> its);

/// Its own, and virtiofsd's: for one that takes the socket of a vhost-user file system.
std::vector<Capability> with_virtiofsd(std::vector<Capability> its);

/// Its own, and what is so of all that know only KVM and the host's taps. What it says of one of these itself counts.
std::vector<Capability> with_kvm_and_taps(std::vector<Capability> its);

/// Whether no part of it is a hypervisor's: it's by our init, images and supervisor, or by virtiofsd.
bool is_independent(std::string_view name);

} // namespace microvmc
