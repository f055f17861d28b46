// A squashfs image by libsquashfs (squashfs-tools-ng), which takes files as they come and makes the same image of them
// however many threads compress. mksquashfs would do from a tar archive, but not with what RootBuilder makes of one.

#include "runtime/root/squashfs_writer.h"

#include "runtime/error.h"

#include <sqfs/block_processor.h>
#include <sqfs/block_writer.h>
#include <sqfs/compressor.h>
#include <sqfs/dir_writer.h>
#include <sqfs/error.h>
#include <sqfs/frag_table.h>
#include <sqfs/id_table.h>
#include <sqfs/inode.h>
#include <sqfs/io.h>
#include <sqfs/meta_writer.h>
#include <sqfs/predef.h>
#include <sqfs/super.h>
#include <sqfs/xattr_writer.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <thread>
#include <vector>

namespace microvmc {

namespace {

constexpr std::size_t block_size = SQFS_DEFAULT_BLOCK_SIZE;
constexpr std::size_t sector_size = 4096; ///< what the image's size is rounded up to
constexpr std::uint32_t zstd_level = 3;
constexpr std::uint32_t no_xattrs = 0xffff'ffff;

template <typename T> struct Destroy {
    void operator()(T* object) const { sqfs_destroy(object); }
};
template <typename T> using Object = std::unique_ptr<T, Destroy<T>>;

struct FreeInode {
    void operator()(sqfs_inode_generic_t* inode) const { sqfs_free(inode); }
};
using InodePointer = std::unique_ptr<sqfs_inode_generic_t, FreeInode>;

const char* text_of(int error) {
    switch (error) {
    case SQFS_ERROR_ALLOC: return "no memory is left";
    case SQFS_ERROR_IO: return std::strerror(errno);
    case SQFS_ERROR_OVERFLOW: return "there is too much of it for squashfs";
    default: return "squashfs can't say it";
    }
}

void check(int result) {
    if (result < 0) { throw Error(fmt::format("can't write the image: {}", text_of(result))); }
}

template <typename T> Object<T> made(T* object) {
    if (object == nullptr) { throw Error("can't write the image: no memory is left"); }
    return Object<T>(object);
}

/// libsquashfs has no case for system.*, and refuses what it doesn't know.
bool is_wanted(std::string_view xattr) {
    return xattr.starts_with("user.") || xattr.starts_with("trusted.") || xattr.starts_with("security.");
}

std::uint16_t type_of(FileKind kind) {
    switch (kind) {
    case FileKind::regular: return SQFS_INODE_FILE;
    case FileKind::directory: return SQFS_INODE_DIR;
    case FileKind::symlink: return SQFS_INODE_SLINK;
    case FileKind::character_device: return SQFS_INODE_CDEV;
    case FileKind::block_device: return SQFS_INODE_BDEV;
    case FileKind::fifo: return SQFS_INODE_FIFO;
    case FileKind::socket: return SQFS_INODE_SOCKET;
    }
    return 0;
}

std::uint16_t mode_of(FileKind kind, std::uint32_t permissions) {
    const auto mode = static_cast<std::uint16_t>(permissions & 07777U);
    switch (kind) {
    case FileKind::regular: return mode | SQFS_INODE_MODE_REG;
    case FileKind::directory: return mode | SQFS_INODE_MODE_DIR;
    case FileKind::symlink: return mode | SQFS_INODE_MODE_LNK;
    case FileKind::character_device: return mode | SQFS_INODE_MODE_CHR;
    case FileKind::block_device: return mode | SQFS_INODE_MODE_BLK;
    case FileKind::fifo: return mode | SQFS_INODE_MODE_FIFO;
    case FileKind::socket: return mode | SQFS_INODE_MODE_SOCK;
    }
    return mode;
}

/// An inode without what only the library fills in.
InodePointer make_inode(FileKind kind, std::string_view target) {
    const std::size_t size = sizeof(sqfs_inode_generic_t) + target.size() + 1;
    auto* const inode = static_cast<sqfs_inode_generic_t*>(std::calloc(1, size)); // sqfs_free is free
    if (inode == nullptr) { throw std::bad_alloc(); }
    inode->base.type = type_of(kind);
    if (kind == FileKind::symlink) {
        inode->data.slink.target_size = static_cast<sqfs_u32>(target.size());
        std::memcpy(inode->extra, target.data(), target.size());
    }
    return InodePointer(inode);
}

void set_links(sqfs_inode_generic_t& inode, FileKind kind, std::uint32_t links) {
    switch (kind) {
    case FileKind::regular:
        if (links > 1 || inode.base.type == SQFS_INODE_EXT_FILE) {
            check(sqfs_inode_make_extended(&inode));
            inode.data.file_ext.nlink = links;
        }
        return;
    case FileKind::directory:
        (inode.base.type == SQFS_INODE_EXT_DIR ? inode.data.dir_ext.nlink : inode.data.dir.nlink) = links;
        return;
    // The number of links comes first in all of these, extended or not.
    case FileKind::symlink: inode.data.slink.nlink = links; return;
    case FileKind::character_device:
    case FileKind::block_device: inode.data.dev.nlink = links; return;
    case FileKind::fifo:
    case FileKind::socket: inode.data.ipc.nlink = links; return;
    }
}

class SquashfsWriter final : public ImageWriter {
public:
    SquashfsWriter(int fd, std::uint64_t limit);

