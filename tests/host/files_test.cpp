#include "runtime/files.h"

#include "runtime/error.h"
#include "tests/host/temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

namespace microvmc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::uint32_t mode_of(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
}

TEST(Files, WritesWholeWithExactMode) {
    const TemporaryDirectory directory;
    const mode_t before = ::umask(0077);
    write_whole(directory / "a", "one", 0644);
    write_whole(directory / "a", "two", 0640);
    ::umask(before);
    EXPECT_EQ(read_file(directory / "a"), "two");
    EXPECT_EQ(mode_of(directory / "a"), 0640U);
    EXPECT_THAT(directory.names(), ElementsAre("a"));
}

TEST(Files, ReplacesASymbolicLinkNotItsTarget) {
    const TemporaryDirectory directory;
    write_whole(directory / "target", "kept", 0600);
    std::filesystem::create_symlink("target", directory / "link");
    write_whole(directory / "link", "new", 0600);
    EXPECT_EQ(read_file(directory / "target"), "kept");
    EXPECT_EQ(read_file(directory / "link"), "new");
    EXPECT_FALSE(std::filesystem::is_symlink(directory / "link"));
}

TEST(Files, SaysWhatCannotBeWritten) {
    const TemporaryDirectory directory;
    try {
        write_whole(directory / "none/a", "x", 0600);
        FAIL();
    } catch (const Error& error) { EXPECT_THAT(error.what(), HasSubstr("none/a: No such file or directory")); }
}

class NewFiles : public testing::TestWithParam<Unfinished> {};

TEST_P(NewFiles, PublishesOnceAndNeverReplaces) {
    const TemporaryDirectory directory;
    {
        NewFile dropped(directory / "a", 0600, GetParam());
        dropped.write("half");
    }
    EXPECT_TRUE(directory.names().empty());
    NewFile first(directory / "a", 0600, GetParam());
    first.write("first");
    EXPECT_TRUE(first.publish());
    NewFile second(directory / "a", 0600, GetParam());
    second.write("second");
    EXPECT_FALSE(second.publish());
    EXPECT_EQ(read_file(directory / "a"), "first");
}

