#include "testkit/disks.h"

#include "runtime/facts/kvm_probe.h"
#include "runtime/files.h"
#include "runtime/process.h"
#include "testkit/temporary_directory.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <set>
#include <sys/stat.h>

// Images of every format and file system, read by libguestfs, which boots a kernel of its own for it.

namespace microvmc::testkit {
namespace {

constexpr const char* reader = TEST_BINARY_DIR "/testkit/disk_reader/microvmc-disk-reader";

void run(const std::vector<std::string>& argv) {
    RunOptions options;
    options.timeout = std::chrono::minutes(5);
    const Ran ran = run_program(argv, options);
    ASSERT_EQ(ran.status, 0) << argv[0] << ": " << ran.err << ran.out;
}

std::string text_of(const std::string& name) {
    return "this is " + name + '\0' + "\xff\n";
}

const std::vector<std::string> odd_names = {"plain",     "with space",  "quo\"te'",  "h\xc3\xa4\xc3\x9f",
                                            "new\nline", "back\\slash", "a[b]*?",    "-dash",
                                            "#hash",     "日本.txt",    "$HOME `id`"};

class Disks : public ::testing::Test {
protected:
    void SetUp() override {
        if (!std::filesystem::exists(reader)) { GTEST_SKIP() << "it was built without libguestfs (libguestfs-dev)"; }
        std::filesystem::create_directories(path("libexec"));
        std::filesystem::create_directories(path("tree/dir"));
        for (const std::string& name : odd_names) { write_whole(path("tree/" + name), text_of(name), 0644); }
        write_whole(path("tree/dir/deep"), text_of("deep"), 0644);
        write_whole(path("tree/empty"), "", 0644);
        write_whole(path("tree/big"), std::string(std::size_t{6} << 20U, 'x'), 0644);
        std::filesystem::create_symlink("/dir/deep", path("tree/link"));
        std::filesystem::create_symlink("loop", path("tree/loop"));
        std::filesystem::create_symlink("/etc/passwd", path("tree/outside"));
        ASSERT_EQ(::mkfifo(path("tree/fifo").c_str(), 0600), 0);
        // The real one, with a note of what it says.
        write_whole(path("libexec/microvmc-disk-reader"),
                    "#!/bin/sh\n" + std::string(reader) + " | tee " + path("said") + "\n", 0755);
        ::setenv("MICROVMC_LIBEXEC", path("libexec").c_str(), 1);
        options_.emulate = probe_kvm().facts.state != KvmState::works;
        options_.timeout = std::chrono::minutes(10);
    }
    void TearDown() override { ::unsetenv("MICROVMC_LIBEXEC"); }

    [[nodiscard]] std::string path(const std::string& name) const { return directory_.path() + "/" + name; }

    std::string make_ext(const std::string& name, const std::string& type) {
        run({"mke2fs", "-q", "-t", type, "-L", "data", "-U", uuid, "-d", path("tree"), path(name), "32M"});
        return path(name);
    }
    std::string sparse(const std::string& name, const char* size) {
        run({"truncate", "-s", size, path(name)});
        return path(name);
    }
    [[nodiscard]] std::size_t launches() const {
        const std::string said = read_file(path("said"), std::size_t{1} << 30U).value_or("");
        std::size_t count = 0;
        for (std::size_t at = 0; (at = said.find("started 0 0\n", at)) != std::string::npos; ++at) { ++count; }
        return count;
    }

