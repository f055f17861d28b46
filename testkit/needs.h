#pragma once

#include "compiler/config.h"
#include "testkit/spec.h"

#include <vector>

namespace microvmc::testkit {

/// What its steps ask of a hypervisor, beyond its machines; each capability once, with the first step that does. Pure.
std::vector<Need> step_needs(const Case& which);

/// What a case asks of a hypervisor: what its machines' keys do, and what its steps do beyond; each capability once,
/// with the first place that asks for it. What only resolving knows (interfaces that are implied) isn't among them.
/// Pure.
std::vector<Need> needs(const Case& which);

} // namespace microvmc::testkit