TEST_P(NewFiles, TakesAwayWhatAKilledOneLeft) {
    const TemporaryDirectory directory;
    for (const char* part : {".a.part", ".b.part"}) {
        const Fd left(::open((directory / part).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        ASSERT_TRUE(left);
    }
    write_whole(directory / "a", "old", 0600);
    NewFile file(directory / "a", 0600, GetParam());
    file.write("new");
    file.replace();
    EXPECT_EQ(read_file(directory / "a"), "new");
    EXPECT_THAT(directory.names(), ElementsAre(".b.part", "a"));
    sweep_parts(directory.path());
    EXPECT_THAT(directory.names(), ElementsAre("a"));
}

TEST_P(NewFiles, LeavesOldOrNewWhenKilled) {
    const TemporaryDirectory directory;
    const std::string old_text(300'000, 'o');
    const std::string new_text(500'000, 'n');
    std::mt19937 random(7);
    int replaced = 0;
    for (int round = 0; round < 30; ++round) {
        write_whole(directory / "file", old_text, 0600);
        kill_during(
            [&] {
                NewFile file(directory / "file", 0600, GetParam());
                for (std::size_t at = 0; at < new_text.size(); at += 10'000) {
                    file.write(new_text.substr(at, 10'000));
                }
                file.replace();
            },
            std::chrono::milliseconds(6), random);
        const auto content = read_file(directory / "file");
        ASSERT_TRUE(content == old_text || content == new_text) << "round " << round;
        replaced += content == new_text ? 1 : 0;
        sweep_parts(directory.path());
        ASSERT_THAT(directory.names(), ElementsAre("file")) << "round " << round;
    }
    std::printf("replaced before the kill: %d of 30\n", replaced);
}

INSTANTIATE_TEST_SUITE_P(Both, NewFiles, testing::Values(Unfinished::unnamed, Unfinished::named),
                         [](const auto& kind) { return kind.param == Unfinished::unnamed ? "unnamed" : "named"; });

TEST(Files, SweepingLeavesWhatIsBeingWritten) {
    const TemporaryDirectory directory;
    NewFile file(directory / "a", 0600, Unfinished::named);
    sweep_parts(directory.path());
    EXPECT_THAT(directory.names(), ElementsAre(".a.part"));
    file.write("x");
    EXPECT_TRUE(file.publish());
    EXPECT_THAT(directory.names(), ElementsAre("a"));
}

TEST(Files, ConcurrentWritersEndWithAWholeFile) {
    const TemporaryDirectory directory;
    for (const Unfinished unfinished : {Unfinished::unnamed, Unfinished::named}) {
        std::vector<std::thread> writers;
        for (char c = 'a'; c < 'e'; ++c) {
            writers.emplace_back([&directory, c, unfinished] {
                for (int i = 0; i < 15; ++i) {
                    NewFile file(directory / "file", 0600, unfinished);
                    file.write(std::string(50'000, c));
                    file.replace();
                }
            });
        }
        for (std::thread& writer : writers) { writer.join(); }
        const std::string content = read_file(directory / "file").value();
        EXPECT_EQ(content, std::string(50'000, content.front()));
        EXPECT_THAT(directory.names(), ElementsAre("file"));
    }
}

TEST(Files, ReadsOnlyRegularFilesUpToTheLimit) {
    const TemporaryDirectory directory;
    EXPECT_EQ(read_file(directory / "none"), std::nullopt);
    EXPECT_EQ(read_file("/proc/self/status").value().substr(0, 5), "Name:");
    write_whole(directory / "a", std::string(100, 'x'), 0600);
    EXPECT_EQ(read_file(directory / "a", 100).value().size(), 100U);
    EXPECT_THROW(read_file(directory / "a", 99), Error);
    EXPECT_THROW(read_file(directory.path()), Error);
    ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
    EXPECT_THROW(read_file(directory / "fifo"), Error);
}

TEST(Files, IdentityTellsVersionsApart) {
    const TemporaryDirectory directory;
    EXPECT_EQ(file_identity(directory / "a"), std::nullopt);
    write_whole(directory / "a", "one", 0600);
    const auto first = file_identity(directory / "a");
    EXPECT_EQ(first, file_identity(directory / "a"));
    write_whole(directory / "a", "two", 0600);
    EXPECT_NE(first, file_identity(directory / "a"));
}

TEST(Files, MakesDirectories) {
    const TemporaryDirectory directory;
    make_directories(directory / "a/b/c", 0700);
    make_directories(directory / "a/b/c", 0700);
    EXPECT_EQ(mode_of(directory / "a"), 0700U);
    write_whole(directory / "file", "", 0600);
    EXPECT_THROW(make_directories(directory / "file", 0700), Error);
    EXPECT_THROW(make_directories(directory / "file/x", 0700), Error);
}

TEST(Files, RemovesTreesWithoutFollowingLinks) {
    const TemporaryDirectory directory;
    make_directories(directory / "kept", 0700);
    write_whole(directory / "kept/file", "x", 0600);
    make_directories(directory / "tree/a/b", 0700);
    std::filesystem::create_directory_symlink("../kept", directory / "tree/link");
    std::filesystem::create_directory_symlink("kept", directory / "link");
    write_whole(directory / "tree/a/b/file", "x", 0600);
    remove_tree(directory / "tree");
    remove_tree(directory / "link/");
    remove_tree(directory / "none");
    EXPECT_THAT(directory.names(), ElementsAre("kept"));
    EXPECT_EQ(read_file(directory / "kept/file"), "x");
    EXPECT_THROW(remove_tree("/"), Error);
}

TEST(Files, RemovesNothingThatIsMounted) {
    if (::geteuid() != 0) { GTEST_SKIP() << "only root mounts"; }
    const TemporaryDirectory directory;
    make_directories(directory / "data", 0700);
    make_directories(directory / "tree/mount", 0700);
    write_whole(directory / "data/file", "x", 0600);
    if (::mount((directory / "data").c_str(), (directory / "tree/mount").c_str(), nullptr, MS_BIND, nullptr) != 0) {
        GTEST_SKIP() << "bind mounts are not allowed here";
    }
    EXPECT_THROW(remove_tree(directory / "tree"), Error);
    EXPECT_EQ(read_file(directory / "data/file"), "x");
    EXPECT_EQ(::umount((directory / "tree/mount").c_str()), 0);
    remove_tree(directory / "tree");
    EXPECT_THAT(directory.names(), ElementsAre("data"));
}

} // namespace
} // namespace microvmc
