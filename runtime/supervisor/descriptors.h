#pragma once

#include "runtime/fd.h"
#include "runtime/launch.h"
#include "runtime/user.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace microvmc::supervisor {

/// What a child is to find open, in this order and under numbers beyond all of theirs. Throws Error.
std::vector<Fd> open_descriptors(std::span<const Descriptor> descriptors);

/// Who runs a child, with the group of /dev/kvm among his own; nothing: he who we are. Throws Error when there is no
/// such user.
std::optional<User> user_of(const std::string& name);

} // namespace microvmc::supervisor
