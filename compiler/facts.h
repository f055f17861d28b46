#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace microvmc {

/// What tells one version of a file from another without reading it.
struct FileIdentity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t mtime_ns = 0;
    std::uint64_t size = 0; ///< bytes

    friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

/// What /dev/kvm can do, found by running instructions in a vCPU (runtime/facts/kvm_probe.h).
enum class KvmState {
    works,      ///< every probe ended as hardware would end it, at hardware's speed
    missing,    ///< no /dev/kvm
    forbidden,  ///< /dev/kvm exists and may not be opened
    incomplete, ///< it opens, yet stock guest kernels would die: instructions missing, or interpreted
};

struct KvmFacts {
    KvmState state = KvmState::missing;
    std::string reason; ///< for people: "cmpxchg16b, popcnt and fwait can't run in a guest"; empty when it works
    /// A vCPU tells its nested state (KVM_GET_NESTED_STATE): guests may have guests.
    bool nested_state = true;

    friend bool operator==(const KvmFacts&, const KvmFacts&) = default;
};

/// A program found on PATH (or named by absolute path), and what it says of itself.
struct ToolFacts {
    std::string path;    ///< absolute
    std::string version; ///< "7.2.22"; empty when it could not be found out
    FileIdentity identity;

    friend bool operator==(const ToolFacts&, const ToolFacts&) = default;
};

enum class KernelImage { bzimage, elf, unknown };

/// How a bzImage's payload is compressed.
enum class Compression { none, gzip, xz, zstd, lz4_legacy, other };

/// A kernel that a guest could boot: /boot/vmlinuz-* of the host, a pinned one, or a file that the user named.
/// Of a kernel's configuration, what a machine may need: "VIRTIO_BLK" -> whether it is built in; else it is a module.
using KernelOptions = std::map<std::string, bool, std::less<>>;

struct KernelFacts {
    std::string path;    ///< absolute
    std::string release; ///< "6.1.0-56-amd64", from the boot header; empty when unknown
    std::string modules; ///< directory with modules.dep of this release; empty when there is none
    KernelImage image = KernelImage::unknown;
    Compression compression = Compression::none;
    /// Which of the file systems that shares go over it has ("9p", "virtiofs"); not known without `modules`.
    std::vector<std::string> file_systems;
    bool readable = true; ///< by the user who asks (some distributions make /boot/vmlinuz-* root's)
    FileIdentity identity;
    KernelOptions options{}; ///< named kernels only; empty: its configuration isn't known
    /// Pinned kernels only: the file that was copied, e.g. /boot/vmlinuz-6.1.0-56-amd64.
    std::string pinned_from;

    friend bool operator==(const KernelFacts&, const KernelFacts&) = default;
};

/// What a disk image that isn't raw says of itself (runtime/image_header.h). A raw one may say so, too: its guest can
/// write that; so it counts only where the text says that format.
struct ImageFacts {
    std::string format;         ///< qcow2, vhd, vhdx; empty: none of them
    std::uint64_t size = 0;     ///< what a guest sees, in bytes
    std::string backing;        ///< the image that it lies over, as it is named there; empty: none
    std::string backing_format; ///< QEMU's word; empty: it doesn't say

    friend bool operator==(const ImageFacts&, const ImageFacts&) = default;
};

/// What an OCI image says of the process that it is for (OCI image-spec, config.md).
struct OciFacts {
    std::vector<std::string> command; ///< Entrypoint and Cmd
    std::vector<std::string> env;     ///< NAME=VALUE
    std::string workdir;
    std::string user;    ///< empty: root
    std::string problem; ///< why it can't be used; empty: it can

    friend bool operator==(const OciFacts&, const OciFacts&) = default;
};

