#include "runtime/backend.h"
#include "runtime/backends/keyval.h"
#include "runtime/error.h"
#include "runtime/qmp.h"
#include "tests/runtime/real_qemu.h"
#include "tests/runtime/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace microvmc::test {

namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr milliseconds patience{10'000};

// Everything that could be taken for syntax, and that a file's name may have.
constexpr const char* weird = "a,b,,c=d \"e\" 'f' 100% \\ new\nline h\xc3\xa4t id=x";

MachineChoice choose(const VmPlan& vm, const HostFacts& facts) {
    return backend("qemu").traits.choose_machine(vm, facts);
}

// The value of an option that is there once.
std::string option(const std::vector<std::string>& argv, const std::string& name) {
    const auto found = std::ranges::find(argv, name);
    return found == argv.end() || found + 1 == argv.end() ? std::string() : *(found + 1);
}

} // namespace

TEST(QemuMachine, MicrovmGetsTheTscFrequencyUnderTcgOnly) {
    VmPlan vm = hello_vm();
    MachineChoice choice = choose(vm, sample_facts());
    EXPECT_EQ(choice.machine, "microvm");
    EXPECT_THAT(choice.kernel_params, Contains("tsc_early_khz=2596138"));
    EXPECT_THAT(choice.kernel_params, Contains("tsc=reliable"));
    vm.accel = "kvm";
    choice = choose(vm, sample_facts());
    EXPECT_EQ(choice.machine, "microvm");
    EXPECT_THAT(choice.kernel_params, Not(Contains(HasSubstr("tsc"))));
}

TEST(QemuMachine, Q35WhereMicrovmIsNotSafe) {
    HostFacts facts = sample_facts();
    facts.tsc_khz = 0;
    MachineChoice choice = choose(hello_vm(), facts);
    EXPECT_EQ(choice.machine, "q35");
    EXPECT_THAT(choice.machine_reason, HasSubstr("TSC"));
    EXPECT_THAT(choice.kernel_params, Not(Contains(HasSubstr("tsc"))));

    for (const char* release : {"", "5.7.19", "4.19.0-26-amd64", "mainline", "6", "6."}) {
        VmPlan vm = hello_vm();
        vm.kernel.release = release;
        EXPECT_EQ(choose(vm, sample_facts()).machine, "q35") << release;
    }
    for (const char* release : {"5.8.0", "5.10.0-30-amd64", "6.1", "7.0-rc1", "10.0"}) {
        VmPlan vm = hello_vm();
        vm.kernel.release = release;
        EXPECT_EQ(choose(vm, sample_facts()).machine, "microvm") << release;
    }
    VmPlan vm = hello_vm();
    vm.kernel.modules.clear();
    EXPECT_EQ(choose(vm, sample_facts()).machine, "q35");
}

TEST(QemuMachine, Microvm24SlotsAreNotExceeded) {
    VmPlan vm = hello_vm(); // rng, channels, volume, share, interface
    vm.volumes.resize(vm.volumes.size() + 19, vm.volumes.front());
    EXPECT_EQ(choose(vm, sample_facts()).machine, "microvm");
    vm.volumes.push_back(vm.volumes.front());
    EXPECT_EQ(choose(vm, sample_facts()).machine, "q35");
    vm.volumes.pop_back();
    vm.root.kind = RootPlan::Kind::share;
    EXPECT_EQ(choose(vm, sample_facts()).machine, "q35");
}

TEST(QemuRoot, AnImageThatWasMadeIsTheFirstDiskAndReadOnly) {
    for (const RootPlan::Kind kind : {RootPlan::Kind::dir, RootPlan::Kind::tar}) {
        VmPlan vm = hello_vm();
        vm.root.kind = kind;
        vm.root.fs_type = "erofs";
        vm.root.source = "/srv/rootfs";
        vm.root.image = std::string("/state/roots/") + weird;
        const Lowered lowered = backend("qemu").lower(vm, "/cache/initramfs");
        const auto& argv = lowered.children.front().argv;
        const std::string disk = option(argv, "-blockdev");
        EXPECT_THAT(disk, HasSubstr("driver=raw,node-name=root,read-only=on"));
        EXPECT_THAT(disk, HasSubstr("/state/roots/a,,b,,,,c=d"));
        EXPECT_THAT(argv, Contains(HasSubstr("drive=root,serial=microvmc-root")));
        EXPECT_THAT(lowered.modules, Contains("erofs"));
        EXPECT_THAT(lowered.modules, Contains("overlay"));
        EXPECT_THAT(lowered.file_systems, testing::IsEmpty());
        vm.root.overlay = "none";
        EXPECT_THAT(backend("qemu").lower(vm, "").modules, Not(Contains("overlay")));
    }
}

