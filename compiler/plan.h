#pragma once

#include "compiler/facts.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// The plan: what microvm.toml means on one host. Complete (apply needs nothing else), immutable, JSON both ways, free
// of secrets, clocks and relative paths. Sizes are MiB, durations milliseconds, unless a name says otherwise.

namespace microvmc {

inline constexpr int plan_version = 1;

/// Where a value of the plan was written: "microvm.toml" and a line, for people who review it.
struct Origin {
    std::string file;
    std::uint32_t line = 0; ///< 0: nowhere, a default or derived
    std::uint32_t column = 0;

    friend bool operator==(const Origin&, const Origin&) = default;
};

/// Where the keys of a machine were written, by key path as diff names it ("mem", "volumes.data.size").
class Origins {
public:
    struct Entry {
        std::string key;
        std::uint32_t file = 0; ///< index into the names
        std::uint32_t line = 0;
        std::uint32_t column = 0;
    };

    /// The first one of a key stays.
    void add(std::string key, std::string_view file, std::uint32_t line, std::uint32_t column);
    /// Line 0: nowhere.
    [[nodiscard]] Origin find(std::string_view key) const;
    [[nodiscard]] bool contains(std::string_view key) const;
    /// In the order of their keys.
    [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
    [[nodiscard]] const std::string& file(const Entry& entry) const { return files_[entry.file]; }
    friend bool operator==(const Origins& a, const Origins& b);

private:
    [[nodiscard]] std::vector<Entry>::const_iterator place(std::string_view key) const;

    std::vector<Entry> entries_;     ///< sorted
    std::vector<std::string> files_; ///< one for all that came of it in a row
};

struct KernelPlan {
    std::string source;  ///< the file that was chosen: /boot/vmlinuz-6.1.0-56-amd64, or what the user named
    std::string release; ///< "6.1.0-56-amd64"; empty when the file doesn't say
    FileIdentity identity;
    /// Directory of the pin: holds `vmlinuz` (the copy), `vmlinux` (extracted when `image` is elf) and `modules/`.
    std::string pin;
    std::string modules;         ///< the host's directory with modules.dep, copied from when pinned; empty: none
    std::string config;          ///< the kernel's configuration, when the user named it
    std::string initrd;          ///< the user's own initramfs, whose init runs after ours; empty: none
    std::string initrd_identity; ///< tells one state of its content from another
    KernelImage image = KernelImage::bzimage; ///< what the hypervisor is given
    std::string image_reason;                 ///< why that form
    std::vector<std::string> params;          ///< the whole command line, one parameter each, unquoted

    friend bool operator==(const KernelPlan&, const KernelPlan&) = default;
};

struct VolumePlan {
    std::string name;
    std::string image; ///< absolute path
    std::uint64_t size_mib = 0;
    std::string fs_type; ///< "ext4", ...; "none"
    std::string format = "raw";
    std::string label;
    std::string serial;      ///< at most 20 bytes (virtio-blk's VIRTIO_BLK_ID_BYTES)
    std::string uuid;        ///< of the file system
    std::string mount_point; ///< empty: not mounted
    std::vector<std::string> mount_options;
    bool read_only = false;
    bool direct = false; ///< past the host's page cache
    std::string cache;   ///< the hypervisor's word; empty: its default
    bool discard = false;
    bool auto_create = true;
    std::vector<std::string> mkfs_args;
    std::string backing;        ///< absolute path of the image that a new one starts from
    std::string backing_format; ///< of that; empty: none
    bool protect = false;

