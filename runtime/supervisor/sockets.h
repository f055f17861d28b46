#pragma once

#include <string>
#include <sys/types.h>

namespace microvmc::supervisor {

/// A listening Unix socket of mode 0600, which has its name only once it listens (so that a connection is never refused
/// by a living supervisor). Non-blocking. Throws Error.
int listen_unix(const std::string& path);

/// Connects without waiting; -1 with errno when nobody listens or the backlog is full. Throws Error when the path is
/// too long for a socket's address (107 bytes).
int connect_unix(const std::string& path);

/// Whether a socket with this name is listening in the network namespace of process `pid`. It is not connected to: a
/// server of a single connection (virtiofsd) would end with it.
bool is_listening(const std::string& path, pid_t pid);

/// Removes the sockets of a directory, but for `keep`.
void remove_sockets(const std::string& directory, const std::string& keep);

} // namespace microvmc::supervisor
