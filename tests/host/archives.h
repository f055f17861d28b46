#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace microvmc {

/// One entry of a tar archive, made by hand: what no honest program makes is made here.
struct TarEntry {
    std::string name{};
    char type = '0'; ///< POSIX, pax: 0 file, 1 hard link, 2 symbolic link, 3 character device, 5 directory
    std::string content{};
    std::string link{};
    unsigned mode = 0644;
    unsigned uid = 0;
    unsigned gid = 0;
    unsigned major = 0;
    unsigned minor = 0;
    std::int64_t mtime = 1'700'000'000;
    std::int64_t size = -1; ///< that the header says; -1: the content's
};

/// The entry's blocks: its header (ustar; longer names by GNU's ././@LongLink), its content, padded.
std::string tar_entry(const TarEntry& entry);

/// What an archive ends with.
std::string tar_end();

/// A GNU sparse file of this size of which nothing is data.
std::string tar_hole(const std::string& name, std::uint64_t size);

} // namespace microvmc
