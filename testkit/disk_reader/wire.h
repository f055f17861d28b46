#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// What microvm-test and the program that reads disks for it say to each other: that program links libguestfs and its
// sixty libraries, which nothing else needs.
//
// Standard input: strings, each with a zero byte after it (a path has none): a directory for temporary files, "tcg" or
// "", the limit of a file's bytes, the milliseconds it may take, and then for each request its image, format, file
// system, path and fact. Standard output: messages "WORD NUMBER LENGTH\n" with as many bytes after it.

namespace microvmc::testkit::disk_wire {

inline constexpr std::string_view content = "content"; ///< the answer to request NUMBER
inline constexpr std::string_view problem = "problem"; ///< why request NUMBER has none, for people
inline constexpr std::string_view started = "started"; ///< images can be read; comes again after one that was fatal
inline constexpr std::string_view unable = "unable";   ///< why nothing can be read, for people

inline constexpr std::string_view too_long = "it was not read in time";

inline constexpr std::size_t fields = 5; ///< of a request

} // namespace microvmc::testkit::disk_wire