    friend bool operator==(const VolumePlan&, const VolumePlan&) = default;
};

struct SharePlan {
    std::string name;
    std::string source; ///< absolute path on the host
    std::string mount_point;
    std::string tag;            ///< at most 31 bytes (9p), 36 (virtiofs)
    std::string proto = "9p";   ///< 9p, virtiofs; image: a disk with what was in it when the machine started
    std::string proto_reason;   ///< why that one; empty: it was named
    std::string security_model; ///< 9p: "none", "mapped-xattr", "passthrough"
    /// virtiofs: absolute path of its server, the kind of that ("rust", "qemu": the one that came with QEMU up to 7.2)
    /// and how it is confined ("namespace", "chroot", "none"); empty when a server runs already. The kind "own": the
    /// hypervisor serves it, and there is no more to say.
    std::string server;
    std::string server_kind;
    std::string sandbox;
    bool read_only = false;
    std::string cache; ///< the server's word; empty: its default
    bool posix_acl = false;
    bool xattr = false;
    bool dax = false;
    std::string uid_map; ///< "GUEST:HOST:COUNT, ..."; "*:HOST": all of the guest's are that one
    std::string gid_map;
    std::string on_death = "restart"; ///< when its server dies: restart, stop
    std::string socket;               ///< of a server that runs already; empty: one is started
    std::vector<std::string> extra_args;
};
/// Compares all but the reason.
bool operator==(const SharePlan& a, const SharePlan& b);

struct ForwardPlan {
    std::string name;
    std::string from = "host"; ///< who connects: host, guest
    std::string proto = "tcp"; ///< tcp, udp
    std::string host_address = "127.0.0.1";
    std::uint16_t host_port = 0;
    std::string guest_address; ///< from the host, empty: the interface's own; from the guest: where that connects to
    std::uint16_t guest_port = 0;
    std::string relay{}; ///< from the guest: absolute path of socat, which carries each connection

    friend bool operator==(const ForwardPlan&, const ForwardPlan&) = default;
};

struct InterfacePlan {
    std::string name;
    std::string type = "user";
    std::string network; ///< a NetworkPlan's name; empty: none
    std::string bridge;  ///< that its tap joins; empty: none
    std::string link;    ///< macvtap: the host's interface
    std::string id;      ///< tap, macvtap: its name on the host
    std::string mac;
    std::vector<std::string> addresses; ///< with prefix length: "10.0.2.15/24"; or "dhcp" alone
    std::string gateway;
    std::vector<std::string> dns;
    std::string mode;          ///< macvtap's: bridge, private, vepa, passthru
    std::string vhost = "off"; ///< on: the host's kernel handles its packets
    std::uint32_t queues = 1;
    std::uint32_t mtu = 0;      ///< bytes; 0: the network's
    std::uint64_t rate_mib = 0; ///< a second, each way; 0: no limit
    bool managed = true;        ///< made and removed by us
    bool allow_spoofing = false;
    std::vector<ForwardPlan> forwards; ///< those that this interface carries

    friend bool operator==(const InterfacePlan&, const InterfacePlan&) = default;
};

/// A device of the host that is handed through.
struct HostDevicePlan {
    std::string name;
    std::string bus;         ///< pci, usb
    std::string path;        ///< "0000:03:00.0", "0bda:2838"
    std::string iommu_group; ///< pci: the name of its node in /dev/vfio, "17"

    friend bool operator==(const HostDevicePlan&, const HostDevicePlan&) = default;
};

/// Everything that a backend attaches; a backend visits it without a generic arm, so that a new kind does not compile
/// until each backend has decided about it.
using Device = std::variant<VolumePlan, SharePlan, InterfacePlan, HostDevicePlan>;

/// When a machine counts as up.
struct ReadyPlan {
    enum class Kind { init, tcp, http, console, command, notify, exit } kind = Kind::init;
    std::uint16_t port = 0;           ///< tcp, http: in the guest
    std::string path;                 ///< http
    std::string text;                 ///< console
    std::vector<std::string> command; ///< argv in the guest
    int status = 0;                   ///< exit

    friend bool operator==(const ReadyPlan&, const ReadyPlan&) = default;
};

/// The serial number of the root's disk, when it is one.
inline constexpr const char* root_serial = "microvmc-root";

/// The root file system of the guest.
struct RootPlan {
    /// initramfs: the busybox userland that is carried in memory. share: a read-only share of `source`. image: a disk
    /// image. dir, tar, oci: what a read-only image is made of. store: a Nix store closure, shared.
    enum class Kind { initramfs, share, image, dir, tar, oci, store } kind = Kind::initramfs;
    std::string source;            ///< absolute path on the host
    std::string tag;               ///< share, store
    std::string overlay = "tmpfs"; ///< what takes the writes: tmpfs, none, or a volume's name
    std::string fs_type;           ///< of the image that is made: erofs, squashfs
    std::string image;             ///< dir, tar, oci: absolute path of the image, named by what it is made of
    std::string uuid;              ///< of the image's file system
    std::string arch;              ///< oci: whose of the images in it
    std::string format;            ///< of a disk image
    std::uint32_t partition = 0;   ///< of a disk image; 0: the whole disk
    bool read_only = true;

