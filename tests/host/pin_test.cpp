#include "runtime/kernel/pin.h"

#include "runtime/error.h"
#include "runtime/facts/kernels.h"
#include "runtime/files.h"
#include "runtime/kernel/bzimage.h"
#include "runtime/kernel/elf.h"
#include "runtime/kernel/modules.h"
#include "tests/host/host_kernel.h"
#include "tests/host/images.h"
#include "tests/host/temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <sstream>
#include <sys/stat.h>

namespace microvmc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;

KernelPlan synthetic(const TemporaryDirectory& directory, KernelImage image = KernelImage::bzimage) {
    write_whole(directory / "vmlinuz-6.1.0-9-test", bzimage(small_vmlinux(), Compression::xz), 0600);
    write_whole(directory / "config-6.1.0-9-test", "CONFIG_64BIT=y\n", 0600);
    KernelPlan plan;
    plan.source = directory / "vmlinuz-6.1.0-9-test";
    plan.release = "6.1.0-9-test";
    plan.identity = file_identity(plan.source).value();
    plan.pin = directory / "state/kernels/6.1.0-9-test";
    plan.image = image;
    return plan;
}

std::set<std::string> names_in(const std::string& path) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
        names.insert(entry.path().filename().string());
    }
    return names;
}

TEST(Pin, CopiesAndThenDoesNothing) {
    const TemporaryDirectory directory;
    const KernelPlan plan = synthetic(directory);
    EXPECT_TRUE(pin_kernel(plan));
    EXPECT_FALSE(pin_kernel(plan));
    EXPECT_THAT(names_in(plan.pin), ElementsAre("config", "modules", "pin.json", "vmlinuz"));
    EXPECT_THAT(names_in(directory / "state/kernels"), ElementsAre(".lock", "6.1.0-9-test"));
    EXPECT_EQ(read_file(plan.pin + "/vmlinuz"), read_file(plan.source));

    const auto pinned = pinned_kernels(directory / "state");
    ASSERT_EQ(pinned.size(), 1U);
    EXPECT_EQ(pinned[0].path, plan.pin + "/vmlinuz");
    EXPECT_EQ(pinned[0].pinned_from, plan.source);
    EXPECT_EQ(pinned[0].identity, plan.identity);
    EXPECT_EQ(pinned[0].release, "6.1.0-9-test");
    EXPECT_EQ(pinned[0].compression, Compression::xz);
    EXPECT_EQ(pinned[0].modules, "");
}

TEST(Pin, OutlivesItsSource) {
    const TemporaryDirectory directory;
    KernelPlan plan = synthetic(directory);
    pin_kernel(plan);
    std::filesystem::remove(plan.source);
    EXPECT_FALSE(pin_kernel(plan));
    plan.image = KernelImage::elf; // made of the pinned copy
    EXPECT_TRUE(pin_kernel(plan));
    EXPECT_FALSE(pin_kernel(plan));
    EXPECT_EQ(read_file(plan.pin + "/vmlinux"), small_vmlinux());
}

TEST(Pin, SweepsWhatKilledOnesLeft) {
    const TemporaryDirectory directory;
    const KernelPlan plan = synthetic(directory);
    for (const char* name : {".6.1.0-9-test.part/modules", ".another.part/modules"}) {
        make_directories(directory / "state/kernels/" + name, 0700);
    }
    write_whole(directory / "state/kernels/.6.1.0-9-test.part/vmlinuz", "half", 0600);
    EXPECT_TRUE(pin_kernel(plan));
    EXPECT_THAT(names_in(directory / "state/kernels"), ElementsAre(".lock", "6.1.0-9-test"));
    EXPECT_EQ(read_file(plan.pin + "/vmlinuz"), read_file(plan.source));
}

TEST(Pin, HalfRemovedIsMadeAgain) {
    const TemporaryDirectory directory;
    const KernelPlan plan = synthetic(directory);
    for (const char* gone : {"pin.json", "vmlinuz"}) {
        EXPECT_TRUE(pin_kernel(plan));
        std::filesystem::remove(plan.pin + "/" + gone);
        remove_tree(plan.pin + "/modules");
        EXPECT_TRUE(pin_kernel(plan)) << gone;
        EXPECT_THAT(names_in(plan.pin), ElementsAre("config", "modules", "pin.json", "vmlinuz"));
        remove_tree(plan.pin);
    }
}

