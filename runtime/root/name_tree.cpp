#include "runtime/root/name_tree.h"

#include "compiler/text.h"
#include "runtime/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <functional>
#include <tuple>

namespace microvmc {

namespace {

constexpr std::size_t max_name = 255;                               // NAME_MAX
constexpr std::size_t max_path = PATH_MAX - 1;                      // less its NUL
constexpr std::size_t max_directories = 262'144;                    // each keeps its attributes until the end
constexpr std::size_t max_directory_xattrs = std::size_t{8} << 20U; // bytes of all of them

/// The names that a path consists of; none: the root.
std::vector<std::string_view> split_path(std::string_view path) {
    const auto refuse = [path](const std::string& why, const std::string& help = {}) {
        throw Error(fmt::format("the entry \"{}\" {}", printable(path.substr(0, max_path)), why), help);
    };
    if (path.starts_with('/')) {
        refuse("has an absolute path", "make the archive of a directory's content: tar -C DIRECTORY -cf FILE .");
    }
    if (path.size() > max_path) {
        refuse(fmt::format("has a path of {} bytes, and {} are the most", path.size(), max_path));
    }
    std::vector<std::string_view> names;
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view name = path.substr(begin, end - begin);
        begin = end + 1;
        if (name.empty() || name == ".") { continue; }
        if (name == "..") { refuse("leads out of the root"); }
        if (name.size() > max_name) {
            refuse(fmt::format("has a name of {} bytes, and {} are the most", name.size(), max_name));
        }
        names.push_back(name);
    }
    return names;
}

[[noreturn]] void fail(std::string_view path, std::string_view why) {
    throw Error(fmt::format("the entry \"{}\" {}", printable(path), why));
}

} // namespace

