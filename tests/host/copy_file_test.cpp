#include "runtime/copy_file.h"

#include "runtime/error.h"
#include "tests/host/temporary.h"

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc::test {

namespace {

std::string text_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

struct stat status_of(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status;
}

} // namespace

TEST(CopyFile, HasTheContentAndTheHoles) {
    const TemporaryDirectory directory;
    const std::string from = directory.path() + "/from";
    const std::string to = directory.path() + "/to";
    // Data, a hole, data in the middle of nowhere, and a hole to the end.
    write(from, std::string(100'000, 'a'));
    {
        std::fstream file(from, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(30'000'000);
        file << "middle";
    }
    ASSERT_EQ(::truncate(from.c_str(), 50'000'001), 0);
    write(to, "what was there");
    copy_file(from, to, Sync::to_disk);
    EXPECT_EQ(text_of(to), text_of(from));
    EXPECT_EQ(status_of(to).st_size, 50'000'001);
    EXPECT_LT(status_of(to).st_blocks * 512, 2'000'000) << "its holes were filled";
    EXPECT_EQ(status_of(to).st_mode & 07777, 0600U);
    write(from, "changed");
    EXPECT_NE(text_of(to), "changed") << "they are one file";
}

TEST(CopyFile, AnEmptyFileAndOneThatIsAllHole) {
    const TemporaryDirectory directory;
    const std::string from = directory.path() + "/from";
    const std::string to = directory.path() + "/to";
    write(from, "");
    copy_file(from, to, Sync::whenever);
    EXPECT_EQ(status_of(to).st_size, 0);
    ASSERT_EQ(::truncate(from.c_str(), 1 << 20), 0);
    copy_file(from, to, Sync::whenever);
    EXPECT_EQ(status_of(to).st_size, 1 << 20);
    EXPECT_EQ(status_of(to).st_blocks, 0);
}

TEST(CopyFile, WhatCannotBeCopiedLeavesWhatWas) {
    const TemporaryDirectory directory;
    const std::string to = directory.path() + "/to";
    write(to, "what was there");
    const std::string fifo = directory.path() + "/fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    for (const std::string& from : {directory.path() + "/none", directory.path(), fifo}) {
        EXPECT_THROW(copy_file(from, to, Sync::whenever), Error) << from;
        EXPECT_EQ(text_of(to), "what was there");
    }
    EXPECT_THROW(copy_file(to, directory.path() + "/no/such", Sync::whenever), Error);
}

TEST(CopyFile, IsGivenUpForASignalThatIsHeldBack) {
    const TemporaryDirectory directory;
    const std::string from = directory.path() + "/from";
    write(from, "x");
    sigset_t set;
    sigset_t before;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &set, &before);
    ::pthread_kill(::pthread_self(), SIGTERM);
    EXPECT_THROW(copy_file(from, directory.path() + "/to", Sync::whenever), Error);
    EXPECT_NE(::access((directory.path() + "/to").c_str(), F_OK), 0);
    const timespec now{};
    EXPECT_EQ(::sigtimedwait(&set, nullptr, &now), SIGTERM);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(SwapFiles, ExchangesAndPutsWhereNoneWas) {
    const TemporaryDirectory directory;
    const std::string a = directory.path() + "/a";
    const std::string b = directory.path() + "/b";
    write(a, "A");
    write(b, "B");
    swap_files(a, b);
    EXPECT_EQ(text_of(a) + text_of(b), "BA");
    ::unlink(a.c_str());
    swap_files(a, b);
    EXPECT_EQ(text_of(a), "A");
    EXPECT_NE(::access(b.c_str(), F_OK), 0);
    EXPECT_THROW(swap_files(a, b), Error);
    EXPECT_EQ(text_of(a), "A");
}

} // namespace microvmc::test
