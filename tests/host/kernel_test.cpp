#include "runtime/kernel/bzimage.h"
#include "runtime/kernel/decompress.h"
#include "runtime/kernel/elf.h"

#include "runtime/error.h"
#include "runtime/facts/kernels.h"
#include "runtime/files.h"
#include "tests/host/images.h"
#include "tests/host/temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <elf.h>
#include <functional>
#include <random>
#include <sys/stat.h>

namespace microvmc {
namespace {

using testing::HasSubstr;

std::string error_of(const std::function<void()>& work) {
    try {
        work();
    } catch (const Error& error) { return error.what(); }
    return "no error";
}

class Compressions : public testing::TestWithParam<Compression> {};

TEST_P(Compressions, ExtractsThePayload) {
    const std::string vmlinux = small_vmlinux();
    const std::string image = bzimage(vmlinux, GetParam());
    const auto header = parse_boot_header(image);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->release, "6.1.0-9-test");
    EXPECT_EQ(header->protocol, 0x20f);
    EXPECT_EQ(sniff_compression(std::string_view(image).substr(header->payload_offset)), GetParam());
    const std::string extracted = extract_vmlinux(image, "the image");
    EXPECT_TRUE(extracted.starts_with(vmlinux)) << extracted.size();
    EXPECT_EQ(parse_elf(extracted)->pvh_entry, 0x1000000U);
}

TEST_P(Compressions, CutOffAnywhereIsAnError) {
    const std::string image = bzimage(small_vmlinux(20'000), GetParam());
    for (std::size_t length = 0; length + 64 < image.size(); length += 1 + image.size() / 97) {
        EXPECT_NE(error_of([&] { extract_vmlinux(image.substr(0, length), "it"); }), "no error") << length;
    }
}

TEST_P(Compressions, CorruptPayloadNeverCrashes) {
    const std::string image = bzimage(small_vmlinux(20'000), GetParam());
    std::mt19937 random(1);
    for (int round = 0; round < 200; ++round) {
        std::string bad = image;
        for (int i = 0; i < 3; ++i) { bad[0x1f0 + random() % (bad.size() - 0x1f0)] = static_cast<char>(random()); }
        try {
            parse_elf(extract_vmlinux(bad, "it"));
        } catch (const Error&) { // what most end as
        }
    }
}

INSTANTIATE_TEST_SUITE_P(All, Compressions,
                         testing::Values(Compression::none, Compression::gzip, Compression::xz, Compression::zstd,
                                         Compression::lz4_legacy));

TEST(Kernel, PayloadOfManyBlocks) {
    const std::string vmlinux = small_vmlinux(20'000'000);
    EXPECT_EQ(extract_vmlinux(bzimage(vmlinux, Compression::lz4_legacy), "it"), vmlinux);
}

TEST(Kernel, SaysWhatIsWrongWithAnImage) {
    const auto message = [](const std::string& image) { return error_of([&] { extract_vmlinux(image, "/boot/x"); }); };
    EXPECT_EQ(message("not a kernel"), "/boot/x is not a bzImage");
    EXPECT_THAT(message(bzimage(small_vmlinux(), Compression::other)),
                HasSubstr("compressed in a way that isn't known"));
    EXPECT_EQ(message(bzimage("plain text, no ELF", Compression::gzip)), "the payload of /boot/x is not an ELF file");
    std::string image = bzimage(small_vmlinux(), Compression::xz);
    EXPECT_EQ(message(image.substr(0, image.size() / 2)), "/boot/x is cut off: its payload ends after the file does");
    image[image.size() - 64 - 4] ^= 1; // of the size behind the payload
    EXPECT_THAT(message(image), HasSubstr("bytes unpacked, not the"));
}

TEST(Kernel, UnpacksNoMoreThanTheLimit) {
    const std::string bytes(1'000'000, 'x');
    for (const Compression compression :
         {Compression::gzip, Compression::xz, Compression::zstd, Compression::lz4_legacy}) {
        const std::string packed = compressed(bytes, compression);
        EXPECT_EQ(decompress(packed, compression, 1'000'000, "it"), bytes);
        EXPECT_THAT(error_of([&] { decompress(packed, compression, 999'999, "it"); }), HasSubstr("unpacked"));
    }
}

TEST(Kernel, ReleaseWithOddCharactersIsNone) {
    EXPECT_EQ(parse_boot_header(bzimage("", Compression::none, "../../etc"))->release, "");
    EXPECT_EQ(parse_boot_header(bzimage("", Compression::none, "6.1;rm"))->release, "");
    EXPECT_EQ(parse_boot_header(bzimage("", Compression::none, "6.8.0-rc1+"))->release, "6.8.0-rc1+");
}

TEST(Kernel, ElfWithoutNoteAndNoElf) {
    std::string file = small_vmlinux(0);
    EXPECT_TRUE(parse_elf(file)->pvh_entry.has_value());
    file[64] = 1; // PT_LOAD
    EXPECT_FALSE(parse_elf(file)->pvh_entry.has_value());
    EXPECT_EQ(parse_elf("\x7f"
                        "ELF"),
              std::nullopt);
    file[4] = ELFCLASS32;
    EXPECT_EQ(parse_elf(file).has_value(), false);
    EXPECT_TRUE(is_static_program(read_file("/bin/busybox").value()));
    EXPECT_FALSE(is_static_program(read_file("/bin/sh").value()));
    EXPECT_FALSE(is_static_program("#!/bin/sh"));
}

TEST(Kernel, TheHostsOwn) {
    const auto kernels = host_kernels();
    if (kernels.empty()) { GTEST_SKIP() << "no /boot/vmlinuz-*"; }
    const KernelFacts& kernel = kernels.front();
    EXPECT_EQ(kernel.image, KernelImage::bzimage);
    EXPECT_TRUE(kernel.path.ends_with(kernel.release)) << kernel.path;
    EXPECT_EQ(kernel.modules, "/lib/modules/" + kernel.release);
    EXPECT_NE(kernel.compression, Compression::other);
    const auto start = std::chrono::steady_clock::now();
    const std::string vmlinux = extract_vmlinux(read_file(kernel.path).value(), kernel.path);
    std::printf(
        "%s: %zu MiB extracted in %lld ms\n", kernel.path.c_str(), vmlinux.size() >> 20U,
        static_cast<long long>(
            std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count()));
    ASSERT_TRUE(parse_elf(vmlinux));
    EXPECT_TRUE(parse_elf(vmlinux)->pvh_entry.has_value());
}

TEST(Kernel, InspectsWhateverAPathIs) {
    const TemporaryDirectory directory;
    write_whole(directory / "vmlinux", small_vmlinux(), 0600);
    write_whole(directory / "text", "hello", 0600);
    ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
    EXPECT_EQ(inspect_kernel(directory / "vmlinux").image, KernelImage::elf);
    EXPECT_EQ(inspect_kernel(directory / "text").image, KernelImage::unknown);
    EXPECT_TRUE(inspect_kernel(directory / "text").readable);
    EXPECT_FALSE(inspect_kernel(directory / "fifo").readable);
    EXPECT_FALSE(inspect_kernel(directory / "none").readable);
    EXPECT_FALSE(inspect_kernel(directory.path()).readable);
}

TEST(Kernel, ReleasesInOrder) {
    const std::vector<std::string> sorted{
        "",          "5.10.0-28-amd64", "6.1.0-9-amd64", "6.1.0-10-amd64", "6.1.0-56-amd64",
        "6.2.0-rc1", "6.2.0-rc10",      "6.2.0",         "6.10.1"};
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        for (std::size_t j = 0; j < sorted.size(); ++j) {
            EXPECT_EQ(compare_releases(sorted[i], sorted[j]), i <=> j) << sorted[i] << " " << sorted[j];
        }
    }
}

TEST(Kernel, ListsNewestFirstWithTheirModules) {
    const TemporaryDirectory directory;
    make_directories(directory / "boot", 0700);
    make_directories(directory / "modules/6.1.0-10-test", 0700);
    make_directories(directory / "modules/7.0-unknown", 0700);
    write_whole(directory / "modules/6.1.0-10-test/modules.dep", "", 0600);
    write_whole(directory / "modules/7.0-unknown/modules.dep", "", 0600);
    for (const char* release : {"6.1.0-9-test", "6.1.0-10-test"}) {
        write_whole(directory / "boot/vmlinuz-" + release, bzimage(small_vmlinux(), Compression::zstd, release), 0600);
    }
    write_whole(directory / "boot/vmlinuz-6.1.0-11-test.old", "", 0600);
    write_whole(directory / "boot/vmlinuz-0-rescue-123", "", 0600);
    write_whole(directory / "boot/vmlinuz-7.0-unknown", "not readable as a kernel", 0600);
    write_whole(directory / "boot/initrd.img-6.1.0-9-test", "", 0600);
    const auto kernels = host_kernels(directory / "boot", {directory / "modules"});
    ASSERT_EQ(kernels.size(), 3U);
    EXPECT_EQ(kernels[0].release, "7.0-unknown"); // by its name, as there are modules of that name
    EXPECT_EQ(kernels[0].image, KernelImage::unknown);
    EXPECT_EQ(kernels[1].release, "6.1.0-10-test");
    EXPECT_EQ(kernels[1].compression, Compression::zstd);
    EXPECT_EQ(kernels[1].modules, directory / "modules/6.1.0-10-test");
    EXPECT_EQ(kernels[2].release, "6.1.0-9-test");
    EXPECT_EQ(kernels[2].modules, "");
}

// Some distributions make kernels root's alone; one that asks for "the host's kernel" is told of them.
TEST(Kernel, WhatMayNotBeReadIsListedAsSuch) {
    if (::geteuid() != 0) { GTEST_SKIP() << "only root can become another user"; }
    const TemporaryDirectory directory;
    ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
    make_directories(directory / "boot", 0755);
    make_directories(directory / "modules/6.1.0-10-test", 0755);
    write_whole(directory / "modules/6.1.0-10-test/modules.dep", "", 0644);
    write_whole(directory / "boot/vmlinuz-6.1.0-10-test", bzimage(small_vmlinux(), Compression::zstd, "6.1.0-10-test"),
                0600);
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setuid(65534) != 0) { ::_exit(1); }
        const auto kernels = host_kernels(directory / "boot", {directory / "modules"});
        if (kernels.size() != 1) { ::_exit(2); }
        const bool as_expected = !kernels[0].readable && kernels[0].image == KernelImage::unknown &&
                                 kernels[0].release == "6.1.0-10-test" && kernels[0].identity.size != 0;
        ::_exit(as_expected ? 0 : 3);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

} // namespace
} // namespace microvmc
