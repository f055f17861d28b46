#include "runtime/initramfs.h"

#include "runtime/cpio.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/guest/spec.h"
#include "runtime/kernel/pin.h"
#include "tests/host/host_kernel.h"
#include "tests/host/temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <archive.h>
#include <archive_entry.h>
#include <fstream>
#include <map>
#include <sched.h>

namespace microvmc {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;
using testing::StartsWith;

struct Member {
    unsigned type = 0;
    unsigned mode = 0;
    std::string content; ///< or a symlink's target
};

/// What libarchive, as an independent reader, finds in an archive.
std::map<std::string, Member> members(const std::string& file) {
    std::map<std::string, Member> all;
    archive* reader = archive_read_new();
    archive_read_support_format_cpio(reader);
    EXPECT_EQ(archive_read_open_filename(reader, file.c_str(), 65536), ARCHIVE_OK) << archive_error_string(reader);
    archive_entry* entry = nullptr;
    int result = ARCHIVE_OK;
    while ((result = archive_read_next_header(reader, &entry)) == ARCHIVE_OK) {
        Member member{archive_entry_filetype(entry), archive_entry_perm(entry), {}};
        EXPECT_EQ(archive_entry_uid(entry), 0);
        EXPECT_EQ(archive_entry_mtime(entry), 0);
        if (member.type == AE_IFLNK) { member.content = archive_entry_symlink(entry); }
        if (member.type == AE_IFREG) {
            member.content.resize(static_cast<std::size_t>(archive_entry_size(entry)));
            EXPECT_EQ(archive_read_data(reader, member.content.data(), member.content.size()),
                      static_cast<la_ssize_t>(member.content.size()));
        }
        const std::string path = archive_entry_pathname(entry);
        if (const std::size_t slash = path.rfind('/'); slash != std::string::npos) {
            EXPECT_TRUE(all.contains(path.substr(0, slash))) << path << " comes before its directory";
        }
        EXPECT_TRUE(all.emplace(path, member).second) << path << " twice";
    }
    EXPECT_EQ(result, ARCHIVE_EOF) << archive_error_string(reader);
    archive_read_free(reader);
    return all;
}

/// One pin for all tests: it takes seconds.
class Initramfs : public testing::Test {
protected:
    static void SetUpTestSuite() {
        directory = std::make_unique<TemporaryDirectory>();
        if (const auto host = host_kernel()) {
            const KernelPlan plan = plan_of(*host, *directory / "kernels/host", KernelImage::bzimage);
            pin_kernel(plan);
            modules = plan.pin + "/modules";
        }
        make_directories(*directory / "none", 0700);
    }
    static void TearDownTestSuite() { directory.reset(); }

    static BuildInitramfs request(const std::string& name) {
        BuildInitramfs request;
        request.output = *directory / ("cache/" + name + ".cpio");
        request.busybox = "/bin/busybox";
        request.init = "/bin/busybox"; // any static program
        request.modules_dir = modules.empty() ? *directory / "none" : modules;
        if (!modules.empty()) { request.modules = {"virtio_mmio", "virtio_net", "9p", "9pnet_virtio", "ext4", "unix"}; }
        guest::append_record(request.spec, "param", {"hostname", name});
        return request;
    }

