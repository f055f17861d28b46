#include "runtime/backend.h"
#include "runtime/error.h"
#include "runtime/facts/kvm_probe.h"
#include "runtime/facts/tools.h"
#include "runtime/http_client.h"
#include "tests/runtime/recorded_api.h"
#include "tests/runtime/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

namespace microvmc::test {

namespace {

using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr milliseconds patience{10'000};

// Everything that could be taken for syntax, and that a file's name may have.
constexpr const char* weird = " a,b,,c=d \"e\" \"\"'f' 100% \\ [x]] new\nline h\xc3\xa4t id=x ";

const Backend& its() {
    return backend("cloud-hypervisor");
}

VmPlan sample() {
    VmPlan vm = kvm_vm("cloud-hypervisor", "/usr/bin/cloud-hypervisor");
    vm.program_version = "53.0";
    vm.machine.clear();
    vm.shares.clear();
    vm.kernel.image = KernelImage::elf;
    vm.kernel.params = its().traits.choose_machine(vm, sample_facts()).kernel_params;
    return vm;
}

// What follows an option, up to the next one.
std::vector<std::string> arguments(const std::vector<std::string>& argv, const std::string& name) {
    std::vector<std::string> found;
    auto at = std::ranges::find(argv, name);
    while (at != argv.end() && ++at != argv.end() && !at->starts_with("--")) { found.push_back(*at); }
    return found;
}

} // namespace

TEST(CloudHypervisor, HasWhatThePlanSays) {
    const Lowered lowered = its().lower(sample(), "/cache/initramfs");
    const auto& argv = lowered.children.back().argv;
    EXPECT_THAT(arguments(argv, "--kernel"),
                ElementsAre("/var/lib/microvmc/kernels/6.1.0-56-amd64-0123456789ab/vmlinux"));
    EXPECT_THAT(arguments(argv, "--initramfs"), ElementsAre("/cache/initramfs"));
    EXPECT_THAT(arguments(argv, "--cmdline"),
                ElementsAre("console=ttyS0 quiet rdinit=/microvmc/init reboot=t panic=0"));
    EXPECT_THAT(arguments(argv, "--memory"), ElementsAre("size=256M"));
    EXPECT_THAT(arguments(argv, "--cpus"), ElementsAre("boot=1"));
    EXPECT_THAT(arguments(argv, "--serial"), ElementsAre("tty"));
    EXPECT_THAT(arguments(argv, "--console"), ElementsAre("off"));
    EXPECT_THAT(arguments(argv, "--vsock"), ElementsAre("cid=3,socket=/run/microvmc/hello/web/vsock.sock"));
    EXPECT_THAT(arguments(argv, "--disk"),
                ElementsAre("path=/var/lib/microvmc/projects/hello/web/volumes/data.img,readonly=off,id=volume0,"
                            "serial=mv0123456789abcdef01,sparse=off,image_type=raw"));
    EXPECT_THAT(arguments(argv, "--net"), ElementsAre("tap=mv0123456789,mac=02:00:5e:01:02:03"));
    EXPECT_THAT(arguments(argv, "--seccomp"), ElementsAre("true"));
    EXPECT_EQ(lowered.end, "poweroff");
    EXPECT_EQ(lowered.agent.kind, AgentChannel::Kind::hybrid_vsock);
    EXPECT_EQ(lowered.agent_device, "vsock:" + std::to_string(lowered.agent.port));
    EXPECT_THAT(lowered.modules, Contains("vmw_vsock_virtio_transport"));
}

TEST(CloudHypervisor, AConsoleIsOneOfTwoOrNone) {
    VmPlan vm = sample();
    vm.console = "virtio";
    EXPECT_THAT(arguments(argv_of(vm), "--serial"), ElementsAre("off"));
    EXPECT_THAT(arguments(argv_of(vm), "--console"), ElementsAre("tty"));
    EXPECT_EQ(its().lower(vm, "").console_device, "/dev/hvc0");
    EXPECT_THAT(its().traits.choose_machine(vm, sample_facts()).kernel_params, Contains("console=hvc0"));
    vm.console = "off";
    EXPECT_THAT(arguments(argv_of(vm), "--serial"), ElementsAre("off"));
    EXPECT_THAT(arguments(argv_of(vm), "--console"), ElementsAre("off"));
    const auto params = its().traits.choose_machine(vm, sample_facts()).kernel_params;
    EXPECT_THAT(params, Contains("console=null"));
    EXPECT_THAT(params, Contains("panic=-1")) << "nobody would see that it stands still";
}

TEST(CloudHypervisor, ASharesServerWorksInTheGuestsMemory) {
    VmPlan vm = sample();
    vm.shares = {virtiofs_share("www"), virtiofs_share("www")};
    const Lowered lowered = its().lower(vm, "");
    ASSERT_EQ(lowered.children.size(), 3U);
    EXPECT_EQ(lowered.children[1].listen, "/run/microvmc/hello/web/fs1.sock");
    EXPECT_THAT(arguments(lowered.children.back().argv, "--memory"), ElementsAre("size=256M,shared=on"));
    EXPECT_THAT(arguments(lowered.children.back().argv, "--fs"),
                ElementsAre("tag=www,socket=/run/microvmc/hello/web/fs0.sock",
                            "tag=www,socket=/run/microvmc/hello/web/fs1.sock"));
}

TEST(CloudHypervisor, MemoryIsPluggedInByItsBlocks) {
    VmPlan vm = sample();
    vm.mem_mib = 384;
    vm.mem_boot_mib = 256;
    vm.mem_max_mib = 768;
    EXPECT_THAT(arguments(argv_of(vm), "--memory"),
                ElementsAre("size=256M,hotplug_method=virtio-mem,hotplug_size=512M,hotplugged_size=128M"));
    EXPECT_THAT(its().traits.choose_machine(vm, sample_facts()).problems, IsEmpty());
    vm.mem_max_mib = 770;
    const auto problems = its().traits.choose_machine(vm, sample_facts()).problems;
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems.front().key, "mem-max");
    vm.mem_max_mib = 0;
    vm.hugepages = "2MiB";
    EXPECT_THAT(arguments(argv_of(vm), "--memory"), ElementsAre("size=384M,hugepages=on,hugepage_size=2M"));
}

TEST(CloudHypervisor, WhatAVersionDoesNotKnowItIsNotGiven) {
    VmPlan vm = sample();
    vm.program_version = "51.1";
    EXPECT_THAT(arguments(argv_of(vm), "--disk").front(), Not(HasSubstr("image_type")));
    vm.program_version = "50.0";
    const auto problems = its().traits.choose_machine(vm, sample_facts()).problems;
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_THAT(problems.front().message, HasSubstr("50.0 is older than 51.0"));
    vm.program_version.clear();
    EXPECT_THAT(its().traits.choose_machine(vm, sample_facts()).problems, IsEmpty());
}

TEST(CloudHypervisor, HasSoManySlots) {
    VmPlan vm = sample();
    vm.volumes.resize(28, vm.volumes.front());
    EXPECT_THAT(its().traits.choose_machine(vm, sample_facts()).problems, IsEmpty());
    vm.volumes.push_back(vm.volumes.front());
    EXPECT_EQ(its().traits.choose_machine(vm, sample_facts()).problems.size(), 1U);
}

TEST(CloudHypervisor, WhatNoArgumentCanSayIsRefused) {
    VmPlan vm = sample();
    vm.volumes.front().image = std::string("a\0b", 3);
    EXPECT_THROW(its().lower(vm, ""), Error);
    vm = sample();
    vm.kernel.params.emplace_back("a\"b");
    EXPECT_THROW(its().lower(vm, ""), Error);
}

TEST(CloudHypervisor, IsAskedAsItsApiHasIt) {
    constexpr std::uint64_t mib = 1U << 20U;
    nlohmann::json info = {{"state", "Running"},
                           {"memory_actual_size", 512 * mib},
                           {"config", {{"memory", {{"size", 512 * mib}}}, {"balloon", {{"size", 64 * mib}}}}}};
    info["memory_actual_size"] = 448 * mib;
    RecordedApi api({{"GET /api/v1/vmm.ping", {{"version", "53"}}},
                     {"GET /api/v1/vm.info", info},
                     {"GET /api/v1/vm.counters",
                      {{"volume1", {{"read_ops", 3}, {"write_ops", 4}, {"read_bytes", 5}, {"write_bytes", 6}}},
                       {"volumex", {{"read_ops", 9}}},
                       {"__net", {{"rx_bytes", 1}}}}}});
    const auto control = its().attach(api.path(), patience);
    EXPECT_FALSE(control->paused());
    control->pause();
    control->resume();
    control->power_button();
    control->set_balloon(64);
    EXPECT_EQ(control->balloon_mib(), 64U);
    EXPECT_EQ(control->memory_mib(), 512U);
    control->set_memory(640);
    control->grow_volume({.volume = 2, .disk = 3, .image = "/i/data", .bytes = 128 * mib});
    const ControlStats stats = control->stats();
    EXPECT_EQ(stats.balloon_mib, 64U);
    ASSERT_EQ(stats.disks.size(), 2U);
    EXPECT_EQ(stats.disks[1].writes, 4U);
    EXPECT_EQ(stats.disks[1].read_bytes, 5U);
    control->quit();
    expect_requests("cloud-hypervisor", api.take());
}

TEST(CloudHypervisor, SavesAndLoadsAsItsApiHasIt) {
    RecordedApi api({{"GET /api/v1/vmm.ping", {{"version", "53"}}}});
    const auto control = its().attach(api.path(), patience);
    VmPlan vm = kvm_vm("cloud-hypervisor", "/usr/bin/cloud-hypervisor");
    vm.shares.clear();
    control->require_savable(vm);
    control->save("/snapshot of 100%/state", patience);
    control->load("/snapshot of 100%/state", patience);
    expect_requests("cloud-hypervisor-snapshot", api.take());
}

TEST(CloudHypervisor, LoadsWithoutAMachine) {
    const VmPlan vm = kvm_vm("cloud-hypervisor", "/usr/bin/cloud-hypervisor");
    const Lowered lowered = its().lower(vm, "/cache/initramfs");
    EXPECT_EQ(its().load_argv(lowered.children.back().argv, "/snapshot/state"),
              (std::vector<std::string>{"/usr/bin/cloud-hypervisor", "--api-socket", "path=" + lowered.control,
                                        "--seccomp", "true"}));
}

TEST(CloudHypervisor, AnInterfaceHasQueuesForBothWays) {
    VmPlan vm = sample();
    vm.vcpu = vm.interfaces.front().queues = 2;
    EXPECT_THAT(arguments(argv_of(vm), "--net"), ElementsAre("tap=mv0123456789,mac=02:00:5e:01:02:03,num_queues=4"));
    EXPECT_THAT(its().traits.choose_machine(vm, sample_facts()).problems, IsEmpty());
    vm.vcpu = 1;
    EXPECT_THAT(its().traits.choose_machine(vm, sample_facts()).problems, SizeIs(1));
}

TEST(CloudHypervisor, WhatItCantSaveIsSaid) {
    RecordedApi api({{"GET /api/v1/vmm.ping", {{"version", "53"}}}});
    const auto control = its().attach(api.path(), patience);
    VmPlan vm = kvm_vm("cloud-hypervisor", "/usr/bin/cloud-hypervisor");
    vm.shares = {virtiofs_share("src")};
    EXPECT_THROW(control->require_savable(vm), Error);
    vm.shares.clear();
    vm.interfaces.front().type = "macvtap";
    EXPECT_THROW(control->require_savable(vm), Error);
}

// The real program says what it understood of what it was given.
TEST(CloudHypervisor, ReadsBackWhatItWasGiven) {
    const char* path = std::getenv("PATH");
    const std::string program = find_program("cloud-hypervisor", path == nullptr ? "" : path);
    if (program.empty()) { GTEST_SKIP() << "cloud-hypervisor is not installed"; }
    if (open_kvm().state != KvmState::works) { GTEST_SKIP() << open_kvm().reason; }
    const char* kernel = std::getenv("MICROVMC_ELF_KERNEL");
    if (kernel == nullptr) { GTEST_SKIP() << "MICROVMC_ELF_KERNEL names no ELF kernel with a PVH note"; }
    std::string name = "/tmp/mvmc-XXXXXX";
    const std::string directory = ::mkdtemp(name.data());
    VmPlan vm = sample();
    vm.program = program;
    vm.program_version = ask_version(program);
    vm.runtime_dir = directory;
    vm.kernel.pin = directory;
    vm.interfaces.clear();
    vm.console = "off";
    vm.kernel.params = {std::string("a=") + "x,y=z [b] % '"};
    vm.volumes.front().image = directory + "/" + weird;
    vm.volumes.front().serial = "a,\"b\"=[c";
    std::filesystem::create_symlink(kernel, directory + "/vmlinux");
    std::ofstream(vm.volumes.front().image).close();
    std::filesystem::resize_file(vm.volumes.front().image, 1 << 20U);
    const std::string initramfs = directory + "/" + weird + "initramfs";
    std::ofstream(initramfs) << "none";

    const Lowered lowered = its().lower(vm, initramfs);
    const pid_t pid = ::fork();
    if (pid == 0) {
        std::vector<char*> argv;
        std::vector<std::string> words = lowered.children.back().argv;
        for (std::string& word : words) { argv.push_back(word.data()); }
        argv.push_back(nullptr);
        ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    nlohmann::json config;
    try {
        const auto control = its().attach(lowered.control, patience);
        config = http_request(lowered.control, "GET", "/api/v1/vm.info", nullptr, patience).at("config");
    } catch (const Error& error) { ADD_FAILURE() << error.what(); }
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    std::filesystem::remove_all(directory);
    ASSERT_TRUE(config.is_object());
    EXPECT_EQ(config.at("payload").at("cmdline"), R"("a=x,y=z [b] % '")");
    EXPECT_EQ(config.at("payload").at("initramfs"), initramfs);
    EXPECT_EQ(config.at("disks").at(0).at("path"), vm.volumes.front().image);
    EXPECT_EQ(config.at("disks").at(0).at("serial"), vm.volumes.front().serial);
    EXPECT_EQ(config.at("disks").at(0).at("id"), "volume0");
    EXPECT_EQ(config.at("vsock").at("socket"), directory + "/vsock.sock");
}

} // namespace microvmc::test
