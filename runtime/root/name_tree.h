#pragma once

#include "runtime/root/attributes.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory_resource>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace microvmc {

/// The names of a root's file system, and what each names, as a stream of entries gives them: a later entry takes the
/// place of an earlier one of its name, as in an archive that is unpacked. Nothing of it is a file of the host, so that
/// no entry can mean one. A name takes about 100 bytes of memory beside its own, and there may be only so many.
///
/// Paths are as an archive has them. Whatever takes one throws Error when it leaves the tree ("..", "/etc"), leads
/// through something that is no directory, has a name that Linux doesn't take, or is one too many. Directories that are
/// on the way and have no entry of their own are root's, 0755.
class NameTree {
public:
    using Node = std::uint32_t; ///< a name
    using Inode = std::uint32_t;
    static constexpr std::size_t max_names = std::size_t{1} << 20U;
    static constexpr std::size_t max_name_bytes = std::size_t{48} << 20U;

    NameTree();
    NameTree(const NameTree&) = delete;
    NameTree& operator=(const NameTree&) = delete;

    /// A directory; when it is there, it gets these attributes.
    void set_directory(std::string_view path, const Attributes& attributes);
    /// A name for something that is no directory, whose inode comes by `set_inode`. A directory with entries is not
    /// replaced.
    Node claim(std::string_view path);
    void set_inode(Node node, Inode inode) { names_[node].number = inode; }
    /// Another name for what `target` names, which must be there and no directory.
    void set_link(std::string_view path, std::string_view target);
    [[nodiscard]] bool exists(std::string_view path) const { return find(path).has_value(); }

    /// Layers, one over the other: what is removed is what earlier ones have.
    void begin_layer() { ++layer_; }
    /// Removes the name and all below it; nothing there is fine.
    void remove(std::string_view path);
    /// Removes what is in the directory.
    void remove_entries(std::string_view path);

    struct Entry {
        std::string_view name;
        bool is_directory = false;
        std::uint32_t number = 0; ///< in `directories`, or the inode
    };
    struct Directory {
        const Attributes* attributes = nullptr;
        std::uint32_t parent = 0; ///< in `directories`; the root's is itself
        std::uint32_t first = 0;  ///< of its entries
        std::uint32_t last = 0;   ///< one past them
        std::uint32_t subdirectories = 0;
    };
    /// The whole tree, valid while it lives and isn't changed.
    struct Layout {
        std::vector<Directory> directories; ///< the root first, each after the one that it is in
        std::vector<Entry> entries;         ///< each directory's together, in the order of their names' bytes
        std::vector<std::uint32_t> links;   ///< of each inode: how many names it has
    };
    [[nodiscard]] Layout layout() const;

private:
    static constexpr Node root = 0;
    enum class What : std::uint8_t { gone, directory, other };
    struct Name {
        std::string_view text; ///< in text_memory_
        Node parent = root;
        Node first_child = root;  ///< root: none
        Node sibling = root;      ///< the next one; root: none
        std::uint32_t number = 0; ///< of a directory: in attributes_; else its inode
        std::uint16_t layer = 0;
        What what = What::gone;
    };
    struct Key {
        Node parent;
        std::string_view text;
    };
    struct Hash {
        using is_transparent = void;
        const std::deque<Name>* names;
        std::size_t operator()(const Key& key) const;
        std::size_t operator()(Node node) const;
    };
    struct Same {
        using is_transparent = void;
        const std::deque<Name>* names;
        bool operator()(Node a, Node b) const { return a == b; }
        bool operator()(const Key& key, Node node) const;
        bool operator()(Node node, const Key& key) const { return (*this)(key, node); }
    };

    [[nodiscard]] std::optional<Node> find(std::string_view path) const;
    [[nodiscard]] std::optional<Node> find(Node parent, std::string_view text) const;
    Node enter(std::string_view path, const std::vector<std::string_view>& names);
    Node make(Node parent, std::string_view text);
    void make_directory(Node node, const Attributes& attributes);
    void keep(std::uint32_t number, const Attributes& attributes);
    [[nodiscard]] std::vector<Node> children(Node directory) const;
    void drop(Node node);
    void remove_earlier(Node directory);

    std::pmr::monotonic_buffer_resource text_memory_;
    std::size_t text_bytes_ = 0;
    std::deque<Name> names_; ///< by node
    std::unordered_set<Node, Hash, Same> index_;
    std::deque<Attributes> attributes_; ///< of directories
    std::size_t xattr_bytes_ = 0;       ///< in attributes_
    std::uint16_t layer_ = 0;
};

} // namespace microvmc
