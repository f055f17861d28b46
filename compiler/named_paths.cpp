#include "compiler/named_paths.h"

namespace microvmc {

std::vector<NamedPath> named_paths(const VmConfig& vm) {
    using Kind = PathFacts::Kind;
    std::vector<NamedPath> paths;
    const auto add = [&paths](const Opt<std::string>& path, Kind kind, std::string_view what) {
        if (path && path->value.starts_with('/')) { paths.push_back({&*path, kind, what}); }
    };
    add(vm.kernel_config, Kind::file, "kernel configuration");
    add(vm.modules, Kind::directory, "directory of modules");
    add(vm.initrd, Kind::file, "initramfs");
    add(vm.firmware, Kind::file, "firmware");
    if (vm.root) {
        add(vm.root->image, Kind::file, "root image");
        add(vm.root->dir, Kind::directory, "root directory");
        add(vm.root->tar, Kind::file, "root archive");
        add(vm.root->oci, Kind::other, "OCI image");
        add(vm.root->store, Kind::directory, "store");
    }
    if (vm.cloud_init) {
        add(vm.cloud_init->user_data, Kind::file, "user-data");
        add(vm.cloud_init->meta_data, Kind::file, "meta-data");
        add(vm.cloud_init->network_config, Kind::file, "network-config");
    }
    for (const VolumeConfig& volume : vm.volumes) { add(volume.backing, Kind::file, "image"); }
    for (const CredentialConfig& credential : vm.credentials) { add(credential.file, Kind::file, "credential file"); }
    return paths;
}

} // namespace microvmc
