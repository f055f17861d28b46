// An EROFS image, as Linux' fs/erofs/erofs_fs.h describes it (Documentation/filesystems/erofs.rst).
//
// mkfs.erofs takes a directory, whose owners, devices and modes an ordinary user can't have as a tar archive says them;
// that it takes an archive is of erofs-utils 1.7, experimental, and by temporary files. Here the image is written once,
// as the archive is read:
//
//     block 0     1024 bytes for boot loaders, the superblock, the root's inode
//     blocks      in the order in which they fill: whole blocks of files' data, and blocks of inodes, each followed by
//     its
//                 extended attributes and the end of its data, when that fits beside them
//     at the end  directories' inodes and their entries
//
// A node's number (nid) is its inode's position in units of 32 bytes; the superblock has 16 bits for the root's, which
// is why that lies in block 0. Inodes are of the extended kind (64 bytes), which alone has times.

#include "runtime/root/erofs_writer.h"

#include "runtime/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>
#include <string>
#include <unistd.h>
#include <vector>

namespace microvmc {

namespace {

constexpr std::uint64_t block_size = 4096;
constexpr unsigned block_bits = 12;
constexpr std::uint64_t super_offset = 1024;
constexpr std::uint64_t super_size = 128;
constexpr std::uint64_t nid_unit = 32;
constexpr std::uint64_t inode_size = 64;
constexpr std::uint64_t dirent_size = 12;
constexpr std::uint32_t magic = 0xe0f5'e1e2;
constexpr std::uint32_t compat_mtime = 2;
constexpr std::size_t open_inode_blocks = 16;   ///< that are kept for inodes which fit
constexpr std::size_t most_xattrs = 0xffff * 4; // i_xattr_icount
constexpr std::string_view volume_name = "root";

enum class Layout : std::uint16_t { plain = 0, inline_tail = 2 }; // EROFS_INODE_FLAT_PLAIN, _INLINE

template <typename Number> void put(char* at, Number value) {
    for (std::size_t i = 0; i < sizeof value; ++i) {
        at[i] = static_cast<char>(static_cast<std::uint64_t>(value) >> 8 * i);
    }
}

constexpr std::uint64_t rounded_up(std::uint64_t value, std::uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

std::uint32_t file_type_bits(FileKind kind) {
    switch (kind) { // S_IFMT of inode(7)
    case FileKind::regular: return 0100000;
    case FileKind::directory: return 0040000;
    case FileKind::symlink: return 0120000;
    case FileKind::character_device: return 0020000;
    case FileKind::block_device: return 0060000;
    case FileKind::fifo: return 0010000;
    case FileKind::socket: return 0140000;
    }
    return 0;
}

std::uint8_t dirent_type(FileKind kind) {
    switch (kind) { // FT_* of linux/fs_types.h
    case FileKind::regular: return 1;
    case FileKind::directory: return 2;
    case FileKind::character_device: return 3;
    case FileKind::block_device: return 4;
    case FileKind::fifo: return 5;
    case FileKind::socket: return 6;
    case FileKind::symlink: return 7;
    }
    return 0;
}

struct Prefix {
    std::string_view text;
    std::uint8_t index;
    bool whole; ///< the prefix is all of the name
};
constexpr Prefix xattr_prefixes[] = {
    {"user.", 1, false},
    {"system.posix_acl_access", 2, true},
    {"system.posix_acl_default", 3, true},
    {"trusted.", 4, false},
    {"security.", 6, false},
};

const Prefix* prefix_of(std::string_view name) {
    const auto* const found = std::ranges::find_if(xattr_prefixes, [name](const Prefix& prefix) {
        return prefix.whole ? name == prefix.text : name.starts_with(prefix.text);
    });
    return found == std::end(xattr_prefixes) ? nullptr : found;
}

/// The attributes as they stand behind an inode; empty when there are none that EROFS has a form for.
std::string encoded(std::vector<Xattr> xattrs) {
    std::ranges::sort(xattrs, {}, &Xattr::name);
    std::string out(12, '\0'); // erofs_xattr_ibody_header: nothing shared
    for (const Xattr& xattr : xattrs) {
        const Prefix* const prefix = prefix_of(xattr.name);
        if (prefix == nullptr) { continue; }
        const std::string_view name = std::string_view(xattr.name).substr(prefix->text.size());
        if (name.size() > 255 || xattr.value.size() > 0xffff) {
            throw Error(fmt::format("the extended attribute {} is too long", xattr.name.substr(0, 64)));
        }
        out += static_cast<char>(name.size());
        out += static_cast<char>(prefix->index);
        out += static_cast<char>(xattr.value.size() & 0xff);
        out += static_cast<char>(xattr.value.size() >> 8);
        out.append(name).append(xattr.value);
        out.resize(rounded_up(out.size(), 4));
    }
    if (out.size() > most_xattrs) { throw Error("a file has more than 256 KiB of extended attributes"); }
    return out.size() == 12 ? std::string() : out;
}

/// The file, written mostly from front to back. What is never written is a hole.
class Output {
public:
    Output(int fd, std::uint64_t limit) : fd_(fd), limit_(limit) { buffer_.reserve(buffer_size); }

    /// Room for so many blocks, where there is none yet; its first block.
    std::uint64_t allocate(std::uint64_t blocks) {
        constexpr std::uint64_t most = 0xffff'ffff; // raw_blkaddr
        if (blocks > most - end_ || (end_ + blocks) * block_size > limit_) {
            throw Error(fmt::format("there is room for {} MiB, and it needs more", limit_ >> 20U), "free some space");
        }
        const std::uint64_t first = end_;
        end_ += blocks;
        return first;
    }

    void write(std::uint64_t offset, std::string_view bytes) {
        const std::uint64_t buffered = buffer_offset_ + buffer_.size();
        // A short gap is filled, where nothing can have been written yet.
        const std::uint64_t gap = offset - buffered;
        const bool goes_on = offset == buffered || (offset > buffered && gap < block_size && buffered == written_);
        if (!goes_on || buffer_.size() + gap + bytes.size() > buffer_size) {
            flush();
            buffer_offset_ = offset;
        } else {
            buffer_.resize(buffer_.size() + gap);
        }
        if (bytes.size() > buffer_size) {
            write_through(offset, bytes);
            buffer_offset_ = offset + bytes.size();
        } else {
            buffer_.append(bytes);
        }
        written_ = std::max(written_, offset + bytes.size());
    }

    /// All blocks that were allocated are there.
    void finish() {
        flush();
        if (::ftruncate(fd_, static_cast<off_t>(end_ * block_size)) != 0) { fail(); }
    }

    [[nodiscard]] std::uint64_t blocks() const { return end_; }

private:
    static constexpr std::size_t buffer_size = std::size_t{1} << 20U;

    [[noreturn]] static void fail() { throw Error(fmt::format("can't write the image: {}", std::strerror(errno))); }

    void flush() {
        write_through(buffer_offset_, buffer_);
        buffer_offset_ += buffer_.size();
        buffer_.clear();
    }

    void write_through(std::uint64_t offset, std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (written < 0 && errno == EINTR) { continue; }
            if (written < 0) { fail(); }
            bytes.remove_prefix(static_cast<std::size_t>(written));
            offset += static_cast<std::uint64_t>(written);
        }
    }

    int fd_;
    std::uint64_t limit_;       ///< bytes
    std::uint64_t end_ = 0;     ///< blocks
    std::uint64_t written_ = 0; ///< nothing was written from here on
    std::string buffer_;
    std::uint64_t buffer_offset_ = 0;
};

/// A block of inodes that is being filled.
struct InodeBlock {
    std::uint64_t block = 0;
    std::string bytes;

