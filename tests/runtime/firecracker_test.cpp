#include "runtime/backend.h"
#include "runtime/error.h"
#include "tests/runtime/recorded_api.h"
#include "tests/runtime/sample.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace microvmc::test {

namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
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
    return backend("firecracker");
}

VmPlan sample() {
    VmPlan vm = kvm_vm("firecracker", "/usr/bin/firecracker");
    vm.program_version = "1.17.0";
    vm.machine.clear();
    vm.shares.front().proto = "image";
    vm.kernel.image = KernelImage::elf;
    vm.kernel.params = its().traits.choose_machine(vm, sample_facts()).kernel_params;
    return vm;
}

nlohmann::json config_of(const VmPlan& vm) {
    return nlohmann::json::parse(its().lower(vm, "/cache/initramfs").children.back().files.at(0).content);
}

/// What is in the file has its own requests in the API, which says what they may be.
std::vector<nlohmann::json> as_requests(const nlohmann::json& config) {
    std::vector<nlohmann::json> requests;
    const auto put = [&requests](const std::string& target, const nlohmann::json& body) {
        requests.push_back({{"method", "PUT"}, {"target", target}, {"body", body}});
    };
    for (const char* key : {"boot-source", "machine-config", "vsock", "entropy", "balloon"}) {
        if (config.contains(key)) { put(std::string("/") + key, config.at(key)); }
    }
    if (config.contains("memory-hotplug")) { put("/hotplug/memory", config.at("memory-hotplug")); }
    for (const auto& drive : config.at("drives")) { put("/drives/" + drive.at("drive_id").get<std::string>(), drive); }
    for (const auto& each : config.at("network-interfaces")) {
        put("/network-interfaces/" + each.at("iface_id").get<std::string>(), each);
    }
    return requests;
}

} // namespace

TEST(Firecracker, HasWhatThePlanSays) {
    VmPlan vm = sample();
    const Lowered lowered = its().lower(vm, "/cache/initramfs");
    const auto& argv = lowered.children.back().argv;
    EXPECT_THAT(argv, Contains("--config-file"));
    std::vector<std::string> loading = its().load_argv(argv, "/snapshot/state");
    EXPECT_THAT(loading, ::testing::Not(Contains("--config-file"))) << "what is loaded comes later";
    EXPECT_EQ(loading.size() + 2, argv.size());
    EXPECT_EQ(lowered.end, "reboot");
    EXPECT_FALSE(lowered.serials);
    const nlohmann::json config = config_of(vm);
    EXPECT_EQ(config.at("boot-source").at("boot_args"), "console=ttyS0 quiet rdinit=/microvmc/init reboot=k panic=-1");
    EXPECT_EQ(config.at("machine-config"), (nlohmann::json{{"vcpu_count", 1}, {"mem_size_mib", 256}}));
    ASSERT_EQ(config.at("drives").size(), 2U);
    EXPECT_EQ(config.at("drives").at(0).at("path_on_host"), vm.volumes.front().image);
    EXPECT_EQ(config.at("drives").at(1).at("path_on_host"), "/var/lib/microvmc/projects/hello/web/shares/www.erofs");
    EXPECT_EQ(config.at("drives").at(1).at("is_read_only"), true);
    EXPECT_EQ(config.at("vsock").at("uds_path"), lowered.agent.socket);
    EXPECT_THAT(lowered.modules, Contains("erofs"));
}

TEST(Firecracker, OlderOnesBootAnElfThatTheImageMustHave) {
    VmPlan vm = sample();
    vm.kernel.source = "/k/bzImage";
    HostFacts facts = sample_facts();
    KernelFacts& kernel = facts.named_kernels[vm.kernel.source];
    kernel.image = KernelImage::bzimage;
    kernel.compression = Compression::other;
    const auto choice = [&](const char* version) {
        vm.program_version = version;
        return its().traits.choose_machine(vm, facts);
    };
    EXPECT_EQ(choice("1.17.0-dev").kernel_image, KernelImage::bzimage);
    EXPECT_THAT(choice("1.17.0-dev").problems, IsEmpty());
    ASSERT_EQ(choice("1.16.1").problems.size(), 1U);
    EXPECT_EQ(choice("1.16.1").problems.front().message,
              "Firecracker boots an ELF kernel, and none can be taken out of /k/bzImage");
    kernel.compression = Compression::zstd;
    EXPECT_EQ(choice("1.16.1").kernel_image, KernelImage::elf);
    EXPECT_THAT(choice("1.16.1").problems, IsEmpty());
}

