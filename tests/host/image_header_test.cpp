#include "runtime/image_header.h"

#include "runtime/files.h"
#include "runtime/process.h"
#include "tests/host/temporary.h"

#include <gtest/gtest.h>

namespace microvmc {
namespace {

std::string image(const TemporaryDirectory& directory, const std::vector<std::string>& options,
                  const std::string& size) {
    std::string path = directory / "image";
    std::filesystem::remove(path);
    std::vector<std::string> argv{"qemu-img", "create", "-q"};
    argv.insert(argv.end(), options.begin(), options.end());
    argv.insert(argv.end(), {path, size});
    const Ran ran = run_program(argv);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return path;
}

TEST(ImageHeader, SizesAreThoseThatQemuSees) {
    const TemporaryDirectory directory;
    const std::vector<std::pair<std::string, std::vector<std::string>>> kinds{
        {"qcow2", {"-f", "qcow2"}},
        {"qcow2", {"-f", "qcow2", "-o", "compat=0.10"}},
        {"qcow2", {"-f", "qcow2", "-o", "cluster_size=2M,extended_l2=on"}},
        {"vhd", {"-f", "vpc"}},
        {"vhd", {"-f", "vpc", "-o", "force_size=on"}},
        {"vhd", {"-f", "vpc", "-o", "subformat=fixed"}},
        {"vhdx", {"-f", "vhdx"}},
        {"vhdx", {"-f", "vhdx", "-o", "subformat=fixed,block_size=1M"}},
    };
    for (const auto& [format, options] : kinds) {
        for (const std::string size : {"1M", "100M", "1027M"}) {
            const std::string path = image(directory, options, size);
            const std::string json = run_program({"qemu-img", "info", "--output=json", "-f", options.at(1), path}).out;
            const std::string key = "\"virtual-size\": ";
            const std::uint64_t expected = std::stoull(json.substr(json.find(key) + key.size()));
            EXPECT_EQ(virtual_size(path, format), expected) << format << " " << options.back() << " " << size;
            for (const std::string other : {"qcow2", "vhd", "vhdx"}) {
                if (other != format) { EXPECT_EQ(virtual_size(path, other), std::nullopt); }
            }
            EXPECT_EQ(virtual_size(path, "raw"), std::filesystem::file_size(path)) << "raw is what it is said to be";
        }
    }
}

TEST(ImageHeader, WhatAnImageLiesOver) {
    const TemporaryDirectory directory;
    write_whole(directory / "base,é.img", std::string(1U << 20U, 'x'), 0600);
    const std::string over = image(directory, {"-f", "qcow2", "-F", "raw", "-b", directory / "base,é.img"}, "2M");
    const std::optional<ImageFacts> facts = read_image_header(over);
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->backing, directory / "base,é.img");
    EXPECT_EQ(facts->backing_format, "raw");
    const std::string relative = image(directory, {"-f", "qcow2", "-F", "raw", "-b", "base,é.img"}, "2M");
    EXPECT_EQ(read_image_header(relative)->backing, "base,é.img");
}

TEST(ImageHeader, BrokenOnesAreNone) {
    const TemporaryDirectory directory;
    EXPECT_EQ(read_image_header(directory / "none"), std::nullopt);
    EXPECT_EQ(read_image_header(directory.path()), std::nullopt);
    for (const std::string format : {"qcow2", "vpc", "vhdx"}) {
        const std::string whole = *read_file(image(directory, {"-f", format}, "64M"));
        for (const std::size_t size : {0, 4, 8, 100, 511, 4096, 200000, 262144}) {
            write_whole(directory / "cut", whole.substr(0, size), 0600);
            static_cast<void>(read_image_header(directory / "cut")); // never crashes; asan looks on
        }
        std::mt19937 random(7);
        for (int i = 0; i < 300; ++i) {
            std::string spoilt = whole.substr(0, 1U << 20U);
            for (int j = 0; j < 20; ++j) {
                const std::size_t at = random() % std::min<std::size_t>(spoilt.size(), i % 2 == 0 ? 512 : 300000);
                spoilt[at] = static_cast<char>(random());
            }
            write_whole(directory / "spoilt", spoilt, 0600);
            static_cast<void>(read_image_header(directory / "spoilt"));
        }
    }
}

} // namespace
} // namespace microvmc