    [[nodiscard]] std::uint64_t room() const { return block_size - bytes.size(); }
};

/// What is said of an inode when it is written.
struct InodeFields {
    FileKind kind = FileKind::regular;
    Layout layout = Layout::plain;
    std::uint64_t size = 0;
    std::uint32_t union_field = 0; ///< first block of its data, or device number
    std::uint32_t number = 0;      ///< st_ino where that has 32 bits
    std::uint32_t links = 1;
};
constexpr std::size_t links_at = 44;

std::string encoded(const InodeFields& fields, const Attributes& attributes, std::string_view xattrs) {
    std::string out(inode_size, '\0');
    char* const at = out.data();
    put(at, static_cast<std::uint16_t>(1U | static_cast<unsigned>(fields.layout) << 1U)); // 1: extended
    put(at + 2, static_cast<std::uint16_t>(xattrs.empty() ? 0 : (xattrs.size() - 12) / 4 + 1));
    put(at + 4, static_cast<std::uint16_t>(file_type_bits(fields.kind) | (attributes.permissions & 07777U)));
    put(at + 8, fields.size);
    put(at + 16, fields.union_field);
    put(at + 20, fields.number);
    put(at + 24, attributes.uid);
    put(at + 28, attributes.gid);
    put(at + 32, attributes.mtime_s);
    put(at + 40, attributes.mtime_ns);
    put(at + links_at, fields.links);
    return out.append(xattrs);
}

/// Whether the end of the data fits in the inode's block, behind it and its attributes.
bool has_inline_tail(std::uint64_t head, std::uint64_t size) {
    const std::uint64_t tail = size % block_size;
    return tail != 0 && head + tail <= block_size;
}

class ErofsWriter final : public ImageWriter {
public:
    ErofsWriter(int fd, std::uint64_t limit, const std::array<std::uint8_t, 16>& uuid) : out_(fd, limit), uuid_(uuid) {
        out_.allocate(1);
    }

