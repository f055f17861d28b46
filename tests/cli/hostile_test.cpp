#include "tests/boot/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

// Whatever a file says, the program says what is wrong with it within a second, in bounded memory, and nothing of the
// file drives the terminal.

namespace microvmc::boot {
namespace {

using testing::HasSubstr;

constexpr const char* memory = "--as=1073741824";

/// Of the children that were waited for.
std::chrono::microseconds processor_time() {
    rusage usage{};
    ::getrusage(RUSAGE_CHILDREN, &usage);
    const auto of = [](const timeval& t) {
        return std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
    };
    return of(usage.ru_utime) + of(usage.ru_stime);
}

class Hostile : public testing::Test {
protected:
    void SetUp() override {
        cli.write("good.toml", "[vm.a]\n");
        ASSERT_EQ(cli.run({"check", "good.toml"}).status, 0) << "the host's facts are known from here on";
    }

    /// What `check FILE` says on standard error.
    std::string check(const std::string& file, int status = 1) {
        const auto before = processor_time();
        RunOptions options;
        options.timeout = std::chrono::seconds(30);
        options.cwd = cli.dir();
        std::vector<std::string> argv{"prlimit", memory, "env", "MICROVMC_STATE_DIR=" + cli.state(),
                                      "MICROVMC_RUNTIME_DIR=" + cli.runtime()};
        argv.push_back(std::string(TEST_BINARY_DIR) + "/runtime/microvmc");
        argv.insert(argv.end(), {"check", file});
        const Ran ran = run_program(argv, options);
        [[maybe_unused]] const auto used = processor_time() - before;
        EXPECT_FALSE(ran.timed_out) << file;
        EXPECT_EQ(ran.status, status) << file << "\n" << ran.err.substr(0, 2000);
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__)
        EXPECT_LT(used, std::chrono::seconds(1)) << file;
#endif
        for (const std::string* text : {&ran.out, &ran.err}) {
            const bool drives = std::any_of(text->begin(), text->end(),
                                            [](char c) { return (c >= 0 && c < ' ' && c != '\n') || c == 0x7f; });
            EXPECT_FALSE(drives) << file;
            EXPECT_EQ(text->find("\xc2\x9b"), std::string::npos) << file;     // C1's CSI
            EXPECT_EQ(text->find("\xe2\x80\xae"), std::string::npos) << file; // right to left
        }
        return ran.err;
    }
    std::string check_text(const std::string& text, int status = 1) {
        cli.write("hostile.toml", text);
        return check("hostile.toml", status);
    }

    static std::string repeated(std::string_view text, std::size_t times) {
        std::string out;
        out.reserve(text.size() * times);
        for (std::size_t i = 0; i < times; ++i) { out += text; }
        return out;
    }