TEST(Pin, ElfAtOnce) {
    const TemporaryDirectory directory;
    const KernelPlan plan = synthetic(directory, KernelImage::elf);
    EXPECT_TRUE(pin_kernel(plan));
    EXPECT_EQ(read_file(plan.pin + "/vmlinux"), small_vmlinux());

    KernelPlan named = plan;
    write_whole(directory / "vmlinux", small_vmlinux(), 0600);
    named.source = directory / "vmlinux";
    named.identity = file_identity(named.source).value();
    named.pin = directory / "state/kernels/named";
    EXPECT_TRUE(pin_kernel(named));
    EXPECT_EQ(read_file(named.pin + "/vmlinux"), small_vmlinux());
    named.image = KernelImage::bzimage;
    named.pin = directory / "state/kernels/other";
    EXPECT_THROW(pin_kernel(named), Error);
}

TEST(Pin, RefusesAnotherFileThanThePlans) {
    const TemporaryDirectory directory;
    KernelPlan plan = synthetic(directory);
    write_whole(plan.source, bzimage(small_vmlinux(), Compression::gzip), 0600);
    try {
        pin_kernel(plan);
        FAIL();
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("is another file than the plan was made with"));
    }
    EXPECT_THAT(names_in(directory / "state/kernels"), ElementsAre(".lock"));
}

TEST(Pin, CorruptKernelLeavesNothing) {
    const TemporaryDirectory directory;
    KernelPlan plan = synthetic(directory, KernelImage::elf);
    std::string image = read_file(plan.source).value();
    std::fill(image.begin() + 5000, image.begin() + 6000, 'x');
    write_whole(plan.source, image, 0600);
    plan.identity = file_identity(plan.source).value();
    EXPECT_THROW(pin_kernel(plan), Error);
    EXPECT_THAT(names_in(directory / "state/kernels"), ElementsAre(".lock"));
}

TEST(Pin, WholeOrNothingWhenKilled) {
    const TemporaryDirectory directory;
    const KernelPlan plan = synthetic(directory, KernelImage::elf);
    std::mt19937 random(3);
    int made = 0;
    for (int round = 0; round < 30; ++round) {
        kill_during([&] { pin_kernel(plan); }, std::chrono::milliseconds(40), random);
        if (std::filesystem::exists(plan.pin)) {
            ++made;
            EXPECT_THAT(names_in(plan.pin), ElementsAre("config", "modules", "pin.json", "vmlinux", "vmlinuz"));
            EXPECT_EQ(read_file(plan.pin + "/vmlinux"), small_vmlinux());
            remove_tree(plan.pin);
        }
    }
    EXPECT_TRUE(pin_kernel(plan));
    EXPECT_THAT(names_in(directory / "state/kernels"), ElementsAre(".lock", "6.1.0-9-test"));
    std::printf("pinned before the kill: %d of 30\n", made);
}

TEST(Pin, ConcurrentPinsMakeOne) {
    const TemporaryDirectory directory;
    const KernelPlan plan = synthetic(directory, KernelImage::elf);
    std::atomic<int> made = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] { made += pin_kernel(plan) ? 1 : 0; });
    }
    for (std::thread& thread : threads) { thread.join(); }
    EXPECT_EQ(made, 1);
}

TEST(Pin, CompressedModulesBecomePlain) {
    const auto host = host_kernel();
    if (!host) { GTEST_SKIP() << "no kernel with modules in /boot"; }
    const TemporaryDirectory directory;
    KernelPlan plan = synthetic(directory);
    plan.modules = directory / "host-modules";
    // A modules directory as a distribution with compressed modules has it, made by the real depmod.
    const std::string root = directory / "root";
    const std::string modules = root + "/lib/modules/6.1.0-9-test";
    for (const ModuleFile& module : resolve_modules(host->modules, {"virtio_net", "ext4"}).files) {
        make_directories(std::filesystem::path(modules + "/" + module.path).parent_path().string(), 0700);
        const bool as_xz = module.name != "ext4";
        write_whole(modules + "/" + module.path + (as_xz ? ".xz" : ".zst"),
                    compressed(read_file(host->modules + "/" + module.path).value(),
                               as_xz ? Compression::xz : Compression::zstd),
                    0600);
    }
    if (::access("/sbin/depmod", X_OK) != 0) { GTEST_SKIP() << "no depmod"; }
    ASSERT_EQ(std::system(("/sbin/depmod -b " + root + " 6.1.0-9-test 2>/dev/null").c_str()), 0);
    std::filesystem::rename(modules, plan.modules);
    ASSERT_TRUE(read_file(plan.modules + "/modules.dep").value().find("ext4.ko.zst:") != std::string::npos);

    EXPECT_TRUE(pin_kernel(plan));
    const std::string pinned = plan.pin + "/modules";
    EXPECT_EQ(read_file(pinned + "/kernel/fs/ext4/ext4.ko"), read_file(host->modules + "/kernel/fs/ext4/ext4.ko"));
    EXPECT_EQ(read_file(pinned + "/kernel/drivers/net/virtio_net.ko"),
              read_file(host->modules + "/kernel/drivers/net/virtio_net.ko"));
    const std::string dep = read_file(pinned + "/modules.dep").value();
    EXPECT_THAT(dep, HasSubstr("kernel/fs/ext4/ext4.ko: "));
    EXPECT_EQ(dep.find(".xz"), std::string::npos);
    EXPECT_EQ(dep.find(".zst"), std::string::npos);
    EXPECT_EQ(pinned_kernels(directory / "state").at(0).modules, pinned);
}

