#pragma once

#include "runtime/root/attributes.h"
#include "runtime/root/name_tree.h"

#include <cstdint>
#include <string_view>

namespace microvmc {

/// Writes a read-only file system to a file: the inodes as they come, the directories at the end. The same calls make
/// the same bytes. Each `add_` gives the inode, numbered from 0. All throw Error.
class ImageWriter {
public:
    ImageWriter() = default;
    virtual ~ImageWriter() = default;
    ImageWriter(const ImageWriter&) = delete;
    ImageWriter& operator=(const ImageWriter&) = delete;

    virtual NameTree::Inode add_file(const Attributes& attributes, std::uint64_t size, const Pieces& pieces) = 0;
    virtual NameTree::Inode add_symlink(const Attributes& attributes, std::string_view target) = 0;
    /// A device, a FIFO or a socket.
    virtual NameTree::Inode add_special(const Attributes& attributes, FileKind kind, DeviceNumber device) = 0;
    virtual void finish(const NameTree& tree) = 0;
};

} // namespace microvmc
