#pragma once

#include "compiler/facts.h"
#include "runtime/fd.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Files that appear whole or not at all. Whoever is killed at whatever moment leaves the old file or the new one, and
// at most a `.NAME.part` beside it, which the next writer of that file, or `sweep_parts`, takes away.

namespace microvmc {

/// How a file that isn't there yet is kept out of sight while it is written.
enum class Unfinished {
    unnamed, ///< O_TMPFILE (open(2)) where the file system has it: a kill leaves nothing; else as `named`
    named,   ///< `.NAME.part`, locked (flock) by its writer; for file systems without O_TMPFILE (NFS, 9p)
};

/// Whether a file has to outlive a power cut.
enum class Sync { to_disk, whenever };

/// A file being made in the directory of `path`. Gone unless published.
class NewFile {
public:
    /// Throws Error when it can't be made. Its mode is `mode`, whatever the umask.
    NewFile(std::string path, std::uint32_t mode, Unfinished unfinished = Unfinished::unnamed);
    ~NewFile();
    NewFile(const NewFile&) = delete;
    NewFile& operator=(const NewFile&) = delete;

    [[nodiscard]] int fd() const { return fd_.get(); }
    void write(std::string_view bytes);
    /// Gives the file its name, in place of what has it now. Data, then name, are on disk when it returns, unless that
    /// doesn't matter.
    void replace(Sync sync_it = Sync::to_disk);
    /// Gives the file its name unless something has it already: then false, and the file is dropped. On disk, too.
    bool publish();

private:
    void sync();
    bool link_to(const std::string& name);

    std::string path_;
    std::string directory_;
    std::string part_; ///< the temporary name while it exists
    Fd fd_;
};

/// Writes a whole file (mode exactly `mode`), in place of what was there. Throws Error.
void write_whole(const std::string& path, std::string_view content, std::uint32_t mode);

/// The bytes of a regular file; nothing when there is no such file. Throws Error when it can't be read, is something
/// else than a regular file (never blocks on a FIFO), or has more than `limit` bytes.
std::optional<std::string> read_file(const std::string& path, std::size_t limit = std::size_t{64} << 20U);

/// Device, inode, mtime and size of what `path` names, symbolic links followed; nothing when there is nothing.
std::optional<FileIdentity> file_identity(const std::string& path);

/// `mkdir -p`: directories that are missing get `mode`, less the umask. Throws Error.
void make_directories(const std::string& path, std::uint32_t mode);

/// Removes a file, or a directory with everything in it, its files before its directories; nothing there is fine. Never
/// follows a symbolic link, and refuses (throws Error, that part untouched) to go into a mount point, so that what is
/// mounted is never deleted.
void remove_tree(const std::string& path);

/// Removes the `.NAME.part` leftovers of a directory that nobody is writing.
void sweep_parts(const std::string& directory);

/// Forces a directory with everything in it to disk. Throws Error when a part of it can't be.
void sync_tree(const std::string& path);

/// Forces the directory's entries to disk; fsync(2).
void sync_directory(const std::string& path);

} // namespace microvmc
