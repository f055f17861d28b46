#include "runtime/initramfs_cache.h"

#include "runtime/files.h"
#include "tests/host/temporary.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fmt/format.h>

namespace microvmc {
namespace {

namespace fs = std::filesystem;

/// `count` images of a kind, the later ones older; their names.
std::vector<std::string> fill(const std::string& cache, const std::string& kind, int count) {
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) {
        names.push_back(fmt::format("{}{:064x}.cpio", kind, i + 1));
        const std::string path = cache + "/" + names.back();
        write_whole(path, "image", 0600);
        fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(i));
    }
    return names;
}

TEST(InitramfsCache, KeepsWhatIsUsedAndTheNewest) {
    const TemporaryDirectory state;
    const std::string cache = state / "cache/initramfs";
    fs::create_directories(cache);
    const std::vector<std::string> images = fill(cache, "", 6);
    const std::vector<std::string> parts = fill(cache, "modules-", 3);
    for (const std::string& part : parts) {
        write_whole(fs::path(cache + "/" + part).replace_extension(".order").string(), "x\n", 0600);
    }
    prune_initramfs_cache(
        state.path(), [&] { return std::set<std::string>{images[5]}; }, 2);
    for (std::size_t i = 0; i < images.size(); ++i) {
        EXPECT_EQ(fs::exists(cache + "/" + images[i]), i < 2 || i == 5) << i;
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
        EXPECT_EQ(fs::exists(cache + "/" + parts[i]), i < 2) << i;
        EXPECT_EQ(fs::exists(fs::path(cache + "/" + parts[i]).replace_extension(".order")), i < 2) << i;
    }
}

TEST(InitramfsCache, IsLeftAloneWhileAMachineIsBeingStarted) {
    const TemporaryDirectory state;
    const std::string cache = state / "cache/initramfs";
    fs::create_directories(cache);
    const std::vector<std::string> images = fill(cache, "", 3);
    const auto nothing = [] { return std::set<std::string>{}; };
    {
        const FileLock one = hold_initramfs_cache(state.path());
        const FileLock another = hold_initramfs_cache(state.path());
        bool asked = false;
        prune_initramfs_cache(
            state.path(),
            [&] {
                asked = true;
                return std::set<std::string>{};
            },
            0);
        EXPECT_FALSE(asked) << "what is used is only certain when nobody starts anything";
        EXPECT_TRUE(fs::exists(cache + "/" + images[2]));
    }
    prune_initramfs_cache(state.path(), nothing, 0);
    EXPECT_FALSE(fs::exists(cache + "/" + images[2]));
}

TEST(InitramfsCache, WhatRunsIsReadFromItsLaunch) {
    const TemporaryDirectory state;
    const TemporaryDirectory run;
    fs::create_directories(run / "shop/web");
    fs::create_directories(run / "shop/db");
    fs::create_directories(state / "projects/shop/broken");
    write_whole(state / "projects/shop/broken/plan.json", "{", 0600);
    const std::string image(64, 'a');
    write_whole(run / "shop/web/machine.json",
                fmt::format(R"({{"children": [{{"argv": ["qemu", "-initrd", "{}/cache/initramfs/{}.cpio"]}}]}})",
                            state.path(), image),
                0600);
    const Directories where{.state = state.path(), .runtime = run.path()};
    EXPECT_EQ(used_initramfs(where, {}), (std::set<std::string>{image + ".cpio"}));
    EXPECT_EQ(initramfs_names("file=/x/0a.cpio,if=none /y/.cpio z.cpio"), (std::set<std::string>{"0a.cpio"}));

    const std::string cache = state / "cache/initramfs";
    fs::create_directories(cache);
    const std::vector<std::string> images = fill(cache, "", 20);
    write_whole(cache + "/" + image + ".cpio", "used", 0600);
    fs::last_write_time(cache + "/" + image + ".cpio", fs::file_time_type::clock::now() - std::chrono::hours(100));
    prune_initramfs_cache(where, {});
    EXPECT_TRUE(fs::exists(cache + "/" + image + ".cpio"));
    EXPECT_TRUE(fs::exists(cache + "/" + images[0]));
    EXPECT_FALSE(fs::exists(cache + "/" + images[19]));
}

} // namespace
} // namespace microvmc