/// What a path named in a microvm.toml is, as far as the checks need it.
struct PathFacts {
    enum class Kind { missing, file, directory, block_device, other } kind = Kind::missing;
    bool readable = false;
    bool writable = false;
    std::uint64_t size = 0;      ///< bytes, files and block devices
    std::uint64_t allocated = 0; ///< bytes that a file takes on disk: less than its size when it is sparse
    /// The file's own device and inode: the same for all its names. Of a path that is missing, device is that of the
    /// nearest directory that exists.
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t room = 0;  ///< bytes that this user may still write on that device
    std::uint32_t mode = 0;  ///< permissions; 0: not known
    std::uint32_t owner = 0; ///< uid
    std::uint32_t group = 0; ///< gid
    ImageFacts image;        ///< files
    std::string used_by;     ///< files: "PROJECT/VM" or "another program" that has it locked; empty: nobody
    bool is_written = false; ///< by them
    /// Of what roots are made of: tells one state of its content from another.
    std::string identity{};

    friend bool operator==(const PathFacts&, const PathFacts&) = default;
};

/// A device of the host that a machine is to get (`devices`), as far as handing it over needs to know.
struct HostDeviceFacts {
    bool present = false;
    std::string driver;      ///< pci: which has it now; empty: none
    std::string iommu_group; ///< pci: its number; empty: no IOMMU is at work
    bool accessible = false; ///< its node (/dev/vfio/GROUP, /dev/bus/usb/...) may be opened by the user who asks

    friend bool operator==(const HostDeviceFacts&, const HostDeviceFacts&) = default;
};

/// A user of the host that hypervisors run as.
struct UserFacts {
    std::uint32_t uid = 0;
    std::vector<std::uint32_t> groups; ///< gids, its own first

    friend bool operator==(const UserFacts&, const UserFacts&) = default;
};

/// Huge pages of one size.
struct HugePageFacts {
    std::uint64_t total = 0;
    std::uint64_t free = 0;

    friend bool operator==(const HugePageFacts&, const HugePageFacts&) = default;
};

/// Everything that resolving needs to know about the host; an input like any other (`doctor --json` prints it,
/// `--facts FILE` reads it), so that a plan can be made for another machine.
struct HostFacts {
    int version = 1;
    std::string hostname;
    std::string arch; ///< "x86_64"
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    /// The user may make namespaces of his own (mounts, processes, network), as servers that confine themselves do.
    /// Looked at only where there is such a server.
    bool namespaces = false;
    std::string state_dir;   ///< /var/lib/microvmc or $XDG_STATE_HOME/microvmc
    std::string runtime_dir; ///< /run/microvmc or $XDG_RUNTIME_DIR/microvmc
    std::uint32_t cpus = 1;
    std::uint64_t memory_mib = 0;
    /// The TSC's frequency in kHz when it is constant and could be measured, else 0.
    std::uint64_t tsc_khz = 0;
    KvmFacts kvm;
    /// By the name that was looked for: "qemu-system-x86_64", "mke2fs", "busybox". A tool that is missing has no entry.
    std::map<std::string, ToolFacts, std::less<>> tools;
    std::vector<KernelFacts> kernels; ///< the host's, newest first
    std::vector<KernelFacts> pinned;  ///< kernels pinned in the state directory
    /// Where the project's own guest init lies (installed beside the program).
    ToolFacts guest_init;
    /// Paths that the sources name (kernels, sources of shares, images), and nodes that hypervisors use
    /// (/dev/vhost-vsock), looked at before resolving.
    std::unordered_map<std::string, PathFacts> paths;
    /// Kernels that the sources name by path.
    std::map<std::string, KernelFacts> named_kernels;
    /// Kernel configurations that the sources name.
    std::map<std::string, KernelOptions> kernel_configs;
    /// OCI images that the sources name.
    std::map<std::string, OciFacts> oci_images;
    /// By size in the language's words: "2MiB", "1GiB".
    std::map<std::string, HugePageFacts> huge_pages;
    std::string default_huge_page;               ///< one of them
    std::vector<std::string> cgroup_controllers; ///< of cgroup v2, that limits can be set by: "cpu", "memory"
    /// That the sources name, by bus and path: "pci 0000:03:00.0".
    std::map<std::string, HostDeviceFacts> host_devices;
    /// That the sources name; one without groups doesn't exist.
    std::map<std::string, UserFacts> users;

    friend bool operator==(const HostFacts&, const HostFacts&) = default;
};

void to_json(nlohmann::json& json, const HostFacts& facts);
/// Throws nlohmann::json::exception with the pointer of the bad value.
void from_json(const nlohmann::json& json, HostFacts& facts);

} // namespace microvmc
