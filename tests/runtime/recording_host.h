#pragma once

#include "runtime/host.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace microvmc::test {

/// What a host looks like, as far as actions change it.
struct HostModel {
    std::set<std::string> directories;
    std::map<std::string, std::string> files;    ///< path -> content; volumes, pins and initramfs as well
    std::map<std::string, std::string> machines; ///< runtime directory -> what was started there
    std::map<std::string, std::string> taps;     ///< name -> the bridge that it is on
    std::set<std::string> bridges;
    std::map<std::string, std::uint64_t> memory; ///< of machines whose memory was changed: MiB
    std::map<std::string, Amendment> amended;

    friend bool operator==(const HostModel&, const HostModel&) = default;
};

/// A Host that keeps a model, records every call, and fails where it is told. Like the real one, a call that fails has
/// done nothing.
class RecordingHost final : public Host {
public:
    HostModel model;
    std::vector<std::string> calls; ///< those that change something: "write_file /path"
    /// Indices into `calls` that throw instead.
    std::set<std::size_t> fail_at;
    /// Machines that don't get ready.
    bool never_ready = false;

    bool exists(const std::string& path) override;
    bool make_directory(const std::string& path, std::uint32_t mode) override;
    std::optional<std::string> read_file(const std::string& path) override;
    void write_file(const std::string& path, const std::string& content, std::uint32_t mode) override;
    void remove_file(const std::string& path) override;
    void remove_tree(const std::string& path) override;
    bool remove_directory(const std::string& path) override;
    bool pin_kernel(const KernelPlan& kernel) override;
    bool build_initramfs(const BuildInitramfs& request) override;
    void read_credentials(const ReadCredentials& request) override;
    bool build_root(const BuildRoot& request, const RootProgress& progress) override;
    void build_cloud_init(const BuildCloudInit& request) override;
    void build_share_image(const BuildShareImage& request) override;
    bool create_volume(const CreateVolume& request) override;
    void grow_volume(const GrowVolume& request) override;
    void grow_running_volume(const GrowRunningVolume& request) override;
    bool ensure_network(const NetworkUp& up) override;
    bool release_network(const ReleaseNetwork& request) override;
    void make_tap(const MakeTap& request) override;
    void remove_tap(const MakeTap& request) override;
    void copy_file(const std::string& from, const std::string& to) override;
    void swap_files(const std::string& path, const std::string& other) override;
    void start_machine(const StartMachine& request) override;
    void resize_memory(const std::string& runtime_dir, std::uint64_t mib) override;
    void amend_machine(const std::string& runtime_dir, const Amendment& amendment) override;
    void await_ready(const AwaitReady& request) override;
    StopOutcome stop_machine(const StopMachine& request) override;

private:
    std::map<std::string, std::vector<std::string>> taps_of_; ///< runtime directory -> taps that go with its machine
    void record(const std::string& call);
    void add_file(const std::string& path, const std::string& content);
    [[nodiscard]] bool has_entries(const std::string& directory) const;
};

} // namespace microvmc::test
