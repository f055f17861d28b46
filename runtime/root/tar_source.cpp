// libarchive reads the archive; nothing is unpacked to disk, so that no entry can write there.

#include "runtime/root/tar_source.h"

#include "compiler/text.h"
#include "runtime/error.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstring>
#include <memory>
#include <sys/types.h>
#include <unistd.h>
#include <vector>

namespace microvmc {

namespace {

using Reader = std::unique_ptr<archive, int (*)(archive*)>;

constexpr std::size_t read_size = std::size_t{1} << 18U;
constexpr std::int64_t tar_block = 512;
constexpr std::int64_t most_id = 0xffff'fffe; // -1 means "none" to chown(2)

/// libarchive takes names to be in the locale's encoding, and gives none that aren't. In this one they are bytes.
class Utf8Locale {
public:
    Utf8Locale() : ours_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)), before_(::uselocale(ours_)) {}
    ~Utf8Locale() {
        ::uselocale(before_);
        if (ours_ != nullptr) { ::freelocale(ours_); }
    }
    Utf8Locale(const Utf8Locale&) = delete;
    Utf8Locale& operator=(const Utf8Locale&) = delete;

private:
    locale_t ours_;
    locale_t before_;
};

[[noreturn]] void fail(archive* reader) {
    const char* const why = archive_error_string(reader);
    throw Error(why == nullptr ? "it can't be read" : printable(why));
}

/// What libarchive reads.
class PartReader {
public:
    explicit PartReader(const FilePart& part) : part_(part), buffer_(read_size) {}

    static la_ssize_t read(archive* reader, void* self, const void** bytes) {
        return static_cast<PartReader*>(self)->next(reader, bytes);
    }

private:
    la_ssize_t next(archive* reader, const void** bytes) {
        const std::size_t wanted = std::min<std::uint64_t>(buffer_.size(), part_.size - at_);
        const ssize_t got = ::pread(part_.fd, buffer_.data(), wanted, static_cast<off_t>(part_.offset + at_));
        if (got < 0) {
            archive_set_error(reader, errno, "%s", std::strerror(errno));
            return ARCHIVE_FATAL;
        }
        at_ += static_cast<std::uint64_t>(got);
        *bytes = buffer_.data();
        return got;
    }

    FilePart part_;
    std::vector<char> buffer_;
    std::uint64_t at_ = 0;
};

Reader open_reader(PartReader& part) {
    Reader reader(archive_read_new(), archive_read_free);
    archive* const raw = reader.get();
    archive_read_support_filter_gzip(raw);
    archive_read_support_filter_bzip2(raw);
    archive_read_support_filter_xz(raw);
    archive_read_support_filter_zstd(raw);
    archive_read_support_filter_lz4(raw);
    archive_read_support_format_tar(raw);
    if (archive_read_open(raw, &part, nullptr, PartReader::read, nullptr) != ARCHIVE_OK) { fail(raw); }
    return reader;
}

std::uint32_t id_of(std::int64_t id, std::string_view path) {
    if (id < 0 || id > most_id) { throw Error(fmt::format("the entry \"{}\" has the owner {}", printable(path), id)); }
    return static_cast<std::uint32_t>(id);
}

Attributes attributes_of(archive_entry* entry, std::string_view path) {
    Attributes attributes;
    attributes.permissions = archive_entry_perm(entry);
    attributes.uid = id_of(archive_entry_uid(entry), path);
    attributes.gid = id_of(archive_entry_gid(entry), path);
    attributes.mtime_s = archive_entry_mtime(entry);
    attributes.mtime_ns = static_cast<std::uint32_t>(archive_entry_mtime_nsec(entry));
    archive_entry_xattr_reset(entry);
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
        attributes.xattrs.push_back({name, std::string(static_cast<const char*>(value), size)});
    }
    return attributes;
}

Pieces pieces_of(archive* reader) {
    return [reader]() -> std::optional<Piece> {
        const void* bytes = nullptr;
        std::size_t size = 0;
        la_int64_t offset = 0;
        const int result = archive_read_data_block(reader, &bytes, &size, &offset);
        if (result == ARCHIVE_EOF) { return std::nullopt; }
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) { fail(reader); }
        if (offset < 0) { throw Error("its data is damaged"); }
        return Piece{static_cast<std::uint64_t>(offset), {static_cast<const char*>(bytes), size}};
    };
}

DeviceNumber device_of(archive_entry* entry) {
    return {static_cast<std::uint32_t>(archive_entry_rdevmajor(entry)),
            static_cast<std::uint32_t>(archive_entry_rdevminor(entry))};
}

/// Whether it was one, and is done.
bool take_whiteout(std::string_view path, NameTree& names) {
    constexpr std::string_view mark = ".wh.";
    const std::size_t slash = path.rfind('/');
    const std::string directory(slash == std::string_view::npos ? "" : path.substr(0, slash + 1));
    const std::string_view name = path.substr(directory.size());
    if (!name.starts_with(mark)) { return false; }
    const std::string_view what = name.substr(mark.size());
    if (what == ".wh..opq") {
        names.remove_entries(directory);
    } else if (!what.starts_with(mark)) { // those are a storage driver's own
        names.remove(directory + std::string(what));
    }
    return true;
}

void read_entry(archive* reader, archive_entry* entry, Layered layered, RootBuilder& root) {
    const char* const name = archive_entry_pathname(entry);
    if (name == nullptr) { throw Error("it has an entry without a name"); }
    const std::string_view path = name;
    if (layered == Layered::oci && take_whiteout(path, root.names())) { return; }
    if (const char* const target = archive_entry_hardlink(entry)) {
        root.add_link(path, target);
        return;
    }
    const Attributes attributes = attributes_of(entry, path);
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        if (archive_entry_size(entry) < 0) {
            throw Error(fmt::format("the entry \"{}\" has no size", printable(path)));
        }
        root.add_file(path, attributes, static_cast<std::uint64_t>(archive_entry_size(entry)), pieces_of(reader));
        return;
    case AE_IFDIR: root.add_directory(path, attributes); return;
    case AE_IFLNK: {
        const char* const target = archive_entry_symlink(entry);
        root.add_symlink(path, attributes, target == nullptr ? "" : target);
        return;
    }
    case AE_IFCHR: root.add_special(path, attributes, FileKind::character_device, device_of(entry)); return;
    case AE_IFBLK: root.add_special(path, attributes, FileKind::block_device, device_of(entry)); return;
    case AE_IFIFO: root.add_special(path, attributes, FileKind::fifo, {}); return;
    default: throw Error(fmt::format("the entry \"{}\" is of no known kind", printable(path)));
    }
}

} // namespace

void read_tar(const FilePart& archive_file, Layered layered, RootBuilder& root, const BytesRead& progress) {
    const Utf8Locale locale;
    PartReader part(archive_file);
    const Reader reader = open_reader(part);
    archive* const raw = reader.get();
    for (;;) {
        archive_entry* entry = nullptr;
        const int result = archive_read_next_header(raw, &entry);
        if (result == ARCHIVE_EOF) { break; }
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) { fail(raw); }
        read_entry(raw, entry, layered, root);
        progress(static_cast<std::uint64_t>(archive_filter_bytes(raw, -1)));
    }
    // An archive ends with blocks of zeros; one that was cut off between two entries doesn't.
    if (archive_filter_bytes(raw, 0) - archive_read_header_position(raw) < tar_block) { throw Error("it is cut off"); }
}

} // namespace microvmc