    NameTree::Inode add_file(const Attributes& attributes, std::uint64_t size, const Pieces& pieces) override {
        const std::string xattrs = encoded(attributes.xattrs);
        const bool inlined = has_inline_tail(inode_size + xattrs.size(), size);
        const std::uint64_t in_blocks = inlined ? size / block_size * block_size : size;
        const std::uint64_t blocks = rounded_up(in_blocks, block_size) / block_size;
        const std::uint64_t first = out_.allocate(blocks);
        std::string tail(size - in_blocks, '\0');
        while (const std::optional<Piece> piece = pieces()) {
            if (piece->offset > size || piece->bytes.size() > size - piece->offset) {
                throw Error("a file's data is longer than its size says");
            }
            const std::uint64_t before = piece->offset >= in_blocks
                                             ? 0
                                             : std::min<std::uint64_t>(piece->bytes.size(), in_blocks - piece->offset);
            if (before != 0) { out_.write(first * block_size + piece->offset, piece->bytes.substr(0, before)); }
            const std::string_view rest = piece->bytes.substr(before);
            if (!rest.empty()) {
                std::memcpy(tail.data() + (piece->offset + before - in_blocks), rest.data(), rest.size());
            }
        }
        return add({.kind = FileKind::regular,
                    .layout = inlined ? Layout::inline_tail : Layout::plain,
                    .size = size,
                    .union_field = static_cast<std::uint32_t>(blocks == 0 ? 0 : first)},
                   attributes, xattrs, tail);
    }

    NameTree::Inode add_symlink(const Attributes& attributes, std::string_view target) override {
        const std::string xattrs = encoded(attributes.xattrs);
        InodeFields fields{.kind = FileKind::symlink, .size = target.size()};
        if (has_inline_tail(inode_size + xattrs.size(), target.size())) {
            fields.layout = Layout::inline_tail;
        } else {
            const std::uint64_t block = out_.allocate(rounded_up(target.size(), block_size) / block_size);
            out_.write(block * block_size, target);
            fields.union_field = static_cast<std::uint32_t>(block);
            target = {};
        }
        return add(fields, attributes, xattrs, target);
    }

    NameTree::Inode add_special(const Attributes& attributes, FileKind kind, DeviceNumber device) override {
        const bool is_device = kind == FileKind::character_device || kind == FileKind::block_device;
        return add({.kind = kind, .union_field = is_device ? encoded(device) : 0}, attributes,
                   encoded(attributes.xattrs), {});
    }

    void finish(const NameTree& tree) override;

private:
    struct Inode {
        std::uint64_t nid = 0;
        FileKind kind = FileKind::regular;
    };
    struct Placed { ///< a directory
        std::uint64_t nid = 0;
        std::uint64_t first_block = 0;
        std::uint64_t size = 0;
        bool inlined = false;
        std::string xattrs;
    };