    Cli cli;
};

TEST_F(Hostile, TooLarge) {
    EXPECT_THAT(check_text(std::string(std::size_t{9} << 20, '#')), HasSubstr("larger than 8 MiB"));
    cli.write("half.toml", std::string(std::size_t{5} << 20, '#'));
    EXPECT_THAT(check_text("include = ['half.toml']\n" + std::string(std::size_t{5} << 20, '#')),
                HasSubstr("the files together have more than 8 MiB"));
    EXPECT_THAT(check_text("include = [" + repeated("'half.toml',", 600'000) + "]\n"), HasSubstr("more than 32 MiB"));
    EXPECT_THAT(check_text("include = [" + repeated("'good.toml',", 600'000) + "]\n"), HasSubstr("more than 1024"));
}

TEST_F(Hostile, NotAFile) {
    std::filesystem::create_directories(cli.dir() + "/empty");
    std::filesystem::create_directories(cli.dir() + "/odd/microvm.toml");
    ASSERT_EQ(::mkfifo((cli.dir() + "/fifo.toml").c_str(), 0600), 0);
    ASSERT_EQ(::symlink("nowhere", (cli.dir() + "/link.toml").c_str()), 0);
    ASSERT_EQ(::symlink("loop.toml", (cli.dir() + "/loop.toml").c_str()), 0);
    EXPECT_THAT(check("./empty"), HasSubstr("is a directory without a microvm.toml"));
    EXPECT_THAT(check("./odd"), HasSubstr("odd/microvm.toml is a directory"));
    EXPECT_THAT(check("fifo.toml"), HasSubstr("is not a regular file"));
    EXPECT_THAT(check("link.toml"), HasSubstr("is a link to a file that doesn't exist"));
    EXPECT_THAT(check("loop.toml"), HasSubstr("can't open loop.toml"));
    EXPECT_THAT(check("/dev/zero"), HasSubstr("is not a regular file"));
    check("/dev/tty");
    check("/proc/kmsg");
    const std::string all = check_text("include = ['fifo.toml', 'link.toml', 'empty', '/dev/zero', '/dev/tty']\n");
    for (const char* each : {"`fifo.toml`", "`link.toml`", "`empty`", "`/dev/zero`", "`/dev/tty`"}) {
        EXPECT_THAT(all, HasSubstr(fmt::format("can't include {}: it is ", each)));
    }
}

TEST_F(Hostile, NotUtf8) {
    EXPECT_THAT(check_text("[vm.a]\nhostname = \"\xe4\"\n"), HasSubstr("byte 0xe4 is not UTF-8"));
    EXPECT_THAT(check_text(std::string("[vm.a]\n\0\n", 9)), HasSubstr("error["));
}

TEST_F(Hostile, Deep) {
    constexpr std::size_t deep = 200'000;
    EXPECT_THAT(check_text("a = " + std::string(deep, '[')), HasSubstr("nested more than"));
    EXPECT_THAT(check_text("a = " + repeated("{a=", deep)), HasSubstr("nested more than"));
    EXPECT_THAT(check_text(repeated("a.", deep) + "a = 1\n"), HasSubstr("a dotted key has more than"));
    EXPECT_THAT(check_text("[" + repeated("a.", deep) + "a]\n"), HasSubstr("a dotted key has more than"));
    EXPECT_THAT(check_text("[" + repeated("\"a\" . ", deep) + "a]\n"), HasSubstr("a dotted key has more than"));
}

TEST_F(Hostile, IncludesItself) {
    EXPECT_THAT(check_text("include = ['hostile.toml']\n[vm.a]\n"), HasSubstr("hostile.toml includes itself"));
    EXPECT_THAT(check_text("include = ['./*.toml']\n[vm.a]\n"), HasSubstr("hostile.toml includes itself"));
    for (int i = 0; i < 300; ++i) {
        cli.write(fmt::format("chain/{}.toml", i), fmt::format("include = ['{}.toml']\n", i + 1));
    }
    EXPECT_THAT(check_text("include = ['chain/0.toml']\n"), HasSubstr("more than 256 files are included"));
    EXPECT_THAT(check_text("include = ['/*/*/*/*/*/*/*/*/*/*/*/*']\n"), HasSubstr("can't include"));
}

TEST_F(Hostile, TooMany) {
    std::string text;
    for (int i = 0; i < 100'000; ++i) { text += fmt::format("[vm.a{}]\n", i); }
    EXPECT_THAT(check_text(text), HasSubstr("more than 20000 VMs"));
    EXPECT_THAT(check_text("[vm.a]\ncount = 9223372036854775807\n"), HasSubstr("`count` is at most"));
    text = "[vm.a]\n";
    for (int i = 0; i < 300'000; ++i) { text += fmt::format("k{} = 1\n", i); }
    EXPECT_THAT(check_text(text), HasSubstr("unknown key `k0`"));
    check_text("[vm.a]\ncommand = [" + repeated("\"x\",", 1'000'000) + "]\n", 0);
    EXPECT_THAT(check_text("[vm.a.credentials]\nx = \"\"\"\n" + repeated("a\n", 3'000'000) + "\\q\"\"\"\n"),
                HasSubstr("unknown escape sequence"));
    text = "[template.t3000]\n[vm.a]\nextends = 't0'\n";
    for (int i = 0; i < 3000; ++i) {
        text += fmt::format("[template.t{}]\nextends = 't{}'\nenv.e{} = '1'\n", i, i + 1, i);
    }
    EXPECT_THAT(check_text(text), HasSubstr("error["));
}

TEST_F(Hostile, ControlCharacters) {
    EXPECT_THAT(check_text("[vm.a]\n\"\\u001b[31m\\u202e\\u009b1m\\u007f\" = 1\n"),
                HasSubstr("unknown key `\\x1b[31m"));
    check_text("[vm.\"\\u001b[2J\"]\n[vm.\"\\u009b\"]\n");
    check_text("[vm.a]\nextends = \"\\u001b[2J\"\nhypervisor = \"\\u202e\"\ninit = \"/\\u001b\"\n");
    check_text("include = [\"\\u001b[2J.toml\"]\n[vm.a]\nvolumes.\"\\u001b\".size = 1\n");
    check_text("# \x1b[2J\n[vm.a]\nx = \x1b[2J\n");
    check_text("name = \"\\u001b[2J\"\n[vm.a]\n");
    EXPECT_THAT(check("./\x1b[2J.toml"), HasSubstr("can't open"));
    cli.write("\x1b[2J.toml", "[vm.a]\nvcpus = 1\n");
    check("./\x1b[2J.toml");
}

} // namespace
} // namespace microvmc::boot
