#pragma once

#include <string>
#include <vector>

namespace microvmc {

/// A module in a modules directory.
struct ModuleFile {
    std::string name; ///< with underscores: "virtio_net"
    std::string path; ///< relative to the directory, as modules.dep has it: "kernel/drivers/net/virtio_net.ko.xz"

    friend bool operator==(const ModuleFile&, const ModuleFile&) = default;
};

struct ResolvedModules {
    std::vector<ModuleFile> files;    ///< each once, after all that it depends on
    std::vector<std::string> unknown; ///< names that are neither a module here, nor an alias, nor built in
};

/// The modules of these names and all that they need: hard dependencies (modules.dep) and soft ones that come before
/// (modules.softdep), in load order, by libkmod. What is built into the kernel is left out; a soft dependency that
/// isn't there is, too, as modprobe does. The host's modprobe.d has no say. Throws Error when the directory has no
/// index (depmod's modules.dep.bin).
ResolvedModules resolve_modules(const std::string& directory, const std::vector<std::string>& names);

/// "virtio_net.ko" of "kernel/drivers/net/virtio_net.ko.xz".
std::string plain_module_name(const std::string& path);

} // namespace microvmc