std::size_t NameTree::Hash::operator()(const Key& key) const {
    return std::hash<std::string_view>{}(key.text) ^ (key.parent * std::size_t{0x9e37'79b9'7f4a'7c15});
}

std::size_t NameTree::Hash::operator()(Node node) const {
    const Name& name = (*names)[node];
    return (*this)(Key{name.parent, name.text});
}

bool NameTree::Same::operator()(const Key& key, Node node) const {
    const Name& name = (*names)[node];
    return name.parent == key.parent && name.text == key.text;
}

NameTree::NameTree() : index_(0, Hash{&names_}, Same{&names_}) {
    names_.emplace_back();
    make_directory(root, {});
}

std::optional<NameTree::Node> NameTree::find(Node parent, std::string_view text) const {
    const auto found = index_.find(Key{parent, text});
    return found == index_.end() ? std::nullopt : std::optional(*found);
}

std::optional<NameTree::Node> NameTree::find(std::string_view path) const {
    std::optional<Node> node = root;
    for (const std::string_view name : split_path(path)) {
        if (node) { node = find(*node, name); }
    }
    return node;
}

NameTree::Node NameTree::make(Node parent, std::string_view text) {
    if (names_.size() >= max_names || text_bytes_ + text.size() > max_name_bytes) {
        throw Error(fmt::format("there are more than {} files in it", names_.size()),
                    "a root of so many files can be a disk image: root.image");
    }
    char* const kept = static_cast<char*>(text_memory_.allocate(text.size(), 1));
    std::memcpy(kept, text.data(), text.size());
    text_bytes_ += text.size();
    const Node node = static_cast<Node>(names_.size());
    names_.push_back(
        {.text = {kept, text.size()}, .parent = parent, .sibling = names_[parent].first_child, .layer = layer_});
    names_[parent].first_child = node;
    index_.insert(node);
    return node;
}

void NameTree::keep(std::uint32_t number, const Attributes& attributes) {
    for (const Xattr& xattr : attributes.xattrs) { xattr_bytes_ += xattr.name.size() + xattr.value.size(); }
    if (xattr_bytes_ > max_directory_xattrs) {
        throw Error(
            fmt::format("its directories have more than {} MiB of extended attributes", max_directory_xattrs >> 20U));
    }
    attributes_[number] = attributes;
}

void NameTree::make_directory(Node node, const Attributes& attributes) {
    if (attributes_.size() >= max_directories) {
        throw Error(fmt::format("there are more than {} directories in it", max_directories));
    }
    names_[node].what = What::directory;
    names_[node].number = static_cast<std::uint32_t>(attributes_.size());
    attributes_.emplace_back();
    keep(names_[node].number, attributes);
}

/// The directory of the path's last name.
NameTree::Node NameTree::enter(std::string_view path, const std::vector<std::string_view>& names) {
    Node at = root;
    for (std::size_t i = 0; i + 1 < names.size(); ++i) {
        const std::optional<Node> next = find(at, names[i]);
        if (!next) {
            at = make(at, names[i]);
            make_directory(at, {});
            continue;
        }
        if (names_[*next].what != What::directory) { fail(path, "lies below something that is no directory"); }
        at = *next;
        names_[at].layer = layer_;
    }
    return at;
}

void NameTree::set_directory(std::string_view path, const Attributes& attributes) {
    const std::vector<std::string_view> names = split_path(path);
    if (names.empty()) {
        keep(names_[root].number, attributes);
        return;
    }
    const Node parent = enter(path, names);
    const std::optional<Node> there = find(parent, names.back());
    if (there && names_[*there].what == What::directory) {
        names_[*there].layer = layer_;
        keep(names_[*there].number, attributes);
        return;
    }
    if (there) { drop(*there); }
    make_directory(make(parent, names.back()), attributes);
}

NameTree::Node NameTree::claim(std::string_view path) {
    const std::vector<std::string_view> names = split_path(path);
    if (names.empty()) { fail(path, "takes the place of the root directory"); }
    const Node parent = enter(path, names);
    if (const std::optional<Node> there = find(parent, names.back())) {
        const bool earlier = names_[*there].layer < layer_;
        if (names_[*there].what == What::directory && !earlier && !children(*there).empty()) {
            fail(path, "takes the place of a directory that isn't empty");
        }
        drop(*there);
    }
    const Node node = make(parent, names.back());
    names_[node].what = What::other;
    return node;
}

void NameTree::set_link(std::string_view path, std::string_view target) {
    const std::optional<Node> to = find(target);
    if (!to) { fail(path, fmt::format("is a hard link to \"{}\", which isn't there before it", printable(target))); }
    if (names_[*to].what == What::directory) {
        fail(path, fmt::format("is a hard link to the directory \"{}\"", printable(target)));
    }
    const Inode inode = names_[*to].number;
    set_inode(claim(path), inode);
}

std::vector<NameTree::Node> NameTree::children(Node directory) const {
    std::vector<Node> found;
    for (Node node = names_[directory].first_child; node != root; node = names_[node].sibling) {
        if (names_[node].what != What::gone) { found.push_back(node); }
    }
    return found;
}

/// What is below goes with it: nothing leads there any more.
void NameTree::drop(Node node) {
    index_.erase(node);
    names_[node].what = What::gone;
}

void NameTree::remove_earlier(Node directory) {
    for (const Node node : children(directory)) {
        if (names_[node].layer < layer_) {
            drop(node);
        } else if (names_[node].what == What::directory) {
            remove_earlier(node);
        }
    }
}

void NameTree::remove(std::string_view path) {
    const std::optional<Node> node = find(path);
    if (!node || *node == root) { return; }
    if (names_[*node].layer < layer_) {
        drop(*node);
    } else if (names_[*node].what == What::directory) {
        remove_earlier(*node);
    }
}

void NameTree::remove_entries(std::string_view path) {
    const std::optional<Node> node = find(path);
    if (node && names_[*node].what == What::directory) { remove_earlier(*node); }
}

NameTree::Layout NameTree::layout() const {
    std::vector<Node> nodes;
    nodes.reserve(names_.size());
    std::uint32_t inodes = 0;
    for (Node node = 1; node < names_.size(); ++node) {
        const Name& name = names_[node];
        if (name.what != What::gone) { nodes.push_back(node); }
        if (name.what == What::other) { inodes = std::max(inodes, name.number + 1); }
    }
    std::ranges::sort(nodes, {}, [this](Node node) { return std::tuple(names_[node].parent, names_[node].text); });

    Layout layout;
    layout.links.resize(inodes);
    std::vector<Node> directory_nodes{root};
    layout.directories.push_back({.attributes = &attributes_[names_[root].number]});
    for (std::uint32_t i = 0; i < layout.directories.size(); ++i) {
        const auto parent = [this](Node node) { return names_[node].parent; };
        const auto last = std::ranges::upper_bound(nodes, directory_nodes[i], {}, parent);
        layout.directories[i].first = static_cast<std::uint32_t>(layout.entries.size());
        for (auto each = std::ranges::lower_bound(nodes, directory_nodes[i], {}, parent); each != last; ++each) {
            const Node node = *each;
            const Name& name = names_[node];
            if (name.what == What::directory) {
                ++layout.directories[i].subdirectories;
                layout.entries.push_back({name.text, true, static_cast<std::uint32_t>(layout.directories.size())});
                layout.directories.push_back({.attributes = &attributes_[name.number], .parent = i});
                directory_nodes.push_back(node);
            } else {
                ++layout.links[name.number];
                layout.entries.push_back({name.text, false, name.number});
            }
        }
        layout.directories[i].last = static_cast<std::uint32_t>(layout.entries.size());
    }
    return layout;
}

} // namespace microvmc
