#pragma once

namespace microvmc {

/// Whether this user may make namespaces of mounts, processes and networks, and mount /proc in them: what a server
/// takes to confine itself. Root: without a user namespace; others: in one of their own. Tried in a child process, in
/// some milliseconds: what the kernel, its settings, security modules and containers say together nobody can tell
/// otherwise.
bool can_make_namespaces();

} // namespace microvmc