    NameTree::Inode add_file(const Attributes& attributes, std::uint64_t size, const Pieces& pieces) override {
        if (size > limit_ - bytes_) {
            throw Error(fmt::format("there is room for {} MiB, and it needs more", limit_ >> 20U), "free some space");
        }
        bytes_ += size;
        Inode& inode = inodes_.emplace_back();
        keep(inode, FileKind::regular, attributes);
        check(sqfs_block_processor_begin_file(data_.get(), &inode.of_file, nullptr, 0));
        std::uint64_t at = 0;
        while (const std::optional<Piece> piece = pieces()) {
            if (piece->offset < at || piece->offset > size || piece->bytes.size() > size - piece->offset) {
                throw Error("a file's data is not as its size says");
            }
            fill(piece->offset - at);
            check(sqfs_block_processor_append(data_.get(), piece->bytes.data(), piece->bytes.size()));
            at = piece->offset + piece->bytes.size();
        }
        fill(size - at);
        check(sqfs_block_processor_end_file(data_.get()));
        return number();
    }

    NameTree::Inode add_symlink(const Attributes& attributes, std::string_view target) override {
        Inode& inode = inodes_.emplace_back();
        keep(inode, FileKind::symlink, attributes);
        inode.other = make_inode(FileKind::symlink, target);
        return number();
    }

    NameTree::Inode add_special(const Attributes& attributes, FileKind kind, DeviceNumber device) override {
        Inode& inode = inodes_.emplace_back();
        keep(inode, kind, attributes);
        inode.other = make_inode(kind, {});
        if (kind == FileKind::character_device || kind == FileKind::block_device) {
            inode.other->data.dev.devno = encoded(device);
        }
        return number();
    }

    void finish(const NameTree& tree) override;

    ~SquashfsWriter() override {
        data_.reset(); // its threads have our inodes
        for (const Inode& inode : inodes_) { sqfs_free(inode.of_file); }
    }

private:
    struct Inode {
        FileKind kind = FileKind::regular;
        std::uint32_t permissions = 0;
        std::uint16_t uid = 0; ///< in the table of ids
        std::uint16_t gid = 0;
        std::uint32_t mtime = 0;
        std::uint32_t xattrs = no_xattrs;
        std::uint32_t number = 0;                ///< st_ino
        std::uint64_t reference = 0;             ///< where it was written
        sqfs_inode_generic_t* of_file = nullptr; ///< the block processor's, which writes to it until it is finished
        InodePointer other;
    };

    [[nodiscard]] NameTree::Inode number() const { return static_cast<NameTree::Inode>(inodes_.size() - 1); }
    void keep(Inode& inode, FileKind kind, const Attributes& attributes);
    void fill(std::uint64_t zeros);
    void write_inode(Inode& inode, sqfs_inode_generic_t& written, std::uint32_t links);
    void write_directory(const NameTree::Layout& layout, std::vector<Inode>& directories, std::size_t index);

