#pragma once

#include "compiler/plan.h"
#include "runtime/launch.h"
#include "runtime/network/network.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

// What performing a plan consists of, as data: argv vectors and API calls, never shell strings. Lowering makes the
// list, the executor performs it on a Host, each with its undo registered beside it (executor.cpp).

namespace microvmc {

struct MakeDirectory {
    std::string path;
    std::uint32_t mode = 0700;
    friend bool operator==(const MakeDirectory&, const MakeDirectory&) = default;
};
/// A whole file: temporary name, fsync, rename. Undone by putting back what was there.
struct WriteFile {
    std::string path;
    std::string content;
    std::uint32_t mode = 0600;
    friend bool operator==(const WriteFile&, const WriteFile&) = default;
};
/// Copies kernel and modules into the state directory, and extracts the ELF when the plan boots that. Does nothing when
/// it is there.
struct PinKernel {
    KernelPlan kernel;
    friend bool operator==(const PinKernel&, const PinKernel&) = default;
};
/// The initramfs of one machine; `key` names it in the cache by what it is made from. Does nothing when it is there.
struct BuildInitramfs {
    std::string key;
    std::string output;                    ///< absolute path in the cache
    std::string busybox;                   ///< absolute path on the host; empty: none is put in
    std::string initrd;                    ///< the user's own, which ours is put behind; empty: none
    std::string init;                      ///< the static guest init on the host
    std::string modules_dir;               ///< pinned
    std::vector<std::string> modules;      ///< wanted by name; dependencies are found when it is built
    std::vector<std::string> file_systems; ///< whose modules are put in, as far as the kernel has them
    std::string spec;                      ///< guest/spec.h records but `module`, which the builder adds
    friend bool operator==(const BuildInitramfs&, const BuildInitramfs&) = default;
};
/// Keeps what its next start hands to the guest, in memory; each is read once.
struct ReadCredentials {
    std::string vm;
    std::string runtime_dir; ///< the machine's
    std::vector<CredentialPlan> credentials;
    friend bool operator==(const ReadCredentials&, const ReadCredentials&) = default;
};
/// The read-only image that is made of a root's source. Does nothing when it is there.
struct BuildRoot {
    RootPlan::Kind kind = RootPlan::Kind::dir; ///< dir, tar, oci
    std::string source;
    std::string fs_type; ///< erofs, squashfs
    std::string arch;    ///< oci: whose of the images in it
    std::string uuid;
    std::string output; ///< absolute path in the cache, named by root_key of its source
    friend bool operator==(const BuildRoot&, const BuildRoot&) = default;
};
/// The disk for the guest's cloud-init; made anew each time, for what it is made of may have changed.
struct BuildCloudInit {
    CloudInitPlan source;
    std::string hostname;
    std::string output;
    friend bool operator==(const BuildCloudInit&, const BuildCloudInit&) = default;
};
/// The read-only image of a share's directory, for a hypervisor without shares; made anew each time, for the directory
/// may have changed. Who reads the one before goes on with that.
struct BuildShareImage {
    std::string source;
    std::string output;
    friend bool operator==(const BuildShareImage&, const BuildShareImage&) = default;
};
/// Made whole (unnamed file, mkfs, fsync, link) or not at all; never replaces a file.
struct CreateVolume {
    VolumePlan volume;
    ToolFacts mkfs;       ///< the program that makes its file system; none: an empty one
    std::string qemu_img; ///< of an image that isn't raw: absolute path
    friend bool operator==(const CreateVolume&, const CreateVolume&) = default;
};
/// Extends a stopped image; the guest grows the file system online. Undone never: a longer image holds the same data.
struct GrowVolume {
    std::string image;
    std::uint64_t size_mib = 0;
    std::string format = "raw";
    std::string qemu_img{}; ///< of one that isn't raw: absolute path
    friend bool operator==(const GrowVolume&, const GrowVolume&) = default;
};
/// Extends the image of a running machine's volume; its guest grows the file system. Undone never, as above.
struct GrowRunningVolume {
    std::string vm;
    std::string hypervisor;
    std::string control;    ///< the VMM's own control socket
    std::size_t number = 0; ///< of the volume, in the plan that it runs by
    std::size_t disk = 0;   ///< of the volume, among all of that machine's disks
    std::string image;
    std::uint64_t size_mib = 0;
    friend bool operator==(const GrowRunningVolume&, const GrowRunningVolume&) = default;
};
/// Deletes an image; only `destroy --with-volumes` makes one.
struct DeleteVolume {
    std::string image;
    friend bool operator==(const DeleteVolume&, const DeleteVolume&) = default;
};
/// Bridge, rules, DHCP and DNS of a network, as it must be now. Undone when this made its bridge.
struct EnsureNetwork {
    NetworkUp up;
    friend bool operator==(const EnsureNetwork&, const EnsureNetwork&) = default;
};
/// A tap for a machine that is about to start; its supervisor takes it away when the machine ends.
struct MakeTap {
    Tap tap;
    std::string machine; ///< the machine's runtime directory: whose it is
    std::string bridge;  ///< that it joins; empty: none
    std::uint32_t mtu = 0;
    std::string mode{};         ///< a macvtap's
    std::string mac{};          ///< a macvtap's: that of the guest's interface
    std::uint64_t rate_mib = 0; ///< a second, each way; 0: no limit
    std::string owner{};        ///< the user who may open it; empty: we
    friend bool operator==(const MakeTap&, const MakeTap&) = default;
};
/// Takes a network's bridge, rules and servers away when no machine is left in it.
struct ReleaseNetwork {
    std::string bridge;
    std::string runtime_dir;
    friend bool operator==(const ReleaseNetwork&, const ReleaseNetwork&) = default;
};
/// Copies a file, its holes kept; what has the name `to` is replaced. Undone by removing the copy.
struct CopyFile {
    std::string from;
    std::string to;
    friend bool operator==(const CopyFile&, const CopyFile&) = default;
};
/// Exchanges two files; when there is no `path`, `other` becomes it. Undone by doing it again.
struct SwapFiles {
    std::string path;
    std::string other;
    friend bool operator==(const SwapFiles&, const SwapFiles&) = default;
};
/// Changes a running machine's memory, and awaits that the guest has it. Undone by the same.
struct ResizeMemory {
    std::string vm;
    std::string runtime_dir;
    std::uint64_t before_mib = 0;
    std::uint64_t mib = 0;
    friend bool operator==(const ResizeMemory&, const ResizeMemory&) = default;
};
/// Tells a running machine's supervisor what it has to do otherwise later on. Undone by the same.
struct AmendMachine {
    std::string vm;
    std::string runtime_dir;
    Amendment before;
    Amendment after;
    friend bool operator==(const AmendMachine&, const AmendMachine&) = default;
};
/// Starts the supervisor, which starts the children, and waits until the VMM's control socket answers.
struct StartMachine {
    Launch launch;
    std::string control; ///< the VMM's own control socket; empty: none
    std::string load{};  ///< the directory of a saved state that it goes on from; empty: it boots
    friend bool operator==(const StartMachine&, const StartMachine&) = default;
};
struct AwaitReady {
    std::string vm;
    std::string runtime_dir;
    std::int64_t timeout_ms = 0;
    friend bool operator==(const AwaitReady&, const AwaitReady&) = default;
};
/// Graceful, bounded, then kill; what happened is reported.
struct StopMachine {
    std::string vm;
    std::string runtime_dir;
    std::int64_t timeout_ms = 0;
    friend bool operator==(const StopMachine&, const StopMachine&) = default;
};
/// Removes a directory of ours with everything in it: a machine's runtime directory, or its snapshots. Never one that
/// volumes may be in.
struct RemoveTree {
    std::string path;
    friend bool operator==(const RemoveTree&, const RemoveTree&) = default;
};
/// Does nothing when there is none.
struct RemoveFile {
    std::string path;
    friend bool operator==(const RemoveFile&, const RemoveFile&) = default;
};
/// Only when it is empty; else it stays.
struct RemoveDirectory {
    std::string path;
    friend bool operator==(const RemoveDirectory&, const RemoveDirectory&) = default;
};

using Action = std::variant<MakeDirectory, WriteFile, PinKernel, BuildInitramfs, ReadCredentials, BuildRoot,
                            BuildCloudInit, BuildShareImage, CreateVolume, GrowVolume, GrowRunningVolume, DeleteVolume,
                            EnsureNetwork, MakeTap, ReleaseNetwork, CopyFile, SwapFiles, ResizeMemory, AmendMachine,
                            StartMachine, AwaitReady, StopMachine, RemoveTree, RemoveFile, RemoveDirectory>;

/// What is done for one machine, in this order; several groups at once.
struct ActionGroup {
    std::string name;               ///< of its own: "stop web", "web"; "(shared)" is what several machines need
    std::string vm;                 ///< the machine; empty: several
    std::vector<std::string> after; ///< groups that are done before this begins; all of them are before it in the list
    std::vector<Action> actions;

    friend bool operator==(const ActionGroup&, const ActionGroup&) = default;
};

/// One line for progress and for `plan --commands`: "create volume /var/lib/... (64MiB ext4)".
std::string describe(const Action& action);
/// The whole action, for golden files and `--json`.
nlohmann::json to_json_value(const Action& action);

} // namespace microvmc