    NameTree::Inode add(InodeFields fields, const Attributes& attributes, std::string_view xattrs,
                        std::string_view tail) {
        const auto number = static_cast<NameTree::Inode>(inodes_.size());
        fields.number = number + 2; // 1: the root's
        const std::string head = encoded(fields, attributes, xattrs);
        inodes_.push_back({place(head, tail), fields.kind});
        return number;
    }

    /// Writes an inode; its nid.
    std::uint64_t place(std::string_view head, std::string_view tail) {
        const std::uint64_t size = head.size() + tail.size();
        if (size > block_size) { // by its attributes; there is no tail then
            const std::uint64_t block = out_.allocate(rounded_up(size, block_size) / block_size);
            out_.write(block * block_size, head);
            return block * block_size / nid_unit;
        }
        // The fullest that has room: what is left over is the least.
        auto best = open_.end();
        for (auto at = open_.begin(); at != open_.end(); ++at) {
            if (at->room() >= size && (best == open_.end() || at->room() < best->room())) { best = at; }
        }
        if (best == open_.end()) {
            if (open_.size() == open_inode_blocks) { close(std::ranges::min_element(open_, {}, &InodeBlock::room)); }
            open_.push_back({out_.allocate(1), {}});
            best = std::prev(open_.end());
        }
        const std::uint64_t nid = (best->block * block_size + best->bytes.size()) / nid_unit;
        best->bytes.append(head).append(tail);
        best->bytes.resize(rounded_up(best->bytes.size(), nid_unit));
        if (best->room() < inode_size) { close(best); }
        return nid;
    }

    void close(std::list<InodeBlock>::iterator block) {
        out_.write(block->block * block_size, block->bytes);
        open_.erase(block);
    }

    std::vector<Placed> place_directories(const NameTree::Layout& layout);
    void write_directory(const NameTree::Layout& layout, const std::vector<Placed>& placed, std::size_t number);
    void write_super(std::uint64_t inodes);