    inline static std::unique_ptr<TemporaryDirectory> directory;
    inline static std::string modules;
};

TEST_F(Initramfs, HoldsWhatTheGuestNeeds) {
    const BuildInitramfs wanted = request("whole");
    EXPECT_TRUE(build_initramfs(wanted));
    EXPECT_FALSE(build_initramfs(wanted));
    auto all = members(wanted.output);
    EXPECT_EQ(all["microvmc/init"].content, read_file("/bin/busybox"));
    EXPECT_EQ(all["microvmc/init"].mode, 0755U);
    EXPECT_EQ(all["bin/busybox"].mode, 0755U);
    EXPECT_EQ(all["bin/sh"].type, static_cast<unsigned>(AE_IFLNK));
    EXPECT_EQ(all["bin/sh"].content, "busybox");
    EXPECT_EQ(all["bin/httpd"].content, "busybox");
    EXPECT_EQ(all["usr/bin"].content, "../bin");
    EXPECT_EQ(all["dev/console"].type, static_cast<unsigned>(AE_IFCHR));
    EXPECT_EQ(all["dev/null"].type, static_cast<unsigned>(AE_IFCHR));
    for (const char* name : {"proc", "sys", "run", "tmp", "root", "newroot", "var", "etc"}) {
        EXPECT_EQ(all[name].type, static_cast<unsigned>(AE_IFDIR)) << name;
    }
    EXPECT_EQ(all["tmp"].mode, 01777U);
    EXPECT_THAT(all["etc/passwd"].content, StartsWith("root:x:0:0:"));
}

TEST_F(Initramfs, LoadsDependenciesFirst) {
    if (modules.empty()) { GTEST_SKIP() << "no kernel with modules in /boot"; }
    const BuildInitramfs wanted = request("order");
    build_initramfs(wanted);
    auto all = members(wanted.output);
    bool ok = false;
    const auto records = guest::parse_records(all["microvmc/spec"].content, ok);
    ASSERT_TRUE(ok);
    std::vector<std::string> order;
    for (const guest::Record& record : records) {
        if (record.verb == "module") { order.emplace_back(record.args.at(0)); }
    }
    EXPECT_EQ(records.back().verb, "param");
    std::set<std::string> carried;
    for (const auto& [path, member] : all) {
        if (path.starts_with("microvmc/modules/")) {
            carried.insert(path.substr(17));
            EXPECT_TRUE(member.content.starts_with("\x7f"
                                                   "ELF"))
                << path;
        }
    }
    EXPECT_EQ(carried, std::set<std::string>(order.begin(), order.end()));
    const auto position = [&order](const std::string& name) { return std::ranges::find(order, name) - order.begin(); };
    EXPECT_THAT(order, IsSupersetOf({"virtio_mmio.ko", "virtio_net.ko", "ext4.ko", "9p.ko", "crc32c_generic.ko"}));
    EXPECT_THAT(order, Not(Contains("virtio_blk.ko")));
    EXPECT_LT(position("virtio_ring.ko"), position("virtio_mmio.ko"));
    EXPECT_LT(position("net_failover.ko"), position("virtio_net.ko"));
    EXPECT_LT(position("jbd2.ko"), position("ext4.ko"));
}

TEST_F(Initramfs, FileSystemsThatMayBeNeededComeWithTheirModules) {
    if (modules.empty()) { GTEST_SKIP() << "no kernel with modules in /boot"; }
    BuildInitramfs wanted = request("file-systems");
    wanted.file_systems = {"ext4", "xfs", "no-such-file-system"};
    build_initramfs(wanted);
    auto all = members(wanted.output);
    bool ok = false;
    std::map<std::string, std::vector<std::string>> found;
    for (const guest::Record& record : guest::parse_records(all["microvmc/spec"].content, ok)) {
        if (record.verb != "file-system") { continue; }
        found[std::string(record.args.at(0))] = {record.args.begin() + 1, record.args.end()};
    }
    ASSERT_TRUE(ok);
    EXPECT_EQ(found["xfs"].back(), "xfs.ko");
    EXPECT_EQ(found["ext4"].back(), "ext4.ko");
    EXPECT_TRUE(found.contains("no-such-file-system"));
    EXPECT_TRUE(found["no-such-file-system"].empty());
    EXPECT_TRUE(all.contains("microvmc/modules/xfs.ko"));
    EXPECT_TRUE(all.contains("microvmc/modules/jbd2.ko"));
}

TEST_F(Initramfs, SameInputsSameBytes) {
    BuildInitramfs first = request("a");
    BuildInitramfs second = request("a");
    second.output = *directory / "other-cache/a.cpio"; // its parts are made again
    build_initramfs(first);
    build_initramfs(second);
    EXPECT_EQ(read_file(first.output), read_file(second.output));
}

TEST_F(Initramfs, PartsAreSharedBetweenMachines) {
    build_initramfs(request("one"));
    const auto before = std::distance(std::filesystem::directory_iterator(*directory / "cache"), {});
    const auto start = std::chrono::steady_clock::now();
    build_initramfs(request("two"));
    std::printf("with parts there: %.1f ms, %ju bytes\n",
                std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count(),
                static_cast<std::uintmax_t>(std::filesystem::file_size(request("two").output)));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(*directory / "cache"), {}), before + 1);
}

TEST_F(Initramfs, AnotherProgramMakesAnotherBase) {
    BuildInitramfs wanted = request("program");
    wanted.init = *directory / "init";
    std::filesystem::copy_file("/bin/busybox", wanted.init);
    build_initramfs(wanted);
    std::string changed = read_file("/bin/busybox").value() + "changed";
    write_whole(wanted.init, changed, 0755);
    wanted.output = *directory / "cache/program2.cpio";
    build_initramfs(wanted);
    EXPECT_EQ(members(wanted.output)["microvmc/init"].content, changed);
}

TEST_F(Initramfs, OneOfAnEarlierBootIsMadeAgain) {
    if (::geteuid() != 0) { GTEST_SKIP() << "only root starts a time namespace"; }
    const BuildInitramfs wanted = request("boot");
    build_initramfs(wanted);
    std::filesystem::resize_file(wanted.output, 0); // as a power cut may leave it
    EXPECT_FALSE(build_initramfs(wanted));
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    constexpr int no_namespaces = 77;
    const pid_t outer = ::fork();
    if (outer == 0) {
        if (::unshare(CLONE_NEWTIME) != 0) { ::_exit(no_namespaces); }
        // In it, the host has started this very second.
        timespec uptime{};
        ::clock_gettime(CLOCK_BOOTTIME, &uptime);
        std::ofstream("/proc/self/timens_offsets") << "boottime -" << uptime.tv_sec << " 0\n";
        const pid_t inner = ::fork();
        if (inner == 0) { ::_exit(build_initramfs(wanted) ? 0 : 1); }
        int status = -1;
        ::waitpid(inner, &status, 0);
        ::_exit(status == 0 ? 0 : 1);
    }
    int status = -1;
    ::waitpid(outer, &status, 0);
    if (WEXITSTATUS(status) == no_namespaces) { GTEST_SKIP() << "no time namespaces here"; }
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(members(wanted.output).contains("microvmc/spec"));
}

