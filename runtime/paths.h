#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace microvmc {

/// Where everything of ours lies, absolute.
struct Directories {
    std::string state;   ///< outlives boots: volumes, pinned kernels, records, caches
    std::string runtime; ///< of this boot: sockets, locks

    friend bool operator==(const Directories&, const Directories&) = default;
};

/// Looks up an environment variable; null when it isn't set.
using Environment = std::function<const char*(const char*)>;

/// Pure. Root: /var/lib/microvmc, /run/microvmc. A user: $XDG_STATE_HOME/microvmc (~/.local/state/microvmc) and
/// $XDG_RUNTIME_DIR/microvmc (/tmp/microvmc-UID), by the XDG Base Directory Specification, which has relative values
/// ignored. MICROVMC_STATE_DIR and MICROVMC_RUNTIME_DIR win; Error when one is not absolute.
Directories directories(std::uint32_t uid, const Environment& environment);
/// Of this process.
Directories directories();

/// Makes both (0700). Throws Error when the runtime directory is a symbolic link, another user's, or writable by
/// others: anyone can make names in /tmp.
void prepare_directories(const Directories& directories);

/// The guest's init and the supervisor's program: in $MICROVMC_LIBEXEC, where the build tree has them
/// (runtime/guest/microvmc-init, runtime/supervisor/microvmc-supervisor), or installed in ../libexec/microvmc. Throws
/// Error that says where it was looked for.
std::string guest_init_path();
std::string supervisor_path();
/// The testkit's program that reads disk images (disk_reader/microvmc-disk-reader), in the same way.
std::string disk_reader_path();

} // namespace microvmc
