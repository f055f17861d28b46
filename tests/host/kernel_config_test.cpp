#include "compiler/kernel_options.h"
#include "runtime/backend.h"
#include "runtime/kernel/config.h"

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/process.h"
#include "tests/host/host_kernel.h"
#include "tests/host/images.h"
#include "tests/host/temporary.h"

#include <gmock/gmock.h>

#include <filesystem>

// What a kernel was built with.

namespace microvmc {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Setting = KernelConfig::Setting;

constexpr const char* text = "#\n# Automatically generated\n#\nCONFIG_64BIT=y\nCONFIG_EXT4_FS=m\n"
                             "# CONFIG_XFS_FS is not set\nCONFIG_BTRFS_FS=n\nCONFIG_CC_VERSION_TEXT=\"gcc = m\"\n"
                             "CONFIG_HZ=250\nCONFIG_LAST=y";

/// A kernel with its configuration inside, as scripts/bin2c and kernel/configs.c put it there.
std::string vmlinux_with(const std::string& config) {
    RunOptions options;
    options.input = config;
    const std::string packed = run_program({"gzip", "-nc"}, options).out;
    return small_vmlinux() + "IKCFG_ST and IKCFG_ED are looked for IKCFG_ST" + packed + "IKCFG_ED";
}

TEST(KernelConfig, ReadsWhatTheBuildWrote) {
    const KernelConfig config = KernelConfig::parse(text);
    EXPECT_EQ(config.of("64BIT"), Setting::built_in);
    EXPECT_EQ(config.of("EXT4_FS"), Setting::module);
    EXPECT_EQ(config.of("XFS_FS"), Setting::absent);
    EXPECT_EQ(config.of("BTRFS_FS"), Setting::absent);
    EXPECT_EQ(config.of("CC_VERSION_TEXT"), Setting::built_in);
    EXPECT_EQ(config.of("HZ"), Setting::built_in);
    EXPECT_EQ(config.of("LAST"), Setting::built_in);
    EXPECT_EQ(config.of("NEVER_HEARD_OF"), Setting::absent);
    KernelConfig::parse(std::string("\0\xff=\nCONFIG_\nCONFIG_=", 18)); // rubbish is no harm
}

TEST(KernelConfig, NamesWhatIsMissing) {
    const KernelOptions config{{"64BIT", true}, {"EXT4_FS", false}};
    EXPECT_THAT(missing_options(config, {"64BIT", "EXT4_FS", "XFS_FS", "XFS_FS"}, true), ElementsAre("CONFIG_XFS_FS"));
    EXPECT_THAT(missing_options(config, {"EXT4_FS"}, false), ElementsAre("CONFIG_EXT4_FS"));
    EXPECT_EQ(option_of_module("virtio_blk"), "VIRTIO_BLK");
    EXPECT_EQ(option_of_module("no_such_module"), "");
}

TEST(KernelConfig, KeepsWhatAMachineMayNeed) {
    const KernelOptions options = options_of("CONFIG_VIRTIO_BLK=m\nCONFIG_ACPI=y\nCONFIG_PCI=n\nCONFIG_HZ=50\n");
    EXPECT_EQ(options, (KernelOptions{{"ACPI", true}, {"VIRTIO_BLK", false}}));
}

// An option that nobody keeps would never be found missing.
TEST(KernelConfig, KnowsWhateverAHypervisorNeeds) {
    for (const Backend* each : backends()) {
        for (const KernelImage image : {KernelImage::elf, KernelImage::bzimage}) {
            VmPlan vm;
            vm.name = "a";
            vm.kernel.image = image;
            for (const std::string_view option : each->kernel_options(vm)) {
                EXPECT_TRUE(is_known_option(option)) << each->traits.name << ": " << option;
            }
        }
    }
}

TEST(KernelConfig, IsFoundBesideTheKernelOrInIt) {
    const TemporaryDirectory dir;
    const auto facts = [&](const std::string& name, KernelImage image, const std::string& release) {
        KernelFacts kernel;
        kernel.path = dir / name;
        kernel.image = image;
        kernel.release = release;
        return kernel;
    };
    const auto write = [&](const std::string& name, const std::string& content) {
        make_directories(std::filesystem::path(dir / name).parent_path().string(), 0755);
        write_whole(dir / name, content, 0644);
    };
    write("vmlinux", vmlinux_with("CONFIG_INSIDE=y\n"));
    write("bzImage", bzimage(vmlinux_with("CONFIG_INSIDE=y\n"), Compression::gzip));
    write("plain", small_vmlinux());
    EXPECT_EQ(find_kernel_config(facts("vmlinux", KernelImage::elf, ""), ""), "CONFIG_INSIDE=y\n");
    EXPECT_EQ(find_kernel_config(facts("bzImage", KernelImage::bzimage, ""), ""), "CONFIG_INSIDE=y\n");
    EXPECT_EQ(find_kernel_config(facts("plain", KernelImage::elf, "1.2.3-none"), ""), std::nullopt);
    EXPECT_EQ(find_kernel_config(facts("nothing", KernelImage::elf, ""), ""), std::nullopt);

    write("config-1.2.3", "CONFIG_BESIDE=y\n");
    EXPECT_EQ(find_kernel_config(facts("vmlinux", KernelImage::elf, "1.2.3"), ""), "CONFIG_BESIDE=y\n");
    write("tree/.config", "CONFIG_TREE=y\n");
    write("tree/arch/x86/boot/bzImage", "");
    EXPECT_EQ(find_kernel_config(facts("tree/arch/x86/boot/bzImage", KernelImage::bzimage, ""), ""), "CONFIG_TREE=y\n");
    write("named", "CONFIG_NAMED=y\n");
    EXPECT_EQ(find_kernel_config(facts("vmlinux", KernelImage::elf, "1.2.3"), dir / "named"), "CONFIG_NAMED=y\n");
    EXPECT_EQ(find_kernel_config(facts("vmlinux", KernelImage::elf, "1.2.3"), dir / "none"), std::nullopt);
}

TEST(KernelConfig, TheHostsOwnKernelHasWhatAGuestNeeds) {
    const auto kernel = host_kernel();
    if (!kernel) { GTEST_SKIP() << "no kernel in /boot"; }
    const auto found = find_kernel_config(*kernel, "");
    if (!found) { GTEST_SKIP() << "it comes without its configuration"; }
    const KernelOptions config = options_of(*found);
    EXPECT_THAT(missing_options(config, init_options(), true), IsEmpty());
    EXPECT_THAT(missing_options(config, {"VIRTIO_BLK", "EXT4_FS", "NET_9P_VIRTIO"}, true), IsEmpty());
}

} // namespace
} // namespace microvmc
