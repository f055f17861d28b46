#include "tests/runtime/sample.h"

#include "runtime/backend.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

namespace microvmc::test {

namespace {

constexpr const char* kernel_path = "/boot/vmlinuz-6.1.0-56-amd64";
const FileIdentity kernel_identity{.device = 1, .inode = 2, .mtime_ns = 3, .size = 8'000'000};

ToolFacts tool(const std::string& path, const std::string& version, std::uint64_t inode) {
    return {.path = path, .version = version, .identity = {.device = 1, .inode = inode, .mtime_ns = 5, .size = 6}};
}

} // namespace

HostFacts sample_facts() {
    HostFacts facts;
    facts.hostname = "nas1";
    facts.arch = "x86_64";
    facts.state_dir = "/var/lib/microvmc";
    facts.runtime_dir = "/run/microvmc";
    facts.cpus = 2;
    facts.memory_mib = 4096;
    facts.tsc_khz = 2'596'138;
    facts.kvm = {.state = KvmState::missing, .reason = "no /dev/kvm"};
    facts.tools["qemu-system-x86_64"] = tool("/usr/bin/qemu-system-x86_64", "7.2.22", 11);
    facts.tools["mke2fs"] = tool("/usr/sbin/mke2fs", "1.47.0", 12);
    facts.tools["busybox"] = tool("/bin/busybox", "1.35.0", 13);
    facts.guest_init = tool("/usr/libexec/microvmc/microvmc-init", "", 14);
    KernelFacts kernel;
    kernel.path = kernel_path;
    kernel.release = "6.1.0-56-amd64";
    kernel.modules = "/lib/modules/6.1.0-56-amd64";
    kernel.image = KernelImage::bzimage;
    kernel.compression = Compression::xz;
    kernel.identity = kernel_identity;
    facts.kernels.push_back(kernel);
    return facts;
}

VmPlan kvm_vm(const std::string& hypervisor, const std::string& program) {
    VmPlan vm = hello_vm();
    vm.hypervisor = hypervisor;
    vm.program = program;
    vm.accel = "kvm";
    vm.interfaces.front().type = "tap";
    vm.interfaces.front().id = "mv0123456789";
    return vm;
}

std::vector<std::string> argv_of(const VmPlan& vm) {
    return backend(vm.hypervisor).lower(vm, "/cache/initramfs").children.back().argv;
}

std::vector<std::string> values(const std::vector<std::string>& argv, const std::string& name) {
    std::vector<std::string> found;
    for (std::size_t i = 0; i + 1 < argv.size(); ++i) {
        if (argv[i] == name) { found.push_back(argv[i + 1]); }
    }
    return found;
}

SharePlan virtiofs_share(const std::string& name) {
    SharePlan share;
    share.name = share.tag = name;
    share.proto = "virtiofs";
    share.source = "/srv/" + name;
    share.server = "/usr/libexec/virtiofsd";
    share.server_kind = "rust";
    share.sandbox = "chroot";
    return share;
}

VmPlan hello_vm() {
    VmPlan vm;
    vm.name = "web";
    vm.hypervisor = "qemu";
    vm.program = "/usr/bin/qemu-system-x86_64";
    vm.program_version = "7.2.22";
    vm.accel = "tcg";
    vm.accel_reason = "no /dev/kvm";
    vm.arch = "x86_64";
    vm.mem_mib = 256;
    vm.kernel.source = kernel_path;
    vm.kernel.release = "6.1.0-56-amd64";
    vm.kernel.identity = kernel_identity;
    vm.kernel.pin = "/var/lib/microvmc/kernels/6.1.0-56-amd64-0123456789ab";
    vm.kernel.modules = "/lib/modules/6.1.0-56-amd64";
    vm.hostname = "web";
    vm.command = {"httpd", "-f", "-p", "80", "-h", "/srv/www"};
    vm.state_dir = "/var/lib/microvmc/projects/hello/web";
    vm.runtime_dir = "/run/microvmc/hello/web";

    VolumePlan volume;
    volume.name = "data";
    volume.image = vm.state_dir + "/volumes/data.img";
    volume.size_mib = 64;
    volume.fs_type = "ext4";
    volume.label = "data";
    volume.serial = "mv0123456789abcdef01";
    volume.uuid = "01234567-89ab-4def-8123-456789abcdef";
    volume.mount_point = "/data";
    vm.volumes.push_back(volume);

    SharePlan share;
    share.name = "www";
    share.source = "/srv/hello/www";
    share.mount_point = "/srv/www";
    share.tag = "www";
    share.security_model = "none";
    share.read_only = true;
    vm.shares.push_back(share);

    InterfacePlan interface;
    interface.name = "user";
    interface.mac = "02:00:5e:01:02:03";
    interface.addresses = {"10.0.2.15/24"};
    interface.gateway = "10.0.2.2";
    interface.dns = {"10.0.2.3"};
    ForwardPlan forward;
    forward.name = "0";
    forward.host_port = 8080;
    forward.guest_port = 80;
    interface.forwards.push_back(forward);
    vm.interfaces.push_back(interface);

    vm.ready.kind = ReadyPlan::Kind::http;
    vm.ready.port = 80;
    vm.ready.path = "/";

    const MachineChoice choice = backend("qemu").traits.choose_machine(vm, sample_facts());
    vm.machine = choice.machine;
    vm.machine_reason = choice.machine_reason;
    vm.kernel.image = choice.kernel_image;
    vm.kernel.image_reason = choice.kernel_image_reason;
    vm.kernel.params = choice.kernel_params;
    return vm;
}

Plan hello_plan() {
    Plan plan;
    plan.project = "hello";
    plan.project_state_dir = "/var/lib/microvmc/projects/hello";
    plan.project_runtime_dir = "/run/microvmc/hello";
    plan.host = "nas1";
    plan.arch = "x86_64";
    plan.vms.push_back(hello_vm());
    return plan;
}

Observed nothing_observed() {
    return {};
}

Observed running(const VmPlan& vm) {
    ObservedVm observed;
    observed.name = vm.name;
    observed.plan = vm;
    observed.running = true;
    for (const VolumePlan& volume : vm.volumes) { observed.volumes[volume.name] = volume.size_mib; }
    Observed all;
    all.vms.push_back(std::move(observed));
    return all;
}

Changes one_change(ChangeKind kind) {
    VmChange change;
    change.vm = "web";
    change.kind = kind;
    return {{change}};
}

void expect_golden(const std::string& name, const std::string& text) {
    const std::string path = std::string(TEST_SOURCE_DIR) + "/tests/runtime/golden/" + name;
    if (std::getenv("MICROVMC_UPDATE_GOLDEN") != nullptr) {
        std::ofstream(path) << text;
        return;
    }
    std::ifstream file(path);
    const std::string expected{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(text, expected) << path << " differs; MICROVMC_UPDATE_GOLDEN=1 writes it anew";
}

} // namespace microvmc::test
