#pragma once

#include "compiler/facts.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

// The plan: what microvm.toml means on one host. Complete (apply needs nothing else), immutable, JSON both ways, free
// of secrets, clocks and relative paths. Sizes are MiB, durations milliseconds, unless a name says otherwise.

namespace microvmc {

inline constexpr int plan_version = 1;

/// Where a value of the plan was written: "microvm.toml" and a line, for people who review it. Not compared by diff.
struct Origin {
    std::string file;
    std::uint32_t line = 0; ///< 0: nowhere, a default or derived
    std::uint32_t column = 0;

    friend bool operator==(const Origin&, const Origin&) = default;
};

struct KernelPlan {
    std::string source;  ///< the file that was chosen: /boot/vmlinuz-6.1.0-56-amd64, or what the user named
    std::string release; ///< "6.1.0-56-amd64"; empty when the file doesn't say
    FileIdentity identity;
    /// Directory of the pin: holds `vmlinuz` (the copy), `vmlinux` (extracted when `image` is elf) and `modules/`.
    std::string pin;
    std::string modules; ///< the host's directory with modules.dep, copied from when pinned; empty: none
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
    bool auto_create = true;
    bool protect = false;

    friend bool operator==(const VolumePlan&, const VolumePlan&) = default;
};

struct SharePlan {
    std::string name;
    std::string source; ///< absolute path on the host
    std::string mount_point;
    std::string tag; ///< at most 31 bytes (9p), 36 (virtiofs)
    std::string proto = "9p";
    std::string security_model; ///< 9p: "none", "mapped-xattr", "passthrough"
    bool read_only = false;

    friend bool operator==(const SharePlan&, const SharePlan&) = default;
};

struct ForwardPlan {
    std::string name;
    std::string proto = "tcp"; ///< tcp, udp
    std::string host_address = "127.0.0.1";
    std::uint16_t host_port = 0;
    std::string guest_address; ///< empty: the interface's own
    std::uint16_t guest_port = 0;

    friend bool operator==(const ForwardPlan&, const ForwardPlan&) = default;
};

struct InterfacePlan {
    std::string name;
    std::string type = "user";
    std::string mac;
    std::vector<std::string> addresses; ///< with prefix length: "10.0.2.15/24"
    std::string gateway;
    std::vector<std::string> dns;
    std::vector<ForwardPlan> forwards; ///< those that this interface carries

    friend bool operator==(const InterfacePlan&, const InterfacePlan&) = default;
};

/// Everything that a backend attaches; a backend visits it without a generic arm, so that a new kind does not compile
/// until each backend has decided about it.
using Device = std::variant<VolumePlan, SharePlan, InterfacePlan>;

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

/// The root file system of the guest.
struct RootPlan {
    /// initramfs: the busybox userland that is carried in memory. share: a read-only share of `source`.
    enum class Kind { initramfs, share } kind = Kind::initramfs;
    std::string source;  ///< share: the directory, "/" for the host's own
    std::string tag;     ///< share
    bool overlay = true; ///< a tmpfs above it takes the writes

    friend bool operator==(const RootPlan&, const RootPlan&) = default;
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
    std::uint32_t vcpu = 1;
    std::uint64_t mem_mib = 512;

    KernelPlan kernel;
    RootPlan root;
    std::string hostname;
    std::vector<std::string> command; ///< empty: the guest's own init (busybox userland: an idle one)
    std::map<std::string, std::string> env;
    std::string workdir;

    std::vector<VolumePlan> volumes;
    std::vector<SharePlan> shares;
    std::vector<InterfacePlan> interfaces;

    ReadyPlan ready;
    std::int64_t startup_timeout_ms = 150'000;
    std::int64_t shutdown_timeout_ms = 60'000;

    std::string state_dir;   ///< this machine's: <state>/projects/PROJECT/VM
    std::string runtime_dir; ///< this machine's: <run>/PROJECT/VM, holds the sockets

    /// By key path as diff names it ("mem", "volumes.data.size"): where it was written. Left out of comparison.
    std::map<std::string, Origin> origins;

    [[nodiscard]] std::vector<Device> devices() const; ///< volumes, shares, interfaces, in this order
};
/// Compares all but `origins` and the reasons.
bool operator==(const VmPlan& a, const VmPlan& b);

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
    std::vector<VmPlan> vms; ///< in the order of the text

    friend bool operator==(const Plan&, const Plan&) = default;
};

void to_json(nlohmann::json& json, const Plan& plan);
/// Throws nlohmann::json::exception; unknown keys and another version are errors.
void from_json(const nlohmann::json& json, Plan& plan);
/// The same JSON as text, indented by two, with the members in the structs' order and a newline at its end.
std::string to_json_text(const Plan& plan);
void to_json(nlohmann::json& json, const VmPlan& vm);
void from_json(const nlohmann::json& json, VmPlan& vm);

} // namespace microvmc
