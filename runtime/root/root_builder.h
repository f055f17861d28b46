#pragma once

#include "runtime/root/image_writer.h"
#include "runtime/root/name_tree.h"

#include <string_view>

namespace microvmc {

/// A root's file system in the making: what a source (an archive, a directory) says, entry by entry, checked, and given
/// to the image. Paths are as NameTree takes them. All throw Error that names the entry.
class RootBuilder {
public:
    explicit RootBuilder(ImageWriter& writer) : writer_(writer) {}

    NameTree& names() { return names_; }

    void add_directory(std::string_view path, const Attributes& attributes);
    void add_file(std::string_view path, const Attributes& attributes, std::uint64_t size, const Pieces& pieces);
    void add_symlink(std::string_view path, const Attributes& attributes, std::string_view target);
    void add_special(std::string_view path, const Attributes& attributes, FileKind kind, DeviceNumber device);
    void add_link(std::string_view path, std::string_view target);

    /// Adds what every root needs for the kernel's file systems to be mounted on, and finishes the image.
    void finish();

private:
    ImageWriter& writer_;
    NameTree names_;
};

} // namespace microvmc
