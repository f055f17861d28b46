#include "testkit/kernel_check.h"

#include "compiler/compile.h"
#include "runtime/backend.h"
#include "runtime/kernel/config.h"

#include <gmock/gmock.h>

#include <fmt/format.h>

// What a kernel must have for a machine, before it is booted.

namespace microvmc::testkit {

namespace {

VmPlan plain() {
    VmPlan vm;
    vm.name = "a";
    vm.hypervisor = "qemu";
    vm.machine = "microvm";
    vm.kernel.source = "/boot/vmlinux-test";
    vm.kernel.modules = "/lib/modules/test";
    vm.root.kind = RootPlan::Kind::initramfs;
    return vm;
}

KernelOptions config(const std::vector<std::string>& settings) {
    std::string text = "CONFIG_MODULES=y\n";
    for (const std::string_view option : init_options()) { text += fmt::format("CONFIG_{}=y\n", option); }
    for (const std::string& setting : settings) { text += fmt::format("CONFIG_{}\n", setting); }
    return options_of(text);
}

const std::vector<std::string> enough{"ACPI=y", "SERIAL_8250_CONSOLE=y", "VIRTIO_MMIO=m", "VIRTIO_CONSOLE=m"};

} // namespace

TEST(KernelCheck, WhatAPlainMachineNeedsIsNamed) {
    EXPECT_EQ(missing_for(plain(), config(enough)), "");
    EXPECT_EQ(missing_for(plain(), config({"ACPI=y", "VIRTIO_MMIO=m"})),
              "vmlinux-test lacks CONFIG_SERIAL_8250_CONSOLE, CONFIG_VIRTIO_CONSOLE");
}

TEST(KernelCheck, DevicesNeedTheirDrivers) {
    VmPlan vm = plain();
    VolumePlan& volume = vm.volumes.emplace_back();
    volume.name = "data";
    volume.fs_type = "ext4";
    volume.mount_point = "/data";
    vm.shares.emplace_back().name = "share";
    EXPECT_EQ(missing_for(vm, config(enough)),
              "vmlinux-test lacks CONFIG_VIRTIO_BLK, CONFIG_EXT4_FS, CONFIG_NET_9P_VIRTIO, CONFIG_9P_FS");
}

TEST(KernelCheck, ModulesTakeAKernelThatLoadsThem) {
    KernelOptions options = config(enough);
    options.erase("MODULES");
    EXPECT_EQ(missing_for(plain(), options), "vmlinux-test lacks CONFIG_MODULES");
}

TEST(KernelCheck, ModulesCountOnlyWhereTheyAre) {
    VmPlan vm = plain();
    vm.kernel.modules.clear();
    EXPECT_EQ(missing_for(vm, config(enough)),
              "vmlinux-test lacks CONFIG_VIRTIO_MMIO, CONFIG_VIRTIO_CONSOLE (it comes without modules)");
}

TEST(KernelCheck, EachMachineAndFormOfKernelHasItsOwn) {
    VmPlan vm = plain();
    vm.machine = "q35";
    vm.kernel.image = KernelImage::elf;
    EXPECT_EQ(missing_for(vm, config(enough)), "vmlinux-test lacks CONFIG_PCI, CONFIG_PVH, CONFIG_VIRTIO_PCI");
}

} // namespace microvmc::testkit