    friend bool operator==(const RootPlan&, const RootPlan&) = default;
};

/// Memory that can be taken back from a running guest.
struct BalloonPlan {
    enum class Mode { off, on, automatic } mode = Mode::off;
    std::uint64_t floor_mib = 0;   ///< automatic: what the guest always keeps; 0: no floor
    std::uint64_t initial_mib = 0; ///< its size at start
    bool deflate_on_oom = false;
    bool free_page_reporting = false;

    friend bool operator==(const BalloonPlan&, const BalloonPlan&) = default;
};

/// A NoCloud disk, by absolute paths; no instance id: none.
struct CloudInitPlan {
    std::string user_data;
    std::string meta_data;
    std::string network_config;
    std::string instance_id; ///< of the meta-data that is made when none is named

    friend bool operator==(const CloudInitPlan&, const CloudInitPlan&) = default;
};

struct GraphicsPlan {
    std::string backend; ///< the hypervisor's word, "default"; empty: no display
    std::string address;
    std::uint16_t port = 0;
    std::string socket;

    friend bool operator==(const GraphicsPlan&, const GraphicsPlan&) = default;
};

/// Where a secret comes from, never the secret; one of the three says.
struct CredentialPlan {
    std::string name;
    std::string file; ///< absolute path
    std::string env;
    std::vector<std::string> command; ///< argv on the host

    friend bool operator==(const CredentialPlan&, const CredentialPlan&) = default;
};

struct RestartPlan {
    std::string policy = "no"; ///< no, on-failure, always
    std::int64_t delay_ms = 1'000;
    std::uint32_t limit = 5;

    friend bool operator==(const RestartPlan&, const RestartPlan&) = default;
};

/// What a machine may use of the host; 0: no limit.
struct LimitsPlan {
    double cpu = 0; ///< cores
    std::uint64_t mem_mib = 0;
    std::uint64_t pids = 0;
    std::uint64_t io_read_mib = 0;  ///< a second
    std::uint64_t io_write_mib = 0; ///< a second

    friend bool operator==(const LimitsPlan&, const LimitsPlan&) = default;
};

struct VmPlan {
    std::string name;
    bool enabled = true;

    std::string hypervisor;        ///< a backend's name
    std::string hypervisor_reason; ///< why that one
    std::string program;           ///< absolute path of the VMM
    std::string program_version;
    std::string machine; ///< the backend's word ("microvm", "q35"); empty when it has none
    std::string machine_reason;
    std::string accel; ///< "kvm", "tcg"
    std::string accel_reason;
    std::vector<std::string> extra_args;
    std::map<std::string, std::string> options; ///< the backend's own keys of [vm.x.NAME], as text

    std::string arch;
    std::string cpu; ///< its model; empty: the host's
    std::uint32_t vcpu = 1;
    std::uint64_t mem_mib = 512;
    std::uint64_t mem_max_mib = 0;  ///< what `mem` may become while it runs; 0: fixed
    std::uint64_t mem_boot_mib = 0; ///< with mem_max_mib: what of `mem` it boots with, which can't be taken from it
    std::string hugepages;          ///< "2MiB", "1GiB", "true" (the host's default); empty: none
    BalloonPlan balloon;

    KernelPlan kernel;
    std::string firmware; ///< a path, or "default"; empty: a kernel is booted
    RootPlan root;
    CloudInitPlan cloud_init;
    std::string init; ///< path in the root; empty: its own
    std::string hostname;
    std::string machine_id;           ///< 32 hexadecimal digits; empty: the root's own
    std::vector<std::string> command; ///< empty: the guest's own init (busybox userland: an idle one)
    std::map<std::string, std::string> env;
    std::string workdir;