    Object<sqfs_file_t> file_;
    Object<sqfs_compressor_t> compressor_;
    Object<sqfs_compressor_t> uncompressor_;
    Object<sqfs_block_writer_t> blocks_;
    Object<sqfs_frag_table_t> fragments_;
    Object<sqfs_id_table_t> ids_;
    Object<sqfs_xattr_writer_t> xattrs_;
    Object<sqfs_block_processor_t> data_;
    Object<sqfs_meta_writer_t> inode_table_;
    Object<sqfs_meta_writer_t> directory_table_;
    Object<sqfs_dir_writer_t> directory_writer_;
    sqfs_super_t super_{};
    std::uint64_t limit_;
    std::uint64_t bytes_ = 0;
    std::deque<Inode> inodes_; ///< a deque: the block processor keeps addresses in it
};

Object<sqfs_compressor_t> make_compressor(std::uint16_t flags) {
    sqfs_compressor_config_t config{};
    check(sqfs_compressor_config_init(&config, SQFS_COMP_ZSTD, block_size, flags));
    config.level = zstd_level;
    sqfs_compressor_t* made = nullptr;
    check(sqfs_compressor_create(&config, &made));
    return Object<sqfs_compressor_t>(made);
}

SquashfsWriter::SquashfsWriter(int fd, std::uint64_t limit) : limit_(limit) {
    file_ = made(sqfs_open_file(fmt::format("/proc/self/fd/{}", fd).c_str(), SQFS_FILE_OPEN_OVERWRITE));
    compressor_ = make_compressor(0);
    uncompressor_ = make_compressor(SQFS_COMP_FLAG_UNCOMPRESS);
    check(sqfs_super_init(&super_, block_size, 0, SQFS_COMP_ZSTD));
    check(sqfs_super_write(&super_, file_.get()));
    const int options = compressor_->write_options(compressor_.get(), file_.get());
    check(options);
    if (options > 0) { super_.flags |= SQFS_FLAG_COMPRESSOR_OPTIONS; }

    blocks_ = made(sqfs_block_writer_create(file_.get(), sector_size, 0));
    fragments_ = made(sqfs_frag_table_create(0));
    ids_ = made(sqfs_id_table_create(0));
    xattrs_ = made(sqfs_xattr_writer_create(0));
    sqfs_block_processor_desc_t description{};
    description.size = sizeof description;
    description.max_block_size = block_size;
    description.num_workers = std::clamp(std::thread::hardware_concurrency(), 1U, 16U);
    description.max_backlog = description.num_workers * 8; // blocks in memory
    description.cmp = compressor_.get();
    description.wr = blocks_.get();
    description.tbl = fragments_.get();
    description.file = file_.get(); // fragments are compared, not only their hashes
    description.uncmp = uncompressor_.get();
    sqfs_block_processor_t* processor = nullptr;
    check(sqfs_block_processor_create_ex(&description, &processor));
    data_.reset(processor);
}

void SquashfsWriter::keep(Inode& inode, FileKind kind, const Attributes& attributes) {
    inode.kind = kind;
    inode.permissions = attributes.permissions;
    inode.mtime = static_cast<std::uint32_t>(std::clamp<std::int64_t>(attributes.mtime_s, 0, UINT32_MAX));
    check(sqfs_id_table_id_to_index(ids_.get(), attributes.uid, &inode.uid));
    check(sqfs_id_table_id_to_index(ids_.get(), attributes.gid, &inode.gid));
    if (std::ranges::none_of(attributes.xattrs, is_wanted, &Xattr::name)) { return; }
    check(sqfs_xattr_writer_begin(xattrs_.get(), 0));
    for (const Xattr& xattr : attributes.xattrs) {
        if (!is_wanted(xattr.name)) { continue; }
        check(sqfs_xattr_writer_add(xattrs_.get(), xattr.name.c_str(), xattr.value.data(), xattr.value.size()));
    }
    check(sqfs_xattr_writer_end(xattrs_.get(), &inode.xattrs));
}

void SquashfsWriter::fill(std::uint64_t zeros) {
    static constexpr std::array<char, 65536> some{};
    while (zeros != 0) {
        const std::size_t now = std::min<std::uint64_t>(zeros, some.size());
        check(sqfs_block_processor_append(data_.get(), some.data(), now));
        zeros -= now;
    }
}

void SquashfsWriter::write_inode(Inode& inode, sqfs_inode_generic_t& written, std::uint32_t links) {
    if (inode.xattrs != no_xattrs) { check(sqfs_inode_set_xattr_index(&written, inode.xattrs)); }
    set_links(written, inode.kind, links);
    written.base.mode = mode_of(inode.kind, inode.permissions);
    written.base.uid_idx = inode.uid;
    written.base.gid_idx = inode.gid;
    written.base.mod_time = inode.mtime;
    written.base.inode_number = inode.number;
    sqfs_u64 block = 0;
    sqfs_u32 offset = 0;
    sqfs_meta_writer_get_position(inode_table_.get(), &block, &offset);
    inode.reference = block << 16U | offset;
    check(sqfs_meta_writer_write_inode(inode_table_.get(), &written));
}

/// Its entries are written by then.
void SquashfsWriter::write_directory(const NameTree::Layout& layout, std::vector<Inode>& directories,
                                     std::size_t index) {
    const NameTree::Directory& directory = layout.directories[index];
    check(sqfs_dir_writer_begin(directory_writer_.get(), 0));
    for (std::uint32_t i = directory.first; i < directory.last; ++i) {
        const NameTree::Entry& entry = layout.entries[i];
        const Inode& inode = entry.is_directory ? directories[entry.number] : inodes_[entry.number];
        check(sqfs_dir_writer_add_entry(directory_writer_.get(), std::string(entry.name).c_str(), inode.number,
                                        inode.reference, mode_of(inode.kind, 0)));
    }
    check(sqfs_dir_writer_end(directory_writer_.get()));
    Inode& own = directories[index];
    const InodePointer written(
        sqfs_dir_writer_create_inode(directory_writer_.get(), 0, own.xattrs, directories[directory.parent].number));
    if (!written) { check(SQFS_ERROR_ALLOC); }
    own.xattrs = no_xattrs; // it has them
    write_inode(own, *written, directory.subdirectories + 2);
}

void SquashfsWriter::finish(const NameTree& tree) {
    check(sqfs_block_processor_finish(data_.get()));
    const NameTree::Layout layout = tree.layout();
    std::vector<Inode> directories(layout.directories.size());
    std::uint32_t written = 0; // and numbered, from 1 on
    for (std::size_t i = 0; i < directories.size(); ++i) {
        keep(directories[i], FileKind::directory, *layout.directories[i].attributes);
        directories[i].number = ++written;
    }

    inode_table_ = made(sqfs_meta_writer_create(file_.get(), compressor_.get(), 0));
    directory_table_ = made(sqfs_meta_writer_create(file_.get(), compressor_.get(), SQFS_META_WRITER_KEEP_IN_MEMORY));
    directory_writer_ = made(sqfs_dir_writer_create(directory_table_.get(), 0));
    super_.inode_table_start = file_->get_size(file_.get());
    for (std::size_t i = 0; i < layout.links.size(); ++i) {
        if (layout.links[i] == 0) { continue; } // another took its name
        Inode& inode = inodes_[i];
        sqfs_inode_generic_t* const raw = inode.of_file != nullptr ? inode.of_file : inode.other.get();
        inode.number = ++written;
        write_inode(inode, *raw, layout.links[i]);
    }
    // What is in a directory before itself.
    for (std::size_t i = directories.size(); i-- > 0;) { write_directory(layout, directories, i); }
    check(sqfs_meta_writer_flush(inode_table_.get()));
    check(sqfs_meta_writer_flush(directory_table_.get()));

    super_.inode_count = written;
    super_.root_inode_ref = directories.front().reference;
    super_.directory_table_start = file_->get_size(file_.get());
    check(sqfs_meta_write_write_to_file(directory_table_.get()));
    check(sqfs_frag_table_write(fragments_.get(), file_.get(), &super_, compressor_.get()));
    check(sqfs_id_table_write(ids_.get(), file_.get(), &super_, compressor_.get()));
    check(sqfs_xattr_writer_flush(xattrs_.get(), file_.get(), &super_, compressor_.get()));
    super_.bytes_used = file_->get_size(file_.get());
    check(sqfs_super_write(&super_, file_.get()));
    check(file_->truncate(file_.get(), (super_.bytes_used + sector_size - 1) / sector_size * sector_size));
}

} // namespace

std::unique_ptr<ImageWriter> make_squashfs_writer(int fd, std::uint64_t limit) {
    return std::make_unique<SquashfsWriter>(fd, limit);
}

} // namespace microvmc
