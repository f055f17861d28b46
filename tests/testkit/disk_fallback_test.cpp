#include "testkit/disks.h"

#include "runtime/files.h"
#include "runtime/process.h"
#include "testkit/temporary_directory.h"

#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>

// Images read without libguestfs, and by a program that doesn't keep to what was agreed.

namespace microvmc::testkit {
namespace {

void run(const std::vector<std::string>& argv) {
    const Ran ran = run_program(argv);
    ASSERT_EQ(ran.status, 0) << argv[0] << ": " << ran.err;
}

/// As the content of a file that is called `name`.
std::string text_of(const std::string& name) {
    return "this is " + name + '\0' + "\xff\n";
}

const std::vector<std::string> odd_names = {"plain",     "with space",  "quo\"te'", "h\xc3\xa4\xc3\x9f",
                                            "new\nline", "back\\slash", "a[b]*?",   "-dash",
                                            "#hash",     "日本.txt"};

class DiskFallback : public ::testing::Test {
protected:
    void SetUp() override {
        std::filesystem::create_directories(path("libexec"));
        std::filesystem::create_directories(path("tree/dir"));
        for (const std::string& name : odd_names) { write_whole(path("tree/" + name), text_of(name), 0644); }
        write_whole(path("tree/dir/deep"), text_of("deep"), 0644);
        write_whole(path("tree/empty"), "", 0644);
        std::filesystem::create_symlink("plain", path("tree/link"));
        ::setenv("MICROVMC_LIBEXEC", path("libexec").c_str(), 1);
    }
    void TearDown() override { ::unsetenv("MICROVMC_LIBEXEC"); }

    [[nodiscard]] std::string path(const std::string& name) const { return directory_.path() + "/" + name; }

    std::string make_ext(const std::string& name, const std::string& type) {
        const std::string image = path(name);
        run({"mke2fs", "-q", "-t", type, "-L", "data", "-U", uuid, "-d", path("tree"), image, "16M"});
        return image;
    }

    FileAnswer read(const FileRequest& request, DiskOptions options = {}) {
        return read_from_images({request}, options).at(0);
    }

    /// In place of the program that uses libguestfs: a shell script.
    void put_program(const std::string& script) {
        write_whole(path("libexec/microvmc-disk-reader"), "#!/bin/sh\n" + script, 0755);
    }