    static constexpr const char* uuid = "6f2b8f0e-6d0c-4d5e-9a5b-0123456789ab";
    TemporaryDirectory directory_;
    DiskOptions options_;
};

/// What each request must come to, beside it.
struct Expected {
    FileRequest request;
    std::optional<std::string> content;
    std::string problem; ///< what the problem says, among other things
};

TEST_F(Disks, EveryFormatAndFileSystemIsReadInOneLaunch) {
    std::vector<Expected> all;
    const auto expect = [&](const FileRequest& request, const std::string& content) {
        all.push_back({request, content, {}});
    };
    const auto expect_problem = [&](const FileRequest& request, const std::string& problem) {
        all.push_back({request, std::nullopt, problem});
    };
    for (const char* type : {"ext2", "ext3", "ext4"}) {
        const std::string image = make_ext(std::string("a:b,c?d@@1 ") + type, type);
        for (const std::string& name : odd_names) { expect({image, "raw", type, "/" + name}, text_of(name)); }
        expect({image, "raw", type, "/dir/../dir//deep"}, text_of("deep"));
        expect({image, "raw", type, "/link"}, text_of("deep"));
        expect({image, "raw", type, "/empty"}, "");
        expect({image, "raw", type, "/big"}, std::string(std::size_t{6} << 20U, 'x'));
        expect_problem({image, "raw", type, "/nothing"}, "no such file");
        expect_problem({image, "raw", type, "/plain/nothing"}, "no such file");
        expect_problem({image, "raw", type, "/outside"}, "no such file"); // not this host's /etc/passwd
        expect_problem({image, "raw", type, "/loop"}, "round in circles");
        expect_problem({image, "raw", type, "/dir"}, "it is a directory");
        expect_problem({image, "raw", type, "/fifo"}, "it is not a regular file");
        expect({image, "raw", type, "", DiskFact::label}, "data");
        expect({image, "raw", type, "", DiskFact::uuid}, uuid);
    }

    // XFS takes files from a description of its tree, in which a name is a word.
    const std::string xfs = sparse("xfs", "320M");
    write_whole(path("proto"),
                "/dev/null\n0 0\nd--755 0 0\nplain ---644 0 0 " + path("tree/plain") +
                    "\nh\xc3\xa4\xc3\x9f ---644 0 0 " + path("tree/h\xc3\xa4\xc3\x9f") + "\n$\n",
                0644);
    run({"mkfs.xfs", "-q", "-L", "data", "-m", std::string("uuid=") + uuid, "-p", path("proto"), xfs});
    expect({xfs, "raw", "xfs", "/plain"}, text_of("plain"));
    expect({xfs, "raw", "xfs", "/h\xc3\xa4\xc3\x9f"}, text_of("h\xc3\xa4\xc3\x9f"));
    expect({xfs, "raw", "xfs", "", DiskFact::label}, "data");
    expect({xfs, "raw", "xfs", "", DiskFact::uuid}, uuid);
    std::filesystem::copy_file(xfs, path("xfs2")); // of the same UUID
    expect({path("xfs2"), "raw", "xfs", "/plain"}, text_of("plain"));

    // Two of one UUID that differ.
    const std::string btrfs = sparse("btrfs", "120M");
    run({"mkfs.btrfs", "-q", "-L", "data", "-U", uuid, "-r", path("tree"), btrfs});
    write_whole(path("tree/dir/deep"), text_of("another"), 0644);
    const std::string btrfs2 = sparse("btrfs2", "120M");
    run({"mkfs.btrfs", "-q", "-L", "data", "-U", uuid, "-r", path("tree"), btrfs2});
    write_whole(path("tree/dir/deep"), text_of("deep"), 0644);
    for (const std::string& name : odd_names) { expect({btrfs, "raw", "btrfs", "/" + name}, text_of(name)); }
    expect({btrfs, "raw", "btrfs", "/dir/deep"}, text_of("deep"));
    expect({btrfs2, "raw", "btrfs", "/dir/deep"}, text_of("another"));
    expect({btrfs, "raw", "btrfs", "/dir/deep"}, text_of("deep"));
    expect({btrfs, "raw", "btrfs", "", DiskFact::label}, "data");
    expect({btrfs, "raw", "btrfs", "", DiskFact::uuid}, uuid);

    const std::string vfat = sparse("vfat", "40M");
    run({"mkfs.vfat", "-n", "DATA", "-i", "12345678", vfat});
    for (const std::string name : {"plain", "with space", "h\xc3\xa4\xc3\x9f", "日本.txt", "#hash"}) {
        run({"env", "LC_ALL=C.UTF-8", "mcopy", "-i", vfat, path("tree/" + name), "::/" + name});
        expect({vfat, "raw", "vfat", "/" + name}, text_of(name));
    }
    expect_problem({vfat, "raw", "vfat", "/nothing"}, "no such file");
    expect({vfat, "raw", "vfat", "", DiskFact::label}, "DATA");
    expect({vfat, "raw", "vfat", "", DiskFact::uuid}, "1234-5678");

    const std::string ext4 = make_ext("ext4", "ext4");
    for (const auto& [format, qemu] :
         std::vector<std::pair<std::string, std::string>>{{"qcow2", "qcow2"}, {"vhd", "vpc"}, {"vhdx", "vhdx"}}) {
        run({"qemu-img", "convert", "-f", "raw", "-O", qemu, ext4, path("image." + format)});
        expect({path("image." + format), format, "ext4", "/dir/deep"}, text_of("deep"));
        expect({path("image." + format), format, "ext4", "", DiskFact::uuid}, uuid);
    }
    run({"qemu-img", "create", "-q", "-f", "qcow2", "-b", ext4, "-F", "raw", path("layer.qcow2")});
    expect({path("layer.qcow2"), "qcow2", "ext4", "/dir/deep"}, text_of("deep"));

    // What only the journal has, as after a kill.
    const std::string dirty = make_ext("dirty", "ext4");
    const std::string blocks = run_program({"debugfs", "-R", "blocks /plain", dirty}).out;
    std::string content = text_of("plain");
    content.replace(0, 4, "THAT");
    write_whole(path("block"), content + std::string(1024 - content.size(), '\0'), 0644);
    write_whole(path("commands"), "jo\njw -b " + blocks.substr(0, blocks.find(' ')) + " " + path("block") + "\njc\n",
                0644);
    run({"debugfs", "-w", "-f", path("commands"), dirty});
    expect({dirty, "raw", "ext4", "/plain"}, content);

    // What is no such thing stops nothing else.
    write_whole(path("junk"), std::string(std::size_t{1} << 20U, 'j'), 0644);
    for (const char* type : {"ext4", "xfs", "btrfs", "vfat"}) {
        expect_problem({path("junk"), "raw", type, "/plain"}, "");
    }
    for (const char* format : {"qcow2", "vhd", "vhdx"}) {
        expect_problem({path("junk"), format, "ext4", "/plain"}, std::string("doesn't take it for a ") + format);
    }
    expect_problem({path("missing"), "raw", "ext4", "/plain"}, "No such file or directory");
    expect_problem({path("tree"), "raw", "ext4", "/plain"}, "");
    expect_problem({ext4, "raw", "xfs", "/plain"}, "mount");
    const std::string broken = make_ext("broken", "ext4");
    run({"dd", "if=/dev/urandom", "of=" + broken, "bs=1k", "seek=2", "count=600", "conv=notrunc"});
    expect_problem({broken, "raw", "ext4", "/plain"}, "");

    for (int i = 0; i < 20; ++i) {
        const std::string image = path("small" + std::to_string(i));
        run({"mke2fs", "-q", "-t", "ext4", image, "2M"});
        run({"debugfs", "-w", "-R", "write " + path("tree/plain") + " only" + std::to_string(i), image});
        expect({image, "raw", "ext4", "/only" + std::to_string(i)}, text_of("plain"));
    }

    std::vector<FileRequest> requests;
    std::set<std::string> images;
    for (const Expected& each : all) {
        requests.push_back(each.request);
        images.insert(each.request.image);
    }
    std::vector<std::pair<std::string, std::filesystem::file_time_type>> times;
    for (const std::string& image : images) {
        std::error_code none;
        times.emplace_back(image, std::filesystem::last_write_time(image, none));
    }
    const std::vector<FileAnswer> answers = read_from_images(requests, options_);
    ASSERT_EQ(answers.size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        SCOPED_TRACE(all[i].request.image + " " + all[i].request.format + " " + all[i].request.fs_type + " " +
                     all[i].request.path + ": " + answers[i].problem);
        EXPECT_TRUE(answers[i].content == all[i].content);
        EXPECT_EQ(answers[i].how, "libguestfs");
        EXPECT_FALSE(answers[i].unable);
        EXPECT_EQ(answers[i].problem.empty(), answers[i].content.has_value());
        EXPECT_NE(answers[i].problem.find(all[i].problem), std::string::npos);
        EXPECT_EQ(answers[i].problem.find('\n'), std::string::npos);
    }
    EXPECT_EQ(launches(), 1U);
    for (const auto& [image, time] : times) {
        std::error_code none;
        EXPECT_TRUE(std::filesystem::last_write_time(image, none) == time) << image << " was written to";
    }
}

TEST_F(Disks, AFileBeyondTheLimitIsRefused) {
    const std::string image = make_ext("image", "ext4");
    options_.content_limit = text_of("plain").size();
    const std::vector<FileAnswer> answers =
        read_from_images({{image, "raw", "ext4", "/plain"}, {image, "raw", "ext4", "/with space"}}, options_);
    EXPECT_EQ(answers[0].content, text_of("plain")) << answers[0].problem;
    EXPECT_FALSE(answers[1].content);
    EXPECT_NE(answers[1].problem.find("more than"), std::string::npos) << answers[1].problem;
}

std::set<std::string> left_in_tmp() {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator("/tmp")) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with("libguestfs") || name.starts_with("microvm-test-")) { names.insert(name); }
    }
    return names;
}

