#pragma once

#include "compiler/plan.h"
#include "runtime/action.h"
#include "runtime/error.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace microvmc {

/// Told how far the making of a root's image is: MiB of its source that were read, and how many there are (0: unknown).
using RootProgress = std::function<void(std::uint64_t done_mib, std::uint64_t total_mib)>;

/// How a stop went, for people.
struct StopOutcome {
    enum class Kind { was_not_running, graceful, killed } kind = Kind::was_not_running;
    std::string detail; ///< "powered off in 1.2s", "didn't end within 60s, killed"
};

/// The one interface to the machine for everything that changes it. LinuxHost is the real one; RecordingHost (tests)
/// keeps a model of the files and machines and fails where it is told. Every method either does all of it or throws
/// Error and has done none of it.
class Host {
public:
    virtual ~Host() = default;

    virtual bool exists(const std::string& path) = 0;
    /// False when it was there already. Parents must exist.
    virtual bool make_directory(const std::string& path, std::uint32_t mode) = 0;
    virtual std::optional<std::string> read_file(const std::string& path) = 0;
    virtual void write_file(const std::string& path, const std::string& content, std::uint32_t mode) = 0;
    virtual void remove_file(const std::string& path) = 0;
    virtual void remove_tree(const std::string& path) = 0;
    /// Only when it is empty; false otherwise.
    virtual bool remove_directory(const std::string& path) = 0;

    /// These four say whether they made anything.
    virtual bool pin_kernel(const KernelPlan& kernel) = 0;
    virtual bool build_initramfs(const BuildInitramfs& request) = 0;
    /// Reads them and keeps them until the machine is started, or this goes.
    virtual void read_credentials(const ReadCredentials& request) = 0;
    virtual bool build_root(const BuildRoot& request, const RootProgress& progress) = 0;
    virtual void build_cloud_init(const BuildCloudInit& request) = 0;
    virtual void build_share_image(const BuildShareImage& request) = 0;
    virtual bool create_volume(const CreateVolume& request) = 0;
    virtual void grow_volume(const GrowVolume& request) = 0;
    virtual void grow_running_volume(const GrowRunningVolume& request) = 0;

    /// Says whether the bridge was made.
    virtual bool ensure_network(const NetworkUp& up) = 0;
    /// Says whether it is gone: not while somebody is on it.
    virtual bool release_network(const ReleaseNetwork& request) = 0;
    virtual void make_tap(const MakeTap& request) = 0;
    virtual void remove_tap(const MakeTap& request) = 0;

    virtual void copy_file(const std::string& from, const std::string& to) = 0;
    /// When there is no `path`, `other` becomes it.
    virtual void swap_files(const std::string& path, const std::string& other) = 0;

    /// Returns when the VMM's control socket answers, and the state that it is to go on from is loaded; throws with the
    /// VMM's last words when it ended instead.
    virtual void start_machine(const StartMachine& request) = 0;
    /// Throws TimeoutError when the guest doesn't get there.
    virtual void resize_memory(const std::string& runtime_dir, std::uint64_t mib) = 0;
    virtual void amend_machine(const std::string& runtime_dir, const Amendment& amendment) = 0;
    virtual void await_ready(const AwaitReady& request) = 0;
    virtual StopOutcome stop_machine(const StopMachine& request) = 0;
};

} // namespace microvmc
