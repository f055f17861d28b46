#include "runtime/cpio.h"

#include "runtime/error.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <memory>
#include <sys/stat.h>

namespace microvmc {

namespace {

using Writer = std::unique_ptr<archive, int (*)(archive*)>;
using Entry = std::unique_ptr<archive_entry, void (*)(archive_entry*)>;

void check(int result, archive* writer) {
    if (result == ARCHIVE_OK) { return; }
    const char* why = archive_error_string(writer);
    throw Error(fmt::format("can't make the initramfs: {}", why == nullptr ? "libarchive failed" : why));
}

la_ssize_t append(archive*, void* out, const void* bytes, size_t size) {
    static_cast<std::string*>(out)->append(static_cast<const char*>(bytes), size);
    return static_cast<la_ssize_t>(size);
}

Entry make_entry(const CpioEntry& from) {
    Entry entry(archive_entry_new(), archive_entry_free);
    archive_entry* const to = entry.get();
    archive_entry_set_pathname(to, from.path.c_str());
    archive_entry_set_perm(to, from.mode);
    archive_entry_set_nlink(to, 1);
    archive_entry_set_mtime(to, 0, 0);
    archive_entry_set_size(to, 0);
    switch (from.kind) {
    case CpioEntry::Kind::directory: archive_entry_set_filetype(to, AE_IFDIR); break;
    case CpioEntry::Kind::file:
        archive_entry_set_filetype(to, AE_IFREG);
        archive_entry_set_size(to, static_cast<la_int64_t>(from.content.size()));
        break;
    case CpioEntry::Kind::symlink:
        archive_entry_set_filetype(to, AE_IFLNK);
        archive_entry_set_symlink(to, from.content.c_str());
        break;
    case CpioEntry::Kind::character_device:
        archive_entry_set_filetype(to, AE_IFCHR);
        archive_entry_set_rdevmajor(to, from.major);
        archive_entry_set_rdevminor(to, from.minor);
        break;
    }
    return entry;
}

/// Bytes of the member that ends an archive: header, "TRAILER!!!" and its NUL, padded to four.
constexpr std::size_t trailer_size = 124;

} // namespace

std::string cpio_archive(const std::vector<CpioEntry>& entries, bool with_trailer) {
    std::string out;
    const Writer writer(archive_write_new(), archive_write_free);
    archive* const raw = writer.get();
    check(archive_write_set_format_cpio_newc(raw), raw);
    check(archive_write_add_filter_none(raw), raw);
    check(archive_write_set_bytes_per_block(raw, 0), raw);
    check(archive_write_open(raw, &out, nullptr, append, nullptr), raw);
    for (const CpioEntry& from : entries) {
        const Entry entry = make_entry(from);
        check(archive_write_header(raw, entry.get()), raw);
        if (from.kind == CpioEntry::Kind::file && !from.content.empty() &&
            archive_write_data(raw, from.content.data(), from.content.size()) < 0) {
            check(ARCHIVE_FATAL, raw);
        }
    }
    check(archive_write_close(raw), raw);
    if (with_trailer) { return out; }
    const std::size_t trailer = out.rfind("070701");
    if (trailer == std::string::npos || out.size() - trailer != trailer_size) {
        throw Error("can't make the initramfs: its archive doesn't end as newc archives do");
    }
    out.resize(trailer);
    return out;
}

} // namespace microvmc
