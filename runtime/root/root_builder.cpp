#include "runtime/root/root_builder.h"

#include "compiler/text.h"
#include "runtime/error.h"

#include <fmt/format.h>

#include <climits>

namespace microvmc {

namespace {

// MAJOR and MINOR of Linux' dev_t, include/linux/kdev_t.h.
constexpr std::uint32_t most_major = 0xfff;
constexpr std::uint32_t most_minor = 0xf'ffff;

/// Adds to an error which entry it is about.
template <typename Work> void about(std::string_view path, const Work& work) {
    try {
        work();
    } catch (const Error& error) {
        throw Error(fmt::format("the entry \"{}\": {}", printable(path.substr(0, PATH_MAX)), error.what()), error.help);
    }
}

} // namespace

void RootBuilder::add_directory(std::string_view path, const Attributes& attributes) {
    names_.set_directory(path, attributes);
}

void RootBuilder::add_file(std::string_view path, const Attributes& attributes, std::uint64_t size,
                           const Pieces& pieces) {
    const NameTree::Node node = names_.claim(path);
    about(path, [&] { names_.set_inode(node, writer_.add_file(attributes, size, pieces)); });
}

void RootBuilder::add_symlink(std::string_view path, const Attributes& attributes, std::string_view target) {
    const NameTree::Node node = names_.claim(path);
    about(path, [&] {
        if (target.empty() || target.size() >= PATH_MAX) {
            throw Error(fmt::format("a symbolic link's target has 1 to {} bytes", PATH_MAX - 1));
        }
        names_.set_inode(node, writer_.add_symlink(attributes, target));
    });
}

void RootBuilder::add_special(std::string_view path, const Attributes& attributes, FileKind kind, DeviceNumber device) {
    const NameTree::Node node = names_.claim(path);
    about(path, [&] {
        if (device.major > most_major || device.minor > most_minor) {
            throw Error(fmt::format("Linux has no device {}:{}", device.major, device.minor));
        }
        names_.set_inode(node, writer_.add_special(attributes, kind, device));
    });
}

void RootBuilder::add_link(std::string_view path, std::string_view target) {
    names_.set_link(path, target);
}

void RootBuilder::finish() {
    for (const char* name : {"dev", "proc", "run", "sys", "tmp"}) {
        Attributes attributes;
        if (std::string_view(name) == "tmp") { attributes.permissions = 01777; }
        if (!names_.exists(name)) { names_.set_directory(name, attributes); }
    }
    writer_.finish(names_);
}

} // namespace microvmc
