#pragma once

#include "runtime/host.h"
#include "runtime/supervisor/credentials.h"

#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace microvmc {

/// The real machine.
class LinuxHost final : public Host {
public:
    /// `supervisor`: path of the supervisor's program.
    explicit LinuxHost(std::string supervisor);

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
    std::string supervisor_;
    std::mutex credentials_mutex_;
    std::map<std::string, std::vector<supervisor::Credential>> credentials_; ///< by runtime directory
};

} // namespace microvmc
