#pragma once

#include "runtime/fd.h"
#include "runtime/launch.h"

#include <cstdint>
#include <ctime>
#include <string>
#include <sys/types.h>
#include <vector>

// What a supervisor hands to the program that takes its place in the same process (reexec.h): all that is not in the
// kernel already. Only a machine that is up is handed over, with no client but the one that asked, so that there are no
// deadlines and no commands to tell of.

namespace microvmc::supervisor {

/// Raised whenever a field is added, removed or means something else: another version is refused, and the program that
/// runs goes on.
inline constexpr int handover_version = 3;

/// Bytes, which need not be text.
struct Bytes {
    std::string bytes;

    friend bool operator==(const Bytes&, const Bytes&) = default;
};

struct ConsoleHandover {
    int master = -1;
    int slave = -1;
    Bytes typed; ///< by clients, and not taken by the VMM yet
    Bytes history;
    Bytes panic_tail; ///< of the TextWatch
    Bytes ready_tail;
    bool panicking = false;
    bool panicked = false;

    friend bool operator==(const ConsoleHandover&, const ConsoleHandover&) = default;
};

struct AgentHandover {
    int socket = -1; ///< -1: it is being connected to
    Bytes unsent;
    Bytes partial; ///< a frame's beginning

    friend bool operator==(const AgentHandover&, const AgentHandover&) = default;
};

struct ChildHandover {
    pid_t pid = 0;
    bool alive = true;
    int wait_status = 0;
    int err = -1; ///< our end of its stderr; -1: closed
    Bytes words;

    friend bool operator==(const ChildHandover&, const ChildHandover&) = default;
};

struct CredentialHandover {
    std::string name;
    Bytes value;

    friend bool operator==(const CredentialHandover&, const CredentialHandover&) = default;
};

struct Handover {
    int version = handover_version;
    Launch launch;
    int lock = -1;
    std::vector<int> images; ///< the locked ones
    int control = -1;        ///< the listening control socket
    int client = -1;         ///< who asked for it, and is answered by the new program
    std::string cgroup;
    ConsoleHandover console;
    AgentHandover agent;
    std::vector<ChildHandover> children; ///< as Launch::children
    std::vector<CredentialHandover> credentials;
    std::uint32_t next_exec = 1; ///< a stream that the guest has not finished with must not be used again
    std::int64_t started = 0;    ///< unix seconds
    std::uint32_t reboots = 0;
    std::uint32_t restarts = 0; ///< by the supervisor
    std::uint32_t restarts_in_a_row = 0;
    End restart_after; ///< the end before the last of them
    std::string boot_id;
    bool agent_up = false;
    int agent_version = 0;
    bool ready = false;

    friend bool operator==(const Handover&, const Handover&) = default;
};

/// All descriptors that it names.
std::vector<int> descriptors_of(const Handover& handover);

/// A memfd with it. Throws Error.
Fd write_handover(const Handover& handover);

/// Reads one, and has its descriptors closed when a program is executed, as they were. Leaves the descriptor's position
/// alone. Throws Error when it is of another version, not whole, or names a descriptor that isn't open.
Handover read_handover(int fd);

} // namespace microvmc::supervisor
