#include "runtime/guest/mount_options.h"

#include "runtime/guest/text.h"

#include <sys/mount.h>

namespace microvmc::guest {

namespace {

struct Word {
    std::string_view text;
    unsigned long set;
    unsigned long clear;
};

constexpr unsigned long atime_flags = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;

constexpr Word words[] = {
    {"defaults", 0, 0},
    {"ro", MS_RDONLY, 0},
    {"rw", 0, MS_RDONLY},
    {"nosuid", MS_NOSUID, 0},
    {"suid", 0, MS_NOSUID},
    {"nodev", MS_NODEV, 0},
    {"dev", 0, MS_NODEV},
    {"noexec", MS_NOEXEC, 0},
    {"exec", 0, MS_NOEXEC},
    {"sync", MS_SYNCHRONOUS, 0},
    {"async", 0, MS_SYNCHRONOUS},
    {"dirsync", MS_DIRSYNC, 0},
    {"noatime", MS_NOATIME, atime_flags},
    {"relatime", MS_RELATIME, atime_flags},
    {"strictatime", MS_STRICTATIME, atime_flags},
    {"nodiratime", MS_NODIRATIME, 0},
    {"diratime", 0, MS_NODIRATIME},
    {"lazytime", MS_LAZYTIME, 0},
    {"nolazytime", 0, MS_LAZYTIME},
};

const Word* find_word(std::string_view text) {
    for (const auto& word : words) {
        if (word.text == text) { return &word; }
    }
    return nullptr;
}

} // namespace

MountOptions parse_mount_options(std::string_view text) {
    MountOptions options;
    for (const auto option : split(text, ',')) {
        if (const Word* word = find_word(option)) {
            options.flags = (options.flags & ~word->clear) | word->set;
            continue;
        }
        if (!options.data.empty()) { options.data.push_back(','); }
        options.data.append(option);
    }
    return options;
}

} // namespace microvmc::guest