TEST(QemuRoot, ADiskImageKeepsItsFormatAndItsGuestFindsOutItsFileSystem) {
    VmPlan vm = hello_vm();
    vm.root.kind = RootPlan::Kind::image;
    vm.root.source = "/srv/disk.img";
    vm.root.format = "qcow2";
    vm.root.read_only = false;
    vm.root.overlay = "none";
    const Lowered lowered = backend("qemu").lower(vm, "/cache/initramfs");
    EXPECT_THAT(option(lowered.children.front().argv, "-blockdev"),
                HasSubstr("driver=qcow2,node-name=root,read-only=off"));
    EXPECT_THAT(lowered.file_systems, Contains("btrfs"));
    EXPECT_THAT(lowered.modules, Not(Contains("btrfs")));
}

TEST(QemuMachine, TheElfWhereDecompressingIsSlow) {
    const auto image = [](Compression compression, const std::string& accel) {
        HostFacts facts = sample_facts();
        facts.kernels.front().compression = compression;
        VmPlan vm = hello_vm();
        vm.accel = accel;
        return choose(vm, facts).kernel_image;
    };
    EXPECT_EQ(image(Compression::xz, "tcg"), KernelImage::elf);
    EXPECT_EQ(image(Compression::zstd, "tcg"), KernelImage::elf);
    EXPECT_EQ(image(Compression::xz, "kvm"), KernelImage::elf);
    EXPECT_EQ(image(Compression::lz4_legacy, "kvm"), KernelImage::bzimage);
    EXPECT_EQ(image(Compression::other, "tcg"), KernelImage::bzimage);
    HostFacts unknown = sample_facts();
    unknown.kernels.clear();
    EXPECT_EQ(choose(hello_vm(), unknown).kernel_image, KernelImage::bzimage);
}

TEST(QemuLower, ExtraArgumentsComeLast) {
    VmPlan vm = hello_vm();
    vm.extra_args = {"-device", "foo,bar"};
    const auto argv = argv_of(vm);
    EXPECT_EQ(std::vector<std::string>(argv.end() - 2, argv.end()), vm.extra_args);
    EXPECT_EQ(argv.front(), vm.program);
}

TEST(QemuLower, WhatCannotBeSaidIsRefused) {
    VmPlan vm = hello_vm();
    vm.shares.front().source = std::string("/a\0b", 4);
    EXPECT_THROW(argv_of(vm), Error);
    vm = hello_vm();
    vm.kernel.params.emplace_back("a=\"b\"");
    EXPECT_THROW(argv_of(vm), Error);
    vm = hello_vm();
    vm.interfaces.front().forwards.front().host_address = "::1";
    EXPECT_THROW(argv_of(vm), Error);
}

TEST(QemuLower, OnlyTheModulesThatThePlanNeeds) {
    VmPlan vm = hello_vm();
    auto modules = backend("qemu").lower(vm, "").modules;
    EXPECT_THAT(modules,
                ::testing::UnorderedElementsAre("virtio_mmio", "virtio_console", "virtio_rng", "button", "evdev",
                                                "virtio_blk", "ext4", "9pnet_virtio", "9p", "virtio_net"));
    vm.volumes.clear();
    vm.shares.clear();
    vm.interfaces.clear();
    vm.machine = "q35";
    modules = backend("qemu").lower(vm, "").modules;
    EXPECT_THAT(modules,
                ::testing::UnorderedElementsAre("virtio_pci", "virtio_console", "virtio_rng", "button", "evdev"));
    vm.root.kind = RootPlan::Kind::share;
    modules = backend("qemu").lower(vm, "").modules;
    EXPECT_THAT(modules, Contains("9p"));
    EXPECT_THAT(modules, Contains("overlay"));
}

TEST(QemuLower, TheUserNetworkIsThePlans) {
    VmPlan vm = hello_vm();
    InterfacePlan& interface = vm.interfaces.front();
    EXPECT_EQ(option(argv_of(vm), "-netdev"),
              "user,id=interface0,ipv6=off,net=10.0.2.0/24,host=10.0.2.2,dhcpstart=10.0.2.15,dns=10.0.2.3,"
              "hostfwd=tcp:127.0.0.1:8080-10.0.2.15:80");
    interface.addresses = {"fd00::5/64", "192.168.7.5/24"};
    interface.gateway = "192.168.7.1";
    interface.dns = {"9.9.9.9", "192.168.7.3"};
    interface.forwards.front().guest_address = "192.168.7.5";
    interface.forwards.front().proto = "udp";
    EXPECT_EQ(option(argv_of(vm), "-netdev"),
              "user,id=interface0,ipv6=off,net=192.168.7.0/24,host=192.168.7.1,dhcpstart=192.168.7.5,"
              "dns=192.168.7.3,hostfwd=udp:127.0.0.1:8080-192.168.7.5:80");
}

TEST(KeyValues, CommasAreDoubled) {
    EXPECT_EQ(KeyValues("driver").add("a", "1,2").add("b", true).add("c", "").text(), "driver,a=1,,2,b=on,c=");
    EXPECT_EQ(KeyValues().add("guest", "=").text(), "guest==");
    EXPECT_THROW(KeyValues().add("a", std::string_view("\0", 1)), Error);
}

