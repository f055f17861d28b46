#include "runtime/guest/copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc::copy {

namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using namespace std::string_literals;

class Copy : public ::testing::Test {
protected:
    Copy() {
        std::string name = (fs::temp_directory_path() / "mvcopy-XXXXXX").string();
        dir_ = ::mkdtemp(name.data());
        fs::create_directory(dir_ / "to");
    }
    ~Copy() override { fs::remove_all(dir_); }

    void write(const std::string& name, const std::string& text) const {
        fs::create_directories((dir_ / name).parent_path());
        std::ofstream(dir_ / name, std::ios::binary) << text;
    }
    std::string read(const std::string& name) const {
        std::ifstream file(dir_ / name, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    /// All that is below `to`, hidden things too.
    std::vector<std::string> arrived() const {
        std::vector<std::string> all;
        for (const auto& entry : fs::recursive_directory_iterator(dir_ / "to")) {
            all.push_back(entry.path().lexically_relative(dir_ / "to").string());
        }
        std::ranges::sort(all);
        return all;
    }
    std::string sent(const std::string& name) const {
        const std::string file = (dir_ / "stream").string();
        FILE* stream = std::fopen(file.c_str(), "w");
        EXPECT_EQ(send(fileno(stream), (dir_ / name).string()), std::nullopt);
        std::fclose(stream);
        return read("stream");
    }
    Failure receive_bytes(const std::string& bytes, const std::string& target, const std::string& name = "n") {
        write("stream", bytes);
        FILE* stream = std::fopen((dir_ / "stream").c_str(), "r");
        warnings_.clear();
        Failure failure = receive(fileno(stream), (dir_ / target).string(), name, warnings_);
        std::fclose(stream);
        return failure;
    }

    fs::path dir_;
    std::vector<std::string> warnings_;
};

std::string field(const std::string& text) {
    return text + '\0';
}

const std::string magic = "mvcopy1\n";
const std::string top = "d" + field("") + field("493") + field("0.0");
const std::string file = field("420") + field("0.0") + field("2") + "hi" + field("0");

} // namespace

TEST_F(Copy, AFileBecomesWhatTheTargetSays) {
    write("f", "a\0b"s);
    const std::string bytes = sent("f");
    EXPECT_EQ(receive_bytes(bytes, "to"), std::nullopt);
    EXPECT_EQ(receive_bytes(bytes, "to/other"), std::nullopt);
    EXPECT_EQ(receive_bytes(bytes, "to/other"), std::nullopt) << "it is replaced";
    EXPECT_THAT(arrived(), ::testing::ElementsAre("n", "other"));
    EXPECT_EQ(read("to/n"), "a\0b"s);
}

TEST_F(Copy, ATreeKeepsContentsModesTimesAndLinks) {
    std::string large;
    for (int i = 0; i < 200'000; ++i) { large.push_back(static_cast<char>(i * 7)); }
    write("t/a/large", large);
    write("t/a/empty", "");
    write("t/odd \n name", "x");
    fs::create_symlink("/nowhere", dir_ / "t/link");
    fs::create_directory(dir_ / "t/closed");
    fs::permissions(dir_ / "t/closed", static_cast<fs::perms>(0500));
    fs::permissions(dir_ / "t/a/large", static_cast<fs::perms>(04711));
    const timespec times[2] = {{1'000, 0}, {2'000'000, 5}};
    ::utimensat(AT_FDCWD, (dir_ / "t/a/empty").c_str(), times, 0);
    ::mkfifo((dir_ / "t/pipe").c_str(), 0600);
    EXPECT_EQ(receive_bytes(sent("t"), "to/t"), std::nullopt);
    EXPECT_EQ(read("to/t/a/large"), large);
    EXPECT_EQ(read("to/t/odd \n name"), "x");
    EXPECT_EQ(fs::read_symlink(dir_ / "to/t/link"), "/nowhere");
    EXPECT_EQ(fs::status(dir_ / "to/t/closed").permissions(), static_cast<fs::perms>(0500));
    EXPECT_EQ(fs::status(dir_ / "to/t/a/large").permissions(), static_cast<fs::perms>(0711)) << "no setuid";
    struct stat status {};
    ::stat((dir_ / "to/t/a/empty").c_str(), &status);
    EXPECT_EQ(status.st_mtim.tv_sec, 2'000'000);
    EXPECT_EQ(status.st_mtim.tv_nsec, 5);
    ASSERT_EQ(warnings_.size(), 1U);
    EXPECT_THAT(warnings_[0], HasSubstr("pipe is neither"));
    fs::permissions(dir_ / "t/closed", static_cast<fs::perms>(0700));
    fs::permissions(dir_ / "to/t/closed", static_cast<fs::perms>(0700));
}

TEST_F(Copy, ATreeGoesIntoOneThatIsThere) {
    write("t/a", "new");
    write("t/d/b", "b");
    write("to/t/a", "old");
    write("to/t/kept", "kept");
    EXPECT_EQ(receive_bytes(sent("t"), "to", "t"), std::nullopt);
    EXPECT_THAT(arrived(), ::testing::ElementsAre("t", "t/a", "t/d", "t/d/b", "t/kept"));
    EXPECT_EQ(read("to/t/a"), "new");
}

TEST_F(Copy, AStreamThatEndsTooEarlyLeavesNothing) {
    write("t/a", "content");
    write("t/d/b", "more");
    fs::create_symlink("a", dir_ / "t/l");
    write("to/n/a", "old");
    fs::remove_all(dir_ / "to/n");
    for (const std::string name : {"t", "t/a"}) {
        const std::string bytes = sent(name);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            EXPECT_NE(receive_bytes(bytes.substr(0, size), "to"), std::nullopt) << name << " " << size;
            ASSERT_TRUE(arrived().empty()) << name << " " << size;
        }
    }
}

TEST_F(Copy, NothingIsWrittenOutside) {
    write("outside/f", "kept");
    const std::string link = "l" + field("out") + field((dir_ / "outside").string());
    for (const std::string& rest :
         {"f" + field("../outside/f") + file, "f" + field("/" + (dir_ / "outside/f").string()) + file,
          "f" + field("a/../../outside/f") + file, "f" + field("./f") + file, "f" + field("a//f") + file,
          link + "f" + field("out/f") + file, link + "d" + field("out/d") + field("493") + field("0.0"),
          link + "l" + field("out/l") + field("x"), "l" + field("../outside/l") + field("x"),
          "d" + field("..") + field("493") + field("0.0")}) {
        EXPECT_NE(receive_bytes(magic + top + rest + "e", "to/new"), std::nullopt) << rest;
        EXPECT_TRUE(arrived().empty()) << rest;
        EXPECT_EQ(read("outside/f"), "kept") << rest;
        EXPECT_EQ(std::distance(fs::directory_iterator(dir_ / "outside"), {}), 1) << rest;
    }
    // Nor through a link that was there before.
    fs::create_directory(dir_ / "to/n");
    fs::create_symlink(dir_ / "outside", dir_ / "to/n/out");
    EXPECT_NE(receive_bytes(magic + top + "f" + field("out/f") + file + "e", "to"), std::nullopt);
    EXPECT_EQ(read("outside/f"), "kept");
    for (const std::string name : {"", ".", "..", "a/b"}) {
        EXPECT_NE(receive_bytes(magic + top + "e", "to", name), std::nullopt) << name;
    }
}

TEST_F(Copy, WhatIsNoStreamIsRefused) {
    for (const std::string& bytes :
         {""s, "x"s, "mvcopy2\n"s, magic + "q", magic + "f" + field("a") + file, magic + "f" + field("") + field("x"),
          magic + "f" + field("") + field("420") + field("0.9999999999") + field("0") + "e",
          magic + "f" + field("") + field("420") + field("0.0") + field("-1"),
          magic + top + "f" + field("") + file + "e", magic + top + "?"}) {
        EXPECT_NE(receive_bytes(bytes, "to/n"), std::nullopt);
        EXPECT_TRUE(arrived().empty());
    }
    EXPECT_EQ(*receive_bytes(magic + "x" + field("the reason"), "to/n"), "the reason");
    EXPECT_EQ(*receive_bytes(magic + top + "f" + field("a") + file + "x" + field("why"), "to/n"), "why");
    EXPECT_TRUE(arrived().empty());
}

TEST_F(Copy, WhatCantBeReadIsSaidInTheStream) {
    FILE* stream = std::fopen((dir_ / "stream").c_str(), "w");
    EXPECT_NE(send(fileno(stream), (dir_ / "none").string()), std::nullopt);
    std::fclose(stream);
    EXPECT_THAT(*receive_bytes(read("stream"), "to/n"), HasSubstr("none: No such file"));
}

TEST_F(Copy, AnOrdinaryCommandIsNoneOfOurs) {
    EXPECT_EQ(run({"ls"}), std::nullopt);
    EXPECT_EQ(run({"microvmc:send"}), std::nullopt);
    EXPECT_EQ(run({}), std::nullopt);
}

} // namespace microvmc::copy
