#include "runtime/backends/kernel_image.h"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace microvmc {

void choose_kernel_image(const VmPlan& vm, const HostFacts& facts, const KernelForms& takes, MachineChoice& choice) {
    const auto choose = [&choice](KernelImage image, std::string reason) {
        choice.kernel_image = image;
        choice.kernel_image_reason = std::move(reason);
    };
    const KernelFacts* kernel = find_kernel(facts, vm.kernel);
    const bool is_elf = kernel != nullptr && kernel->image == KernelImage::elf;
    if (!takes.bzimage) {
        if (kernel != nullptr && kernel->image == KernelImage::bzimage && kernel->compression == Compression::other) {
            choice.problems.push_back(
                {"kernel",
                 fmt::format("{} boots an ELF kernel, and none can be taken out of {}", takes.title, vm.kernel.source),
                 "name the ELF file (vmlinux) of that kernel"});
        }
        return choose(KernelImage::elf, is_elf ? "the file is one" : "it boots nothing else");
    }
    if (!takes.elf) {
        if (is_elf) {
            choice.problems.push_back(
                {"kernel", fmt::format("{} boots a bzImage only, and {} is an ELF file", takes.title, vm.kernel.source),
                 "name the bzImage (vmlinuz) of that kernel"});
        }
        return choose(KernelImage::bzimage, "it boots nothing else");
    }
    if (kernel == nullptr) { return choose(KernelImage::bzimage, "booted as it is"); }
    switch (kernel->image) {
    case KernelImage::elf: return choose(KernelImage::elf, "the file is one");
    case KernelImage::unknown: return choose(KernelImage::bzimage, "booted as it is");
    case KernelImage::bzimage: break;
    }
    // Only of kernels that a distribution made is the PVH note known to be there.
    if (kernel->modules.empty()) { return choose(KernelImage::bzimage, "booted as it is"); }
    const bool emulated = vm.accel == "tcg";
    switch (kernel->compression) {
    case Compression::xz:
    case Compression::gzip:
        return choose(KernelImage::elf, emulated ? "the guest's own decompressor takes seconds under TCG"
                                                 : "spares the guest its slow decompressor");
    case Compression::zstd:
    case Compression::lz4_legacy:
    case Compression::none:
        if (emulated) { return choose(KernelImage::elf, "boots faster under TCG"); }
        return choose(KernelImage::bzimage, "quick to decompress with KVM, and keeps KASLR");
    case Compression::other: return choose(KernelImage::bzimage, "its compression is unknown here");
    }
}

} // namespace microvmc