TEST_F(Disks, ItsTimeIsBoundedAndNothingIsLeft) {
    const std::string xfs = sparse("xfs", "320M");
    run({"mkfs.xfs", "-q", xfs});
    const std::string ext4 = make_ext("ext4", "ext4");
    ::setenv("MICROVMC_LIBEXEC", std::filesystem::path(reader).parent_path().c_str(), 1);
    options_.timeout = std::chrono::milliseconds(1500); // no kernel has booted by then
    const std::set<std::string> before = left_in_tmp();
    const auto begin = std::chrono::steady_clock::now();
    const std::vector<FileAnswer> answers =
        read_from_images({{xfs, "raw", "xfs", "/plain"}, {ext4, "raw", "ext4", "/plain"}}, options_);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20)); // by itself, not by force
    EXPECT_TRUE(answers[0].unable);
    EXPECT_NE(answers[0].problem.find("it was not read in time"), std::string::npos) << answers[0].problem;
    EXPECT_EQ(answers[1].content, text_of("plain")) << answers[1].problem; // by other means
    EXPECT_EQ(answers[1].how, "debugfs");
    EXPECT_EQ(left_in_tmp(), before);
    const Ran processes = run_program({"pgrep", "-f", directory_.path() + ".*overlay"});
    EXPECT_EQ(processes.out, "");
}

} // namespace
} // namespace microvmc::testkit