    Output out_;
    std::array<std::uint8_t, 16> uuid_;
    std::list<InodeBlock> open_;
    std::vector<Inode> inodes_;
};

/// A directory's names with those that it always has, in the order of their bytes.
template <typename Visit> void each_name(const NameTree::Layout& layout, std::uint32_t number, const Visit& visit) {
    const NameTree::Directory& directory = layout.directories[number];
    std::array<NameTree::Entry, 2> own{NameTree::Entry{".", true, number},
                                       NameTree::Entry{"..", true, directory.parent}};
    auto next = own.begin();
    for (std::uint32_t i = directory.first; i < directory.last; ++i) {
        for (; next != own.end() && next->name < layout.entries[i].name; ++next) { visit(*next); }
        visit(layout.entries[i]);
    }
    for (; next != own.end(); ++next) { visit(*next); }
}

/// Its size: whole blocks, each of entries that are followed by their names, and what the last one takes.
std::uint64_t directory_size(const NameTree::Layout& layout, std::uint32_t number) {
    std::uint64_t blocks = 0;
    std::uint64_t used = 0;
    each_name(layout, number, [&](const NameTree::Entry& entry) {
        const std::uint64_t size = dirent_size + entry.name.size();
        if (used + size > block_size) {
            ++blocks;
            used = 0;
        }
        used += size;
    });
    return blocks * block_size + used;
}

std::vector<ErofsWriter::Placed> ErofsWriter::place_directories(const NameTree::Layout& layout) {
    std::vector<Placed> placed(layout.directories.size());
    std::uint64_t used = super_offset + super_size;
    std::uint64_t at = 0;
    for (std::uint32_t i = 0; i < placed.size(); ++i) {
        Placed& directory = placed[i];
        directory.xattrs = encoded(layout.directories[i].attributes->xattrs);
        directory.size = directory_size(layout, i);
        const std::uint64_t head = inode_size + directory.xattrs.size();
        if (i == 0 && used + head > block_size) {
            throw Error("the root directory's extended attributes are too long");
        }
        // The root stays in block 0, whatever its size.
        directory.inlined = has_inline_tail(i == 0 ? used + head : head, directory.size);
        const std::uint64_t size = head + (directory.inlined ? directory.size % block_size : 0);
        if (used + size > block_size) {
            at = out_.allocate(rounded_up(size, block_size) / block_size);
            used = 0;
        }
        directory.nid = (at * block_size + used) / nid_unit;
        used = size > block_size ? block_size : rounded_up(used + size, nid_unit);
    }
    for (Placed& directory : placed) {
        const std::uint64_t blocks =
            directory.inlined ? directory.size / block_size : rounded_up(directory.size, block_size) / block_size;
        directory.first_block = out_.allocate(blocks);
    }
    return placed;
}

void ErofsWriter::write_directory(const NameTree::Layout& layout, const std::vector<Placed>& placed,
                                  std::size_t number) {
    const Placed& own = placed[number];
    std::string data;
    std::string dirents;
    std::string names;
    std::vector<std::size_t> starts; // of the names in this block
    data.reserve(own.size);
    const auto end_block = [&](bool last) {
        for (std::size_t i = 0; i * dirent_size < dirents.size(); ++i) {
            put(dirents.data() + i * dirent_size + 8, static_cast<std::uint16_t>(dirents.size() + starts[i]));
        }
        data.append(dirents).append(names);
        if (!last) { data.resize(rounded_up(data.size(), block_size)); }
        dirents.clear();
        names.clear();
        starts.clear();
    };
    each_name(layout, static_cast<std::uint32_t>(number), [&](const NameTree::Entry& entry) {
        if (dirents.size() + names.size() + dirent_size + entry.name.size() > block_size) { end_block(false); }
        char* const at = &*dirents.insert(dirents.end(), dirent_size, '\0');
        const Inode inode =
            entry.is_directory ? Inode{placed[entry.number].nid, FileKind::directory} : inodes_[entry.number];
        put(at, inode.nid);
        at[10] = static_cast<char>(dirent_type(inode.kind));
        starts.push_back(names.size());
        names.append(entry.name);
    });
    end_block(true);

    const NameTree::Directory& directory = layout.directories[number];
    const std::uint64_t in_blocks = own.inlined ? own.size / block_size * block_size : own.size;
    const InodeFields fields{.kind = FileKind::directory,
                             .layout = own.inlined ? Layout::inline_tail : Layout::plain,
                             .size = own.size,
                             .union_field = static_cast<std::uint32_t>(in_blocks == 0 ? 0 : own.first_block),
                             .number = number == 0 ? 1 : static_cast<std::uint32_t>(inodes_.size() + number + 1),
                             .links = directory.subdirectories + 2};
    out_.write(own.nid * nid_unit,
               encoded(fields, *directory.attributes, own.xattrs).append(std::string_view(data).substr(in_blocks)));
    if (in_blocks != 0) { out_.write(own.first_block * block_size, std::string_view(data).substr(0, in_blocks)); }
}

void ErofsWriter::write_super(std::uint64_t inodes) {
    std::string super(super_size, '\0');
    char* const at = super.data();
    put(at, magic);
    put(at + 8, compat_mtime);
    at[12] = static_cast<char>(block_bits);
    put(at + 14, static_cast<std::uint16_t>((super_offset + super_size) / nid_unit));
    put(at + 16, inodes);
    put(at + 36, static_cast<std::uint32_t>(out_.blocks()));
    std::ranges::copy(uuid_, at + 48);
    std::ranges::copy(volume_name, at + 64);
    out_.write(super_offset, super);
}

void ErofsWriter::finish(const NameTree& tree) {
    while (!open_.empty()) { close(open_.begin()); }
    const NameTree::Layout layout = tree.layout();
    for (std::size_t i = 0; i < layout.links.size(); ++i) {
        if (layout.links[i] == 1) { continue; }
        std::array<char, 4> links{};
        put(links.data(), layout.links[i]);
        out_.write(inodes_[i].nid * nid_unit + links_at, {links.data(), links.size()});
    }
    const std::vector<Placed> placed = place_directories(layout);
    for (std::size_t i = 0; i < placed.size(); ++i) { write_directory(layout, placed, i); }
    const auto used = std::ranges::count_if(layout.links, [](std::uint32_t links) { return links != 0; });
    write_super(placed.size() + static_cast<std::uint64_t>(used));
    out_.finish();
}

} // namespace

std::unique_ptr<ImageWriter> make_erofs_writer(int fd, std::uint64_t limit, const std::array<std::uint8_t, 16>& uuid) {
    return std::make_unique<ErofsWriter>(fd, limit, uuid);
}

} // namespace microvmc