TEST(Pin, TheHostsKernel) {
    const auto host = host_kernel();
    if (!host) { GTEST_SKIP() << "no kernel with modules in /boot"; }
    const TemporaryDirectory directory;
    const KernelPlan plan = plan_of(*host, directory / "kernels/host", KernelImage::elf);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_TRUE(pin_kernel(plan));
    std::printf(
        "pinned in %lld ms\n",
        static_cast<long long>(
            std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count()));
    EXPECT_TRUE(parse_elf(read_file(plan.pin + "/vmlinux").value())->pvh_entry.has_value());
    EXPECT_EQ(inspect_kernel(plan.pin + "/vmlinuz").release, host->release);

    const auto resolved =
        resolve_modules(plan.pin + "/modules", {"virtio_mmio", "virtio-net", "9p", "9pnet_virtio", "ext4", "unix"});
    EXPECT_TRUE(resolved.unknown.empty());
    std::vector<std::string> order;
    for (const ModuleFile& module : resolved.files) {
        EXPECT_TRUE(std::filesystem::exists(plan.pin + "/modules/" + module.path)) << module.path;
        order.push_back(module.name);
    }
    const auto position = [&order](const std::string& name) { return std::ranges::find(order, name) - order.begin(); };
    EXPECT_THAT(order, IsSupersetOf({"virtio", "virtio_ring", "virtio_net", "net_failover", "failover", "ext4", "jbd2",
                                     "crc32c_generic", "9p", "9pnet", "9pnet_virtio"}));
    EXPECT_LT(position("virtio"), position("virtio_net"));
    EXPECT_LT(position("failover"), position("net_failover"));
    EXPECT_LT(position("net_failover"), position("virtio_net"));
    EXPECT_LT(position("crc32c_generic"), position("ext4")); // a soft dependency, by an alias
    EXPECT_LT(position("jbd2"), position("ext4"));
    EXPECT_LT(position("9pnet"), position("9p"));
}

TEST(Modules, OrderHoldsForEveryPinnedModule) {
    const auto host = host_kernel();
    if (!host) { GTEST_SKIP() << "no kernel with modules in /boot"; }
    const auto resolved =
        resolve_modules(host->modules, {"btrfs", "xfs", "virtiofs", "vfat", "overlay", "virtio_pci", "no-such-module"});
    EXPECT_THAT(resolved.unknown, ElementsAre("no-such-module"));
    std::set<std::string> loaded;
    const std::string dep = "\n" + read_file(host->modules + "/modules.dep").value();
    for (const ModuleFile& module : resolved.files) {
        const std::size_t line = dep.find("\n" + module.path + ":");
        ASSERT_NE(line, std::string::npos) << module.path;
        std::string needs = dep.substr(line + module.path.size() + 2);
        needs.resize(needs.find('\n'));
        std::istringstream words(needs);
        for (std::string need; words >> need;) {
            EXPECT_TRUE(loaded.contains(need)) << module.path << " before " << need;
        }
        EXPECT_TRUE(loaded.insert(module.path).second) << module.path << " twice";
    }
}

TEST(Modules, DirectoryWithoutIndexIsAnError) {
    const TemporaryDirectory directory;
    EXPECT_THROW(resolve_modules(directory.path(), {"ext4"}), Error);
}

} // namespace
} // namespace microvmc