TEST(Firecracker, AnyTextIsOnePart) {
    VmPlan vm = sample();
    vm.volumes.front().image = std::string("/s/") + weird;
    vm.interfaces.front().id = weird;
    vm.kernel.params = {"a=x,y=z [b] % '"};
    const nlohmann::json config = config_of(vm);
    EXPECT_EQ(config.at("drives").at(0).at("path_on_host"), vm.volumes.front().image);
    EXPECT_EQ(config.at("network-interfaces").at(0).at("host_dev_name"), weird);
    EXPECT_EQ(config.at("boot-source").at("boot_args"), R"("a=x,y=z [b] % '")");
    vm.kernel.params.emplace_back("a\"b");
    EXPECT_THROW(its().lower(vm, ""), Error);
}

TEST(Firecracker, WhatAVersionDoesNotKnowItIsNotGiven) {
    VmPlan vm = sample();
    vm.balloon.mode = BalloonPlan::Mode::on;
    EXPECT_TRUE(config_of(vm).at("balloon").contains("free_page_reporting"));
    vm.program_version = "1.13.1";
    EXPECT_FALSE(config_of(vm).at("balloon").contains("free_page_reporting"));
    EXPECT_THAT(refusal(its().traits, "memory.hotplug", "1.13.1"), HasSubstr("not with Firecracker 1.13.1"));
    EXPECT_THAT(refusal(its().traits, "memory.hotplug", "1.14.0"), IsEmpty());
    vm.program_version = "1.7.0";
    EXPECT_EQ(its().traits.choose_machine(vm, sample_facts()).problems.size(), 1U);
}

TEST(Firecracker, WhatItCantHaveIsSaid) {
    const auto key_of = [](const VmPlan& vm) {
        const auto problems = its().traits.choose_machine(vm, sample_facts()).problems;
        return problems.size() == 1 ? problems.front().key : "none or many";
    };
    VmPlan vm = sample();
    vm.vcpu = 3;
    EXPECT_EQ(key_of(vm), "vcpu");
    vm = sample();
    vm.hugepages = "1GiB";
    EXPECT_EQ(key_of(vm), "hugepages");
    vm = sample();
    vm.mem_boot_mib = 256;
    vm.mem_max_mib = 300;
    EXPECT_EQ(key_of(vm), "mem-max");
    vm = sample();
    vm.volumes.resize(29, vm.volumes.front());
    EXPECT_EQ(key_of(vm), "");
}

TEST(Firecracker, MoreDevicesThanVirtioMmioHasRoomForAreOnPci) {
    VmPlan vm = sample();
    const auto choice = [&] { return its().traits.choose_machine(vm, sample_facts()); };
    vm.shares.clear();
    vm.volumes.assign(13, vm.volumes.front()); // with an interface, vsock and random numbers
    EXPECT_EQ(choice().machine, "");
    EXPECT_THAT(its().drivers(vm), Contains("virtio_mmio"));
    EXPECT_THAT(argv_of(vm), Not(Contains("--enable-pci")));

    vm.volumes.push_back(vm.volumes.front());
    EXPECT_EQ(choice().machine, "pci");
    EXPECT_EQ(choice().machine_reason, "17 virtio devices, virtio-mmio has 16 slots");
    vm.machine = choice().machine;
    EXPECT_THAT(argv_of(vm), Contains("--enable-pci"));
    EXPECT_THAT(its().drivers(vm), AllOf(Contains("virtio_pci"), Not(Contains("virtio_mmio"))));
    EXPECT_THAT(its().kernel_options(vm), AllOf(Contains("VIRTIO_PCI"), Not(Contains("VIRTIO_MMIO"))));
    const auto loading = its().load_argv(argv_of(vm), "/snapshot/state");
    EXPECT_THAT(loading, AllOf(Contains("--enable-pci"), Not(Contains("--config-file"))));

    vm.volumes.resize(29, vm.volumes.front());
    EXPECT_THAT(choice().problems, SizeIs(1)) << "32 devices";
    vm.volumes.resize(14);
    vm.program_version = "1.12.1";
    EXPECT_THAT(choice().problems, SizeIs(1)) << "none on PCI yet";
}

TEST(Firecracker, ItsConfigurationIsAsItsApiHasIt) {
    VmPlan vm = sample();
    vm.hugepages = "2MiB";
    vm.balloon = {
        .mode = BalloonPlan::Mode::on, .initial_mib = 64, .deflate_on_oom = true, .free_page_reporting = true};
    vm.mem_boot_mib = 256;
    vm.mem_max_mib = 512;
    vm.interfaces.front().mtu = 1400;
    vm.interfaces.front().rate_mib = 10;
    expect_requests("firecracker-config", as_requests(config_of(vm)));
}

TEST(Firecracker, MemoryThatIsPluggedInFromTheStartIsToldFirst) {
    VmPlan vm = sample();
    vm.mem_boot_mib = 256;
    vm.mem_mib = 384;
    vm.mem_max_mib = 512;
    const auto chat = its().lower(vm, "").children.back().chat;
    ASSERT_EQ(chat.size(), 2U);
    EXPECT_EQ(chat[0].expect, "") << "a server says nothing first";
    EXPECT_THAT(chat[0].send, HasSubstr("PATCH /hotplug/memory HTTP/1.1\r\n"));
    EXPECT_THAT(chat[0].send, HasSubstr("Content-Length: 26\r\n\r\n{\"requested_size_mib\":128}"));
}

TEST(Firecracker, IsAskedAsItsApiHasIt) {
    RecordedApi api({{"GET /", nlohmann::json{{"state", "Paused"}}},
                     {"GET /machine-config", nlohmann::json{{"mem_size_mib", 256}}},
                     {"GET /hotplug/memory", nlohmann::json{{"plugged_size_mib", 128}}},
                     {"GET /balloon/statistics", nlohmann::json{{"actual_mib", 64}, {"free_memory", 1024}}}});
    const auto control = its().attach(api.path(), patience);
    EXPECT_TRUE(control->paused());
    control->pause();
    control->resume();
    control->power_button();
    control->set_balloon(64);
    EXPECT_EQ(control->balloon_mib(), 64U);
    EXPECT_EQ(control->memory_mib(), 384U);
    control->set_memory(320);
    const std::string image = "grown-by-firecracker.img"; // here, as its name is in what is recorded
    std::ofstream(image) << "kept";
    control->grow_volume({.volume = 1, .disk = 2, .image = image, .bytes = 1U << 20U});
    EXPECT_EQ(std::filesystem::file_size(image), 1U << 20U);
    EXPECT_THROW(control->grow_volume({.volume = 1, .disk = 2, .image = image, .bytes = 1U << 19U}), Error);
    EXPECT_EQ(std::filesystem::file_size(image), 1U << 20U) << "nothing at its end is lost";
    std::filesystem::remove(image);
    const ControlStats stats = control->stats();
    EXPECT_EQ(stats.balloon_mib, 64U);
    EXPECT_EQ(stats.guest.at("free"), 1024U);
    EXPECT_THROW(control->quit(), Error);
    expect_requests("firecracker", api.take());
}

TEST(Firecracker, SavesAndLoadsAsItsApiHasIt) {
    RecordedApi api({{"GET /", nlohmann::json{{"state", "Paused"}}}});
    const auto control = its().attach(api.path(), patience);
    control->require_savable(sample());
    control->save("/snapshot/state", patience);
    control->load("/snapshot/state", patience);
    expect_requests("firecracker-snapshot", api.take());
}

} // namespace microvmc::test