    static constexpr const char* uuid = "6f2b8f0e-6d0c-4d5e-9a5b-0123456789ab";
    TemporaryDirectory directory_;
};

TEST_F(DiskFallback, ReadsExtFilesystemsWhateverTheNames) {
    for (const char* type : {"ext2", "ext3", "ext4"}) {
        // debugfs would take what comes after a question mark for options, mtools "@@" for an offset.
        const std::string image = make_ext(std::string("a?b@@1 ") + type, type);
        for (const std::string& name : odd_names) {
            const FileAnswer answer = read({image, "raw", type, "/" + name});
            EXPECT_EQ(answer.content, text_of(name)) << type << ' ' << name << ": " << answer.problem;
            EXPECT_EQ(answer.how, "debugfs");
        }
        EXPECT_EQ(read({image, "raw", type, "/dir/../dir//deep"}).content, text_of("deep"));
        EXPECT_EQ(read({image, "raw", type, "/empty"}).content, "");
        EXPECT_EQ(read({image, "raw", type, "/nothing"}).problem, "no such file");
        EXPECT_EQ(read({image, "raw", type, "/plain/nothing"}).problem, "no such file");
        EXPECT_EQ(read({image, "raw", type, "/dir"}).problem, "it is a directory");
        EXPECT_TRUE(read({image, "raw", type, "/link"}).unable);
        EXPECT_EQ(read({image, "raw", type, "", DiskFact::label}).content, "data");
        EXPECT_EQ(read({image, "raw", type, "", DiskFact::uuid}).content, uuid);
    }
}

TEST_F(DiskFallback, ReadsVfatWhateverTheNames) {
    const std::string image = path("a?b@@1 vfat");
    run({"truncate", "-s", "20M", image});
    run({"mkfs.vfat", "-n", "DATA", "-i", "12345678", image});
    const std::vector<std::string> names = {"plain", "with space", "h\xc3\xa4\xc3\x9f", "a[b]", "#hash", "日本.txt"};
    write_whole(path("tree/a[b]"), text_of("a[b]"), 0644);
    const auto mtools = [&](std::vector<std::string> argv) {
        argv.insert(argv.begin(), {"env", "LC_ALL=C.UTF-8"});
        run(argv);
    };
    std::filesystem::create_symlink(image, path("vfat")); // mcopy takes the name for an offset
    for (const std::string& name : names) { mtools({"mcopy", "-i", path("vfat"), path("tree/" + name), "::/" + name}); }
    mtools({"mmd", "-i", path("vfat"), "::/dir", "::/void"});
    mtools({"mcopy", "-i", path("vfat"), path("tree/dir/deep"), "::/dir/deep"});
    mtools({"mcopy", "-i", path("vfat"), path("tree/empty"), "::/empty"});
    for (const std::string& name : names) {
        const FileAnswer answer = read({image, "raw", "vfat", "/" + name});
        EXPECT_EQ(answer.content, text_of(name)) << name << ": " << answer.problem;
        EXPECT_EQ(answer.how, "mtools");
    }
    EXPECT_EQ(read({image, "raw", "vfat", "/dir/deep"}).content, text_of("deep"));
    EXPECT_EQ(read({image, "raw", "vfat", "/empty"}).content, "");
    EXPECT_EQ(read({image, "raw", "vfat", "/pl?in"}).problem, "no such file");
    EXPECT_EQ(read({image, "raw", "vfat", "/dir/nothing"}).problem, "no such file");
    EXPECT_EQ(read({image, "raw", "vfat", "/dir"}).problem, "it is a directory");
    EXPECT_EQ(read({image, "raw", "vfat", "/void"}).problem, "it is a directory");
    EXPECT_EQ(read({image, "raw", "vfat", "", DiskFact::label}).content, "DATA");
    EXPECT_EQ(read({image, "raw", "vfat", "", DiskFact::uuid}).content, "1234-5678");
}

TEST_F(DiskFallback, WhatOnlyTheJournalHasIsRead) {
    // A block of the file that was written to the journal and not yet to its place, as after a kill.
    const std::string image = make_ext("dirty", "ext4");
    const Ran blocks = run_program({"debugfs", "-R", "blocks /plain", image});
    const std::string block = blocks.out.substr(0, blocks.out.find(' '));
    ASSERT_FALSE(block.empty()) << blocks.err;
    std::string content = text_of("plain");
    content.replace(0, 4, "THAT");
    content.resize(1024);
    write_whole(path("block"), content, 0644);
    write_whole(path("commands"), "jo\njw -b " + block + " " + path("block") + "\njc\n", 0644);
    run({"debugfs", "-w", "-f", path("commands"), image});
    const std::string before = read_file(image).value();
    const FileAnswer answer = read({image, "raw", "ext4", "/plain"});
    EXPECT_EQ(answer.content, content.substr(0, text_of("plain").size())) << answer.problem;
    EXPECT_TRUE(read_file(image).value() == before) << "the image was written to";
}

TEST_F(DiskFallback, SaysWhyNothingIsRead) {
    const std::string image = make_ext("image", "ext4");
    const FileAnswer xfs = read({image, "raw", "xfs", "/plain"});
    EXPECT_TRUE(xfs.unable);
    EXPECT_NE(xfs.problem.find("reading xfs takes libguestfs"), std::string::npos) << xfs.problem;
    EXPECT_NE(xfs.problem.find("apt install libguestfs0"), std::string::npos) << xfs.problem;
    const FileAnswer qcow2 = read({image, "qcow2", "ext4", "/plain"});
    EXPECT_TRUE(qcow2.unable);
    EXPECT_NE(qcow2.problem.find("reading a qcow2 image takes libguestfs"), std::string::npos) << qcow2.problem;

    for (const FileRequest& request :
         {FileRequest{path("nothing"), "raw", "ext4", "/plain"}, FileRequest{path("tree"), "raw", "ext4", "/plain"},
          FileRequest{path("tree/plain"), "raw", "ext4", "/plain"},
          FileRequest{path("tree/plain"), "raw", "vfat", "/plain"},
          FileRequest{path("tree/plain"), "raw", "vfat", "/plain", DiskFact::uuid},
          FileRequest{image, "raw", "vfat", "/plain", DiskFact::uuid}, FileRequest{image, "raw", "ext4", "plain"},
          FileRequest{image, "raw", "ext4", std::string("/pl\0ain", 7)}}) {
        const FileAnswer answer = read(request);
        EXPECT_FALSE(answer.content) << request.image << ' ' << request.path;
        EXPECT_FALSE(answer.problem.empty()) << request.image << ' ' << request.path;
        EXPECT_FALSE(answer.unable) << answer.problem;
        EXPECT_EQ(answer.problem.find('\n'), std::string::npos) << answer.problem;
    }
}

TEST_F(DiskFallback, AFileBeyondTheLimitIsRefused) {
    const std::string image = make_ext("image", "ext4");
    DiskOptions options;
    options.content_limit = text_of("plain").size();
    const FileAnswer whole = read({image, "raw", "ext4", "/plain"}, options);
    EXPECT_EQ(whole.content, text_of("plain")) << whole.problem;
    --options.content_limit;
    const FileAnswer answer = read({image, "raw", "ext4", "/plain"}, options);
    EXPECT_FALSE(answer.content);
    EXPECT_NE(answer.problem.find("more than"), std::string::npos) << answer.problem;
}

TEST_F(DiskFallback, AProgramThatFailsIsDoneWithout) {
    const std::string image = make_ext("image", "ext4");
    const FileRequest request{image, "raw", "ext4", "/plain"};
    for (const char* script :
         {"exit 1", "kill -9 $$", "echo rubbish", "printf 'content 0 99999999\\nab'", "printf 'content x 1\\na'",
          "printf 'content 7 1\\na'", "printf 'unable 0 3\\nbad'", ":"}) {
        put_program(script);
        const FileAnswer answer = read(request);
        EXPECT_EQ(answer.content, text_of("plain")) << script;
        EXPECT_EQ(answer.how, "debugfs") << script;
    }
    put_program("printf 'unable 0 3\\nbad'");
    EXPECT_NE(read({image, "raw", "xfs", "/plain"}).problem.find("libguestfs can't be used: bad;"), std::string::npos);
    put_program("echo 'error while loading shared libraries: libguestfs.so.0' >&2; exit 127");
    EXPECT_NE(read({image, "raw", "xfs", "/plain"}).problem.find("libguestfs can't be used: error while loading"),
              std::string::npos);
}

TEST_F(DiskFallback, AnswersAreTakenAsFarAsTheyCame) {
    // Once it had started, what it doesn't answer is the image's fault: a kernel that dies of it answers nothing.
    const std::string image = make_ext("image", "ext4");
    const FileRequest request{image, "raw", "ext4", "/plain"};
    put_program("printf 'started 0 0\\ncontent 1 3\\na\\0bproblem 0 5\\nw\\033\\nng'; kill -9 $$");
    const std::vector<FileAnswer> answers = read_from_images({request, request, request}, {});
    ASSERT_EQ(answers.size(), 3U);
    EXPECT_EQ(answers[0].problem, "w\\x1b\\nng");
    EXPECT_EQ(answers[1].content, std::string("a\0b", 3));
    EXPECT_EQ(answers[1].how, "libguestfs");
    EXPECT_EQ(answers[2].problem, "it was not read in time");
    EXPECT_FALSE(answers[2].unable);
}

TEST_F(DiskFallback, WhatIsAskedReachesTheProgramAsItIs) {
    put_program("cat >" + path("asked"));
    const std::string image = path("im\nage");
    DiskOptions options;
    options.emulate = true;
    options.content_limit = 7;
    options.timeout = std::chrono::milliseconds(1234);
    read_from_images({{image, "vhd", "xfs", "/a b\n\"'"},
                      {image, "vhd", "xfs", "relative"},
                      {image, "vhd", "xfs", "", DiskFact::uuid}},
                     options);
    std::string asked = read_file(path("asked")).value();
    asked.erase(0, asked.find('\0'));
    std::string expected;
    for (const std::string& each : std::vector<std::string>{"", "tcg", "7", "1234", image, "vhd", "xfs", "/a b\n\"'",
                                                            "content", image, "vhd", "xfs", "", "uuid"}) {
        expected += each + '\0';
    }
    EXPECT_EQ(asked, expected);
}

} // namespace
} // namespace microvmc::testkit