// Every value of the user's gets to a real QEMU as it was; on each machine, its sandbox on.
class RealQemu : public ::testing::TestWithParam<const char*> {};

TEST_P(RealQemu, TakesTheLineAndHasEveryValueAsItWas) {
    if (qemu_program().empty()) { GTEST_SKIP() << "qemu-system-x86_64 is not installed"; }
    // Short, for the sockets below it.
    const TemporaryDirectory directory;
    const std::string base = directory.path() + "/x,y=z \"'%\n\xc3\xa4";
    fs::create_directories(base + "/pin");
    fs::create_directories(base + "/" + weird);
    VmPlan vm = hello_vm();
    vm.volumes.front().name = std::string(31, 'v');
    vm.program = qemu_program();
    vm.machine = GetParam();
    vm.kernel.image = KernelImage::bzimage;
    vm.kernel.pin = base + "/pin";
    vm.kernel.params.emplace_back("text=with space, comma = h\xc3\xa4t 100%");
    vm.runtime_dir = base;
    vm.name = weird;
    vm.volumes.front().image = base + "/" + weird + ".img";
    vm.volumes.front().serial = "s,e=r i\"al";
    vm.shares.front().source = base + "/" + weird;
    vm.shares.front().tag = "t,a=g \"1\"";
    vm.interfaces.front().forwards.front().host_port = 0; // any; only that the line is taken matters
    const auto kernel = [] {
        std::error_code ignored;
        for (const auto& entry : fs::directory_iterator("/boot", ignored)) {
            if (entry.path().filename().string().starts_with("vmlinuz-")) { return entry.path(); }
        }
        return fs::path();
    }();
    if (kernel.empty()) { GTEST_SKIP() << "no /boot/vmlinuz-*"; }
    fs::create_symlink(kernel, vm.kernel.pin + "/vmlinuz");
    const std::string initramfs = base + "/initramfs,a=b";
    std::ofstream(initramfs) << "x";
    std::ofstream(vm.volumes.front().image) << std::string(1 << 20, 'v');

    Lowered lowered = backend("qemu").lower(vm, initramfs);
    std::vector<std::string> argv = lowered.children.front().argv;
    argv.emplace_back("-S");
    Process process(argv, directory.path() + "/log");
    std::optional<Qmp> qmp;
    try {
        qmp.emplace(lowered.control, patience);
    } catch (const Error& error) { FAIL() << error.what() << '\n' << process.output(); }
    const auto query = [&](const char* command) { return qmp->execute(command, patience); };
    const auto property = [&](const std::string& path, const std::string& name) {
        return qmp->execute("qom-get", {{"path", path}, {"property", name}}, patience);
    };
    EXPECT_EQ(query("query-name").at("name"), weird);
    EXPECT_EQ(property("/machine", "kernel"), vm.kernel.pin + "/vmlinuz");
    EXPECT_EQ(property("/machine", "initrd"), initramfs);
    EXPECT_THAT(property("/machine", "append").get<std::string>(),
                HasSubstr("tsc=reliable \"text=with space, comma = h\xc3\xa4t 100%\""));
    std::vector<std::string> files;
    for (const auto& node : query("query-named-block-nodes")) { files.push_back(node.at("file").get<std::string>()); }
    EXPECT_THAT(files, Contains(vm.volumes.front().image));
    EXPECT_EQ(property("/machine/peripheral/volume0-device", "serial"), vm.volumes.front().serial);
    EXPECT_EQ(property("/machine/peripheral/share0-device", "mount_tag"), vm.shares.front().tag);
    EXPECT_EQ(property("/machine/peripheral/interface0-device", "mac"), vm.interfaces.front().mac);
    std::vector<std::string> channels;
    for (const auto& channel : query("query-chardev")) {
        channels.push_back(channel.at("filename").get<std::string>());
    }
    EXPECT_THAT(channels, Contains(HasSubstr(lowered.agent.socket)));
    EXPECT_TRUE(fs::exists(lowered.agent.socket));

    // The image is locked: a second machine can't have it.
    const std::vector<std::string> second{
        vm.program,
        "-machine",
        "microvm",
        "-S",
        "-nodefaults",
        "-display",
        "none",
        "-blockdev",
        *std::ranges::find_if(argv, [](const std::string& each) { return each.starts_with("driver=raw"); }),
        "-device",
        "virtio-blk-device,drive=volume0"};
    Process other(second, directory.path() + "/other");
    EXPECT_EQ(other.wait(), 1);
    EXPECT_THAT(other.output(), HasSubstr("lock"));

    qmp.reset(); // QMP has one client at a time
    backend("qemu").attach(lowered.control, patience)->quit();
    EXPECT_EQ(process.wait(), 0) << process.output();
}

INSTANTIATE_TEST_SUITE_P(Machines, RealQemu, ::testing::Values("microvm", "q35"));

} // namespace microvmc::test