TEST_F(Initramfs, WithoutModulesAndWithoutBusybox) {
    BuildInitramfs wanted = request("bare");
    wanted.busybox.clear();
    wanted.modules_dir = *directory / "none"; // of a kernel that has everything built in
    EXPECT_TRUE(build_initramfs(wanted));
    const auto all = members(wanted.output);
    EXPECT_FALSE(all.contains("bin"));
    EXPECT_TRUE(all.contains("microvmc/init"));
    EXPECT_EQ(all.at("microvmc/spec").content, wanted.spec);
}

TEST_F(Initramfs, SaysWhatIsWrong) {
    const auto message = [](const BuildInitramfs& wanted) -> std::string {
        try {
            build_initramfs(wanted);
        } catch (const Error& error) {
            EXPECT_FALSE(std::filesystem::exists(wanted.output));
            return error.what();
        }
        return "no error";
    };
    BuildInitramfs wanted = request("wrong");
    wanted.init = "/bin/sh";
    EXPECT_THAT(message(wanted), HasSubstr("/bin/sh can't run in a guest: it is not a statically linked program"));
    wanted.init = *directory / "nothing";
    EXPECT_THAT(message(wanted), HasSubstr("there is no "));
    wanted = request("wrong");
    wanted.modules_dir = *directory / "absent";
    EXPECT_THAT(message(wanted), HasSubstr("can't look at the modules in "));
    if (modules.empty()) { return; }
    wanted = request("wrong");
    wanted.modules.push_back("no_such_module");
    EXPECT_THAT(message(wanted),
                HasSubstr("/kernels/host/modules has no module no_such_module, and it isn't built in"));
    wanted.modules.back() = "snd_hda_intel"; // of the kernel, yet not pinned
    EXPECT_THAT(message(wanted), HasSubstr("is not among those that were pinned in"));
}

TEST_F(Initramfs, WholeOrNotThereWhenKilled) {
    const BuildInitramfs wanted = request("killed");
    build_initramfs(request("reference-of-parts"));
    std::mt19937 random(9);
    int made = 0;
    for (int round = 0; round < 30; ++round) {
        kill_during([&] { build_initramfs(wanted); }, std::chrono::milliseconds(8), random);
        if (std::filesystem::exists(wanted.output)) {
            ++made;
            EXPECT_TRUE(members(wanted.output).contains("microvmc/spec"));
            std::filesystem::remove(wanted.output);
        }
    }
    std::printf("made before the kill: %d of 30\n", made);
    EXPECT_TRUE(build_initramfs(wanted));
}

TEST_F(Initramfs, KeyNamesAllThatGoesIn) {
    ToolFacts busybox{.path = "/bin/busybox", .version = "1.35.0", .identity = {1, 2, 3, 4}};
    ToolFacts init{.path = "/usr/libexec/microvmc/microvmc-init", .version = "", .identity = {1, 5, 6, 7}};
    KernelPlan kernel;
    kernel.pin = "/var/lib/microvmc/kernels/a";
    kernel.identity = {1, 8, 9, 10};
    const auto key = [&](const std::vector<std::string>& names = {"ext4", "9p"}, const std::string& spec = "spec",
                         const std::vector<std::string>& file_systems = {"xfs"}) {
        return initramfs_key(busybox, init, kernel, names, file_systems, spec);
    };
    std::set<std::string> keys{key()};
    EXPECT_EQ(key(), *keys.begin());
    EXPECT_EQ(key().size(), 64U);
    keys.insert(key({"ext49p"}));
    keys.insert(key({"ext4"}, "9pspec"));
    keys.insert(key({"9p", "ext4"}));
    keys.insert(key({"ext4", "9p"}, "spec "));
    keys.insert(key({"ext4", "9p"}, "spec", {}));
    keys.insert(key({"ext4", "9p", "xfs"}, "spec", {}));
    busybox.identity.mtime_ns = 0;
    keys.insert(key());
    init.identity.inode = 0;
    keys.insert(key());
    kernel.identity.size = 0;
    keys.insert(key());
    kernel.pin += "b";
    keys.insert(key());
    EXPECT_EQ(keys.size(), 11U);
}

TEST(Cpio, WithoutTrailerItGoesOn) {
    const TemporaryDirectory directory;
    CpioEntry first{.path = "a", .content = "one"};
    CpioEntry second{.path = "b", .content = std::string(12345, 'x') + "070701"};
    const std::string whole = cpio_archive({first, second}, true);
    EXPECT_EQ(cpio_archive({first}, false).size() % 4, 0U);
    write_whole(directory / "joined", cpio_archive({first}, false) + cpio_archive({second}, true), 0600);
    auto all = members(directory / "joined");
    EXPECT_EQ(all.size(), 2U);
    EXPECT_EQ(all["a"].content, "one");
    EXPECT_EQ(all["b"].content, second.content);
    EXPECT_EQ(cpio_archive({}, false), "");
}

} // namespace
} // namespace microvmc
