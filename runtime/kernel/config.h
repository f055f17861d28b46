#pragma once

#include "compiler/facts.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace microvmc {

/// A kernel's configuration: a `.config` as its build wrote it (linux: Documentation/kbuild/kconfig.rst).
class KernelConfig {
public:
    enum class Setting { absent, module, built_in };

    /// What is no setting is passed over.
    static KernelConfig parse(std::string_view text);
    /// Of an option without its prefix: "VIRTIO_BLK".
    [[nodiscard]] Setting of(std::string_view option) const;

    [[nodiscard]] const std::map<std::string, Setting, std::less<>>& settings() const { return settings_; }

private:
    std::map<std::string, Setting, std::less<>> settings_;
};

/// The text of a kernel's configuration: `named` when it isn't empty; else what lies beside the kernel (config-RELEASE,
/// config, .config, and the .config of the tree that it was built in), /boot/config-RELEASE, or what the kernel holds
/// itself (CONFIG_IKCONFIG; linux: kernel/configs.c). Nothing when there is none, or it can't be read.
std::optional<std::string> find_kernel_config(const KernelFacts& kernel, const std::string& named);

/// The same without looking into the kernel, which takes long.
std::optional<std::string> config_beside(const KernelFacts& kernel);
/// Only what the kernel itself holds.
std::optional<std::string> config_inside(const KernelFacts& kernel);

/// The option by which a kernel has a driver, as modules are named: "virtio_blk" -> "VIRTIO_BLK". Empty: a guest does
/// without it, or it isn't known.
std::string_view option_of_module(std::string_view module);

/// What a machine may need, of a configuration's text.
KernelOptions options_of(std::string_view text);
/// Whether `options_of` keeps it.
bool is_known_option(std::string_view option);

/// What our init needs of any kernel.
std::vector<std::string_view> init_options();

} // namespace microvmc
