#pragma once

#include "compiler/plan.h"
#include "runtime/launch.h"

#include <cstddef>
#include <string>

namespace microvmc {

/// The vhost-user socket of a virtiofs share, to which the VMM connects; `number`: of the share in the plan.
std::string virtiofs_socket(const VmPlan& vm, const SharePlan& share, std::size_t number);

/// The process that serves a share which has a server. Options: `virtiofsd --help` of Rust's 1.13, and
/// qemu: docs/tools/virtiofsd.rst of 7.2, whose -o takes a list in which a comma and a backslash are written after a
/// backslash (libfuse: lib/fuse_opt.c). It ends by itself when its VMM disconnects, with status 0.
Child virtiofs_server(const VmPlan& vm, const SharePlan& share, std::size_t number);

} // namespace microvmc