    std::vector<VolumePlan> volumes;
    std::vector<SharePlan> shares;
    std::vector<InterfacePlan> interfaces;
    std::vector<HostDevicePlan> host_devices;
    std::uint32_t vsock_cid = 0; ///< 0: no vsock
    std::string console;         ///< serial, virtio, off; empty: the hypervisor's best
    GraphicsPlan graphics;
    std::vector<CredentialPlan> credentials;

    ReadyPlan ready;
    std::vector<std::string> depends_on; ///< machines that are ready before this one starts
    RestartPlan restart;
    bool autostart = false;
    std::int64_t startup_timeout_ms = 150'000;
    std::int64_t shutdown_timeout_ms = 60'000;
    LimitsPlan limits;
    std::string vmm_user;                            ///< the host's user who runs the VMM; empty: ours
    std::vector<std::vector<std::string>> pre_start; ///< argvs run on the host before it starts
    std::vector<std::vector<std::string>> post_stop; ///< and after it stopped
    /// Keys that a running machine takes without a restart, and how: "mem" -> "virtio-mem"; "volumes.NAME.size". The
    /// hypervisor's doing.
    std::map<std::string, std::string> in_place;

    std::string state_dir;   ///< this machine's: <state>/projects/PROJECT/VM
    std::string runtime_dir; ///< this machine's: <run>/PROJECT/VM, holds the sockets

    Origins origins; ///< left out of comparison

    [[nodiscard]] std::vector<Device> devices() const; ///< volumes, shares, interfaces, the host's, in this order
};
/// The key of a volume's size: "volumes.NAME.size".
std::string size_key(const VolumePlan& volume);

/// Compares all but `origins`, the reasons and `in_place`, which say how and not what.
bool operator==(const VmPlan& a, const VmPlan& b);

/// A network of the project.
struct NetworkPlan {
    std::string name;
    std::string mode = "nat";         ///< nat, routed, isolated
    std::vector<std::string> subnets; ///< "10.9.0.0/24", the address of the network itself
    std::string bridge;               ///< on the host
    bool managed = true;              ///< the bridge is made and removed by us
    std::string uplink;               ///< empty: by the host's routes
    bool dhcp = true;
    bool dns = true;
    std::string domain;
    std::uint32_t mtu = 0; ///< bytes; 0: the host's default

    friend bool operator==(const NetworkPlan&, const NetworkPlan&) = default;
};

/// One file that a plan was made from.
struct SourceDigest {
    std::string path;
    std::string digest;    ///< SHA-256
    bool included = false; ///< another one includes it

    friend bool operator==(const SourceDigest&, const SourceDigest&) = default;
};

/// What a plan was made from; when one differs now, a saved plan is stale.
struct PlanDigests {
    std::vector<SourceDigest> sources; ///< in the order in which they were read; it decides what is merged over what
    std::string facts;                 ///< of the facts that the plan used
    std::string observed;              ///< of what ran and was recorded

    friend bool operator==(const PlanDigests&, const PlanDigests&) = default;
};

struct Plan {
    int version = plan_version;
    std::string project;
    std::string project_state_dir;   ///< <state>/projects/PROJECT
    std::string project_runtime_dir; ///< <run>/PROJECT
    std::string host;                ///< the host's name, for people
    std::string arch;
    std::string host_summary; ///< "x86_64, TCG: KVM can't run cmpxchg16b"
    PlanDigests digests;
    std::vector<NetworkPlan> networks;
    std::vector<VmPlan> vms; ///< in the order of the text

    friend bool operator==(const Plan&, const Plan&) = default;
};

void to_json(nlohmann::json& json, const Origins& origins);
void from_json(const nlohmann::json& json, Origins& origins);
void to_json(nlohmann::json& json, const Plan& plan);
/// Throws nlohmann::json::exception; unknown keys and another version are errors.
void from_json(const nlohmann::json& json, Plan& plan);
class JsonText;
void json_text(JsonText& out, const Plan& plan);
/// The same JSON as text, indented by two, with the members in the structs' order and a newline at its end.
std::string to_json_text(const Plan& plan);
void to_json(nlohmann::json& json, const NetworkPlan& network);
void from_json(const nlohmann::json& json, NetworkPlan& network);
void to_json(nlohmann::json& json, const VmPlan& vm);
void from_json(const nlohmann::json& json, VmPlan& vm);

} // namespace microvmc
