// Roots' images, read back by the file systems' own tools.

#include "compiler/identity.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/initramfs_cache.h"
#include "runtime/process.h"
#include "runtime/root/directory_source.h"
#include "runtime/root/root_cache.h"
#include "runtime/root/root_image.h"
#include "tests/host/archives.h"
#include "tests/host/images.h"
#include "tests/host/temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <fstream>
#include <map>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

namespace microvmc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* uuid = "0d9e2b7a-3c55-8f0e-9a51-6c1f7d8e9b20";

std::string run(const std::vector<std::string>& argv) {
    RunOptions options;
    options.output_limit = std::size_t{64} << 20U;
    const Ran ran = run_program(argv, options);
    EXPECT_EQ(ran.status, 0) << argv.front() << ": " << ran.err << ran.out;
    return ran.out;
}

void put(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
}

std::string sha256_of(const std::string& path) {
    return run({"sha256sum", path}).substr(0, 64);
}

/// What a tool that unpacks an image gives back of it.
enum class Fidelity {
    all,
    without_links_and_setuid, ///< fsck.erofs of erofs-utils 1.5
};

/// What is in a directory: kinds, modes, owners, sizes, links, times to the second, contents.
std::string described(const std::string& directory, Fidelity fidelity = Fidelity::all) {
    const std::string mode = fidelity == Fidelity::all ? "%m %n" : "%M";
    const std::string script = "cd \"$1\" && find . ! -name . -printf '%P %y " + mode +
                               " %U %G %l %Ts ' "
                               "\\( -type f -printf '%s' -o -true \\) -printf '\\n' | sort && "
                               "find . -type f -print0 | sort -z | xargs -0 sha256sum";
    std::string text = run({"sh", "-c", script, "sh", directory});
    if (fidelity == Fidelity::without_links_and_setuid) { std::ranges::replace(text, 's', 'x'); }
    return text;
}

/// The lines in which they differ.
void expect_same(const std::string& one, const std::string& other, const std::string& what) {
    if (one == other) { return; }
    const TemporaryDirectory both;
    put(both / "one", one);
    put(both / "other", other);
    ADD_FAILURE() << what << ":\n" << run_program({"diff", both / "one", both / "other"}).out.substr(0, 2000);
}

/// The status of what a child does, an ordinary user's or with mounts of its own.
int in_child(const std::function<int()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
        int status = 99;
        try {
            status = work();
        } catch (const std::exception& error) { std::fprintf(stderr, "%s\n", error.what()); }
        std::fflush(nullptr);
        ::_exit(status);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

constexpr int no_mounts = 77;
int with_mounts(const std::function<int()>& work) {
    return in_child([&work] {
        const uid_t uid = ::geteuid();
        if (::unshare(CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER)) != 0) { return no_mounts; }
        if (uid != 0) { std::ofstream("/proc/self/uid_map") << uid << " " << uid << " 1\n"; }
        if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) { return no_mounts; }
        return work();
    });
}

int as_nobody(const std::function<int()>& work) {
    return in_child([&work] {
        constexpr uid_t nobody = 65534;
        if (::setresgid(nobody, nobody, nobody) != 0 || ::setresuid(nobody, nobody, nobody) != 0) { return 98; }
        return work();
    });
}

/// A directory with a source, and where images of it are made.
class Root : public testing::Test {
protected:
    void SetUp() override {
        source = *directory / "source";
        std::filesystem::create_directory(source);
        std::filesystem::create_directory(*directory / "cache");
    }

    [[nodiscard]] BuildRoot request(RootPlan::Kind kind, const std::string& from,
                                    const std::string& fs_type = "erofs") const {
        BuildRoot wanted;
        wanted.kind = kind;
        wanted.source = from;
        wanted.fs_type = fs_type;
        wanted.uuid = uuid;
        wanted.output = *directory / ("cache/" + root_key(kind, fs_type, "", source_identity(from)) + "." + fs_type);
        return wanted;
    }

    /// Makes an image; its path.
    std::string make(RootPlan::Kind kind, const std::string& from, const std::string& fs_type = "erofs") {
        const BuildRoot wanted = request(kind, from, fs_type);
        EXPECT_TRUE(build_root(wanted, {}));
        return wanted.output;
    }

    [[nodiscard]] std::string archive(const std::string& bytes, const std::string& name = "root.tar") const {
        std::string path = *directory / name;
        put(path, bytes);
        return path;
    }

    std::string problem(RootPlan::Kind kind, const std::string& from, const std::string& fs_type = "erofs") {
        try {
            build_root(request(kind, from, fs_type), {});
        } catch (const Error& error) { return error.what(); }
        return {};
    }

    static Fidelity fidelity_of(const std::string& fs_type) {
        return fs_type == "erofs" ? Fidelity::without_links_and_setuid : Fidelity::all;
    }

    [[nodiscard]] std::string unpacked(const std::string& image) {
        std::string target = *directory / "unpacked";
        std::filesystem::remove_all(target);
        if (image.ends_with(".erofs")) {
            run({"fsck.erofs", "--extract=" + target, image});
        } else {
            run({"unsquashfs", "-quiet", "-no-progress", "-dest", target, image});
        }
        return target;
    }

    std::unique_ptr<TemporaryDirectory> directory = std::make_unique<TemporaryDirectory>();
    std::string source;
};

/// Every kind of thing that a root has, and sizes at which layouts change.
void fill(const std::string& path) {
    const auto at = [&path](const std::string& name) { return path + "/" + name; };
    for (const char* name : {"etc", "bin", "many", "empty", "deep", "proc", "sys", "dev", "run", "tmp"}) {
        std::filesystem::create_directory(at(name));
    }
    ::chmod(at("tmp").c_str(), 01777);
    for (const std::size_t size :
         {0, 1, 63, 64, 4000, 4031, 4032, 4033, 4095, 4096, 4097, 8128, 8192, 70'000, 3'000'000}) {
        std::string content(size, '\0');
        for (std::size_t i = 0; i < size; ++i) { content[i] = static_cast<char>(i * 7 + i / 4096); }
        put(at("bin/size-" + std::to_string(size)), content);
    }
    for (int i = 0; i < 500; ++i) { // directories of more than a block
        put(at("many/a-name-of-some-length-" + std::to_string(i)), std::to_string(i));
    }
    std::string deep = at("deep");
    for (int i = 0; i < 30; ++i) {
        deep += "/level-" + std::to_string(i);
        std::filesystem::create_directory(deep);
    }
    put(deep + "/file", "deep");
    put(at("etc/!before-dot"), "sorts before . and ..");
    put(at("etc/\xc3\xa4 name\nwith \"all\""), "odd");
    put(at("etc/" + std::string(255, 'n')), "long");
    put(at("bin/setuid"), "#!/bin/sh\n");
    ::chmod(at("bin/setuid").c_str(), 04755);
    std::filesystem::create_hard_link(at("bin/setuid"), at("bin/another-name"));
    std::filesystem::create_hard_link(at("bin/setuid"), at("etc/third-name"));
    std::filesystem::create_symlink("bin", at("sbin"));
    std::filesystem::create_symlink(std::string(4000, 't'), at("etc/long-link"));
    std::filesystem::create_symlink("/etc/passwd", at("etc/absolute-link"));
    ::mkfifo(at("run/fifo").c_str(), 0622);
    {
        const Fd sparse(::open(at("bin/sparse").c_str(), O_WRONLY | O_CREAT, 0644));
        ASSERT_EQ(::pwrite(sparse.get(), "middle", 6, 5'000'000), 6);
        ASSERT_EQ(::ftruncate(sparse.get(), 20'000'001), 0);
    }
    ::setxattr(at("bin/setuid").c_str(), "user.note", "kept", 4, 0);
    if (::geteuid() != 0) { return; }
    for (const auto& [name, owner] : {std::pair{"etc", 1000}, {"many/a-name-of-some-length-7", 70'000}}) {
        ASSERT_EQ(::chown(at(name).c_str(), static_cast<uid_t>(owner), static_cast<gid_t>(owner + 1)), 0);
    }
    ::mknod(at("dev/null").c_str(), S_IFCHR | 0666, makedev(1, 3));
    ::mknod(at("dev/far").c_str(), S_IFBLK | 0640, makedev(259, 300'000));
}

TEST_F(Root, OfADirectoryIsTheDirectory) {
    fill(source);
    for (const char* fs_type : {"erofs", "squashfs"}) {
        const std::string image = make(RootPlan::Kind::dir, source, fs_type);
        const std::string target = unpacked(image);
        const Fidelity fidelity = fidelity_of(fs_type);
        expect_same(described(target, fidelity), described(source, fidelity), fs_type);
        if (::geteuid() == 0) {
            struct stat device {};
            ASSERT_EQ(::stat((target + "/dev/far").c_str(), &device), 0);
            EXPECT_EQ(device.st_rdev, makedev(259, 300'000));
        }
        struct stat status {};
        ASSERT_EQ(::stat(image.c_str(), &status), 0);
        EXPECT_LT(status.st_blocks * 512, 8 << 20) << "holes take no room";
        EXPECT_EQ(status.st_size % 4096, 0);
        EXPECT_EQ(status.st_mode & 07777, 0600U);
    }
}

TEST_F(Root, OfAnArchiveIsWhatTarUnpacks) {
    fill(source);
    for (const auto& [flags, name] : {std::pair<std::string, std::string>{"--format=gnu", "gnu.tar"},
                                      {"--format=pax", "pax.tar"},
                                      {"--gzip", "root.tar.gz"},
                                      {"--xz", "root.tar.xz"},
                                      {"--zstd", "root.tar.zst"}}) {
        const std::string path = *directory / name;
        run({"tar", flags, "--sparse", "-C", source, "-cf", path, "."});
        for (const char* fs_type : {"erofs", "squashfs"}) {
            const Fidelity fidelity = fidelity_of(fs_type);
            expect_same(described(unpacked(make(RootPlan::Kind::tar, path, fs_type)), fidelity),
                        described(source, fidelity), name + " " + fs_type);
        }
    }
}

TEST_F(Root, KernelMountsIt) {
    if (::geteuid() != 0) { GTEST_SKIP() << "only root mounts"; }
    fill(source);
    ASSERT_EQ(::setxattr((source + "/bin/size-64").c_str(), "security.capability",
                         "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20, 0),
              0);
    ASSERT_EQ(::setxattr(source.c_str(), "user.root", "of the root", 11, 0), 0);
    const std::string before = described(source);
    for (const std::string fs_type : {"erofs", "squashfs"}) {
        const std::string image = make(RootPlan::Kind::dir, source, fs_type);
        const std::string target = *directory / ("mnt-" + fs_type);
        std::filesystem::create_directory(target);
        const Ran mounted = run_program({"mount", "-t", fs_type, "-o", "loop,ro", image, target});
        if (mounted.status != 0) { GTEST_SKIP() << "this kernel doesn't mount it: " << last_words(mounted); }
        expect_same(described(target), before, fs_type);
        const auto xattr = [&target](const std::string& path, const char* name) {
            std::string value(64, '\0');
            const ssize_t size = ::getxattr((target + path).c_str(), name, value.data(), value.size());
            value.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
            return value;
        };
        EXPECT_EQ(xattr("/bin/setuid", "user.note"), "kept");
        EXPECT_EQ(xattr("/bin/size-64", "security.capability").size(), 20U);
        EXPECT_EQ(xattr("", "user.root"), "of the root");
        EXPECT_EQ(run({"findmnt", "-n", "-o", "FSTYPE", target}), fs_type + "\n");
        if (fs_type == "erofs") {
            EXPECT_EQ(run({"blkid", "-p", "-s", "UUID", "-o", "value", image}), std::string(uuid) + "\n");
        }
        run({"umount", target});
    }
}

TEST_F(Root, SameSourceSameBytes) {
    fill(source);
    run({"tar", "-C", source, "-cf", *directory / "root.tar", "."});
    for (const auto& [kind, from] :
         {std::pair{RootPlan::Kind::dir, source}, {RootPlan::Kind::tar, *directory / "root.tar"}}) {
        for (const char* fs_type : {"erofs", "squashfs"}) {
            const BuildRoot wanted = request(kind, from, fs_type);
            ASSERT_TRUE(build_root(wanted, {}));
            const std::string first = sha256_of(wanted.output);
            EXPECT_FALSE(build_root(wanted, {})) << "made though it was there";
            std::filesystem::remove(wanted.output);
            ASSERT_TRUE(build_root(wanted, {}));
            EXPECT_EQ(sha256_of(wanted.output), first);
        }
    }
}

/// Owners, devices and modes of an archive need no privilege.
TEST_F(Root, AnOrdinaryUserMakesTheSame) {
    if (::geteuid() != 0) { GTEST_SKIP() << "needs another user"; }
    fill(source);
    run({"tar", "-C", source, "-cf", *directory / "root.tar", "."});
    const BuildRoot wanted = request(RootPlan::Kind::tar, *directory / "root.tar");
    ASSERT_TRUE(build_root(wanted, {}));
    const std::string made_by_root = sha256_of(wanted.output);
    std::filesystem::remove(wanted.output);
    ::chmod(directory->path().c_str(), 0755);
    ::chmod((*directory / "cache").c_str(), 0777);
    ASSERT_EQ(as_nobody([&] { return build_root(wanted, {}) ? 0 : 1; }), 0);
    EXPECT_EQ(sha256_of(wanted.output), made_by_root);
}

TEST_F(Root, HasWhatTheKernelsFileSystemsAreMountedOn) {
    const std::string target =
        unpacked(make(RootPlan::Kind::tar, archive(tar_entry({.name = "hello", .content = "x"}) + tar_end())));
    for (const char* name : {"dev", "proc", "run", "sys", "tmp"}) {
        EXPECT_TRUE(std::filesystem::is_directory(target + "/" + name)) << name;
    }
    EXPECT_EQ(std::filesystem::status(target + "/tmp").permissions(), std::filesystem::perms(01777));
}

TEST_F(Root, LaterEntriesTakeThePlaceOfEarlierOnes) {
    const std::string path = archive(
        tar_entry({.name = "a", .content = "old", .mode = 0600}) + tar_entry({.name = "b", .type = '1', .link = "a"}) +
        tar_entry({.name = "d/", .type = '5', .mode = 0700}) +
        tar_entry({.name = "a", .content = "new one", .mode = 0640}) +
        tar_entry({.name = "./d", .type = '5', .mode = 0711}) + tar_entry({.name = "implied/by/this", .content = "x"}) +
        tar_entry({.name = "implied", .type = '5', .mode = 0750}) + tar_entry({.name = "file", .content = "x"}) +
        tar_entry({.name = "file", .type = '5', .mode = 0755}) + tar_entry({.name = "file/in", .content = "y"}) +
        tar_end());
    for (const char* fs_type : {"erofs", "squashfs"}) {
        const std::string target = unpacked(make(RootPlan::Kind::tar, path, fs_type));
        EXPECT_EQ(read_file(target + "/a"), "new one");
        EXPECT_EQ(read_file(target + "/b"), "old");
        EXPECT_EQ(std::filesystem::hard_link_count(target + "/b"), 1U);
        EXPECT_EQ(std::filesystem::status(target + "/d").permissions(), std::filesystem::perms(0711));
        EXPECT_EQ(read_file(target + "/implied/by/this"), "x");
        EXPECT_EQ(std::filesystem::status(target + "/implied").permissions(), std::filesystem::perms(0750));
        EXPECT_EQ(read_file(target + "/file/in"), "y");
    }
}

/// What lies around the images must be as it was, whatever an archive says.
TEST_F(Root, HostileArchivesAreRefusedAndWriteNothing) {
    const std::string good = tar_entry({.name = "good", .content = "x"});
    const std::string victim = *directory / "victim";
    put(victim, "untouched");
    const struct {
        std::string bytes;
        std::string says;
    } cases[] = {
        {tar_entry({.name = victim, .content = "overwritten"}), "has an absolute path"},
        {tar_entry({.name = "../victim", .content = "overwritten"}), "leads out of the root"},
        {tar_entry({.name = "a/../../victim", .content = "overwritten"}), "leads out of the root"},
        {tar_entry({.name = "..", .type = '5'}), "leads out of the root"},
        {tar_entry({.name = "out", .type = '2', .link = directory->path()}) +
             tar_entry({.name = "out/victim", .content = "overwritten"}),
         "lies below something that is no directory"},
        {tar_entry({.name = "hard", .type = '1', .link = victim}), "has an absolute path"},
        {tar_entry({.name = "hard", .type = '1', .link = "../victim"}), "leads out of the root"},
        {tar_entry({.name = "hard", .type = '1', .link = "nowhere"}), "which isn't there before it"},
        {tar_entry({.name = "d", .type = '5'}) + tar_entry({.name = "hard", .type = '1', .link = "d"}),
         "hard link to the directory"},
        {tar_entry({.name = "d/f", .content = "x"}) + tar_entry({.name = "d", .content = "x"}),
         "a directory that isn't empty"},
        {tar_entry({.name = ".", .content = "x"}), "takes the place of the root directory"},
        {tar_entry({.name = "link", .type = '2'}), "a symbolic link's target has 1 to 4095 bytes"},
        {tar_entry({.name = "link", .type = '2', .link = std::string(5000, 'l')}),
         "a symbolic link's target has 1 to 4095 bytes"},
        {tar_entry({.name = std::string(256, 'n'), .content = "x"}), "has a name of 256 bytes"},
        {tar_entry({.name =
                        [] {
                            std::string path;
                            for (int i = 0; i < 100; ++i) { path += std::string(49, 'p') + "/"; }
                            return path + "f";
                        }(),
                    .content = "x"}),
         "has a path of"},
        {tar_entry({.name = "dev", .type = '3', .major = 5000, .minor = 1}), "Linux has no device 5000:1"},
        {tar_hole("bomb", std::uint64_t{1} << 50U), "there is room for"},
        {tar_hole("bomb", std::uint64_t{1} << 44U) + tar_hole("bomb2", std::uint64_t{1} << 44U), "there is room for"},
        {tar_entry({.name = "short", .content = std::string(100, 'x'), .size = 100'000}), ""},
        {std::string(3000, 'r'), ""},
        {"", ""},
        {compressed(good + tar_end(), Compression::gzip).substr(0, 60), ""},
        {compressed(good + tar_end(), Compression::xz).substr(0, 60), ""},
        {compressed(good + tar_end(), Compression::zstd).substr(0, 30), ""},
    };
    int number = 0;
    for (const auto& each : cases) {
        for (const char* fs_type : {"erofs", "squashfs"}) {
            const bool is_cut = each.says.empty();
            const std::string path =
                archive(is_cut ? each.bytes : good + each.bytes + tar_end(), "bad" + std::to_string(number++) + ".tar");
            const std::string said = problem(RootPlan::Kind::tar, path, fs_type);
            EXPECT_THAT(said, HasSubstr("can't make a root of " + path + ": ")) << each.says;
            EXPECT_THAT(said, HasSubstr(each.says));
            EXPECT_TRUE(std::filesystem::is_empty(*directory / "cache")) << said;
            EXPECT_EQ(read_file(victim), "untouched");
            std::filesystem::remove(path);
        }
    }
    EXPECT_THAT(directory->names(), ElementsAre("cache", "source", "victim"));
}

TEST_F(Root, ACutOffArchiveIsSeenWhereverItIsCut) {
    std::string whole;
    for (int i = 0; i < 5; ++i) { whole += tar_entry({.name = std::to_string(i), .content = std::string(700, 'c')}); }
    for (std::size_t size = 0; size <= whole.size(); size += 128) {
        EXPECT_NE(problem(RootPlan::Kind::tar, archive(whole.substr(0, size))), "") << size;
    }
    EXPECT_EQ(problem(RootPlan::Kind::tar, archive(whole + tar_end())), "");
}

TEST_F(Root, NamesKeepTheirBytes) {
    const std::string latin = "caf\xe9";
    const std::string path = archive(tar_entry({.name = latin, .content = "latin"}) +
                                     tar_entry({.name = "caf\xc3\xa9", .content = "utf-8"}) + tar_end());
    const std::string target = unpacked(make(RootPlan::Kind::tar, path));
    EXPECT_EQ(read_file(target + "/" + latin), "latin");
    EXPECT_EQ(read_file(target + "/caf\xc3\xa9"), "utf-8");
}

TEST_F(Root, MemoryIsBounded) {
    const std::string path = *directory / "big.tar";
    {
        std::ofstream out(path, std::ios::binary);
        for (int i = 0; i < 100'000; ++i) {
            out << tar_entry({.name = "d" + std::to_string(i % 1000) + "/file-" + std::to_string(i),
                              .content = std::string(static_cast<std::size_t>(i % 3000), 'x')});
        }
        const std::string megabyte(std::size_t{1} << 20U, 'm');
        for (int i = 0; i < 4; ++i) {
            out << tar_entry({.name = "large" + std::to_string(i), .size = 100 << 20});
            for (int j = 0; j < 100; ++j) { out << megabyte; }
        }
        out << tar_hole("sparse", std::uint64_t{1} << 30U) << tar_end();
    }
    for (const char* fs_type : {"erofs", "squashfs"}) {
        const BuildRoot wanted = request(RootPlan::Kind::tar, path, fs_type);
        EXPECT_EQ(in_child([&] {
                      build_root(wanted, {});
                      rusage usage{};
                      ::getrusage(RUSAGE_SELF, &usage);
                      std::printf("%s of 100,000 files and 400 MiB: %ld MiB resident\n", fs_type,
                                  usage.ru_maxrss >> 10);
                      return usage.ru_maxrss >> 10 <= 256 ? 0 : 1;
                  }),
                  0)
            << fs_type;
    }
}

TEST_F(Root, WholeOrNotThereWhenKilled) {
    for (int i = 0; i < 300; ++i) { put(source + "/" + std::to_string(i), std::string(20'000, static_cast<char>(i))); }
    const BuildRoot wanted = request(RootPlan::Kind::dir, source);
    ASSERT_TRUE(build_root(wanted, {}));
    const std::string whole = sha256_of(wanted.output);
    std::filesystem::remove(wanted.output);
    std::mt19937 random(7);
    int made = 0;
    for (int round = 0; round < 300; ++round) {
        kill_during([&] { build_root(wanted, {}); }, std::chrono::milliseconds(60), random);
        if (std::filesystem::exists(wanted.output)) {
            ++made;
            ASSERT_EQ(sha256_of(wanted.output), whole) << "round " << round;
            std::filesystem::remove(wanted.output);
        }
        ASSERT_TRUE(std::filesystem::is_empty(*directory / "cache")) << "round " << round;
    }
    std::printf("made before the kill: %d of 300\n", made);
}

TEST_F(Root, AFullDiskLeavesNothing) {
    put(source + "/large", std::string(12 << 20, 'l'));
    const std::string cache = *directory / "cache";
    const int status = with_mounts([&] {
        if (::mount("tmpfs", cache.c_str(), "tmpfs", 0, "size=16m") != 0) { return no_mounts; }
        put(cache + "/hog", std::string(2 << 20, 'h'));
        // There is room for it at first, and none any more when it is written.
        const auto fill_disk = [&cache](std::uint64_t, std::uint64_t) {
            if (!std::filesystem::exists(cache + "/more")) { put(cache + "/more", std::string(6 << 20, 'm')); }
        };
        std::string said;
        try {
            build_root(request(RootPlan::Kind::dir, source), fill_disk);
        } catch (const Error& error) { said = error.what(); }
        std::filesystem::remove(cache + "/hog");
        std::filesystem::remove(cache + "/more");
        if (said.find("No space left on device") == std::string::npos) { std::fprintf(stderr, "%s\n", said.c_str()); }
        return said.find("No space left on device") != std::string::npos && std::filesystem::is_empty(cache) ? 0 : 1;
    });
    if (status == no_mounts) { GTEST_SKIP() << "nothing may be mounted here"; }
    EXPECT_EQ(status, 0);
}

TEST_F(Root, WhatChangedSinceItWasPlannedIsRefused) {
    put(source + "/a", "one");
    const BuildRoot wanted = request(RootPlan::Kind::dir, source);
    put(source + "/a", "two");
    try {
        build_root(wanted, {});
        FAIL();
    } catch (const Error& error) { EXPECT_THAT(error.what(), HasSubstr("has changed since it was planned")); }
    EXPECT_TRUE(std::filesystem::is_empty(*directory / "cache"));
}

TEST_F(Root, IdentityTellsEveryChange) {
    fill(source);
    std::set<std::string> seen{source_identity(source)};
    const auto changed = [&](const char* what) { EXPECT_TRUE(seen.insert(source_identity(source)).second) << what; };
    EXPECT_EQ(source_identity(source), *seen.begin());
    EXPECT_EQ(source_identity(source).size(), 64U);
    const std::string file = source + "/bin/size-64";
    const timespec times[2] = {{1, 0}, {1, 0}};
    ::utimensat(AT_FDCWD, file.c_str(), times, 0);
    changed("times");
    { // the same size, and the old time again
        std::ofstream(file, std::ios::in) << "x";
        ::utimensat(AT_FDCWD, file.c_str(), times, 0);
    }
    changed("content");
    ::chmod(file.c_str(), 0600);
    changed("mode");
    std::filesystem::rename(file, source + "/bin/other");
    changed("name");
    std::filesystem::remove(source + "/bin/other");
    changed("removed");
    ::setxattr((source + "/bin/setuid").c_str(), "user.note", "else", 4, 0);
    changed("extended attribute");
    EXPECT_EQ(source_identity(source + "/nowhere"), "");
}

TEST_F(Root, WhatCannotBeReadIsSaid) {
    if (::geteuid() != 0) { GTEST_SKIP() << "needs another user"; }
    std::filesystem::create_directory(source + "/private");
    put(source + "/private/shadow", "secret");
    ::chmod((source + "/private/shadow").c_str(), 0600);
    ::chmod(directory->path().c_str(), 0755);
    ::chmod((*directory / "cache").c_str(), 0777);
    EXPECT_EQ(as_nobody([&] {
                  const std::string said = problem(RootPlan::Kind::dir, source);
                  return said.find("can't read \"private/shadow\" in it: Permission denied") != std::string::npos ? 0
                                                                                                                  : 1;
              }),
              0);
}

TEST_F(Root, WhatIsMountedInADirectoryIsLeftOut) {
    std::filesystem::create_directory(source + "/mounted");
    const int status = with_mounts([&] {
        if (::mount("tmpfs", (source + "/mounted").c_str(), "tmpfs", 0, "mode=0700") != 0) { return no_mounts; }
        put(source + "/mounted/file", "x");
        return build_root(request(RootPlan::Kind::dir, source), {}) ? 0 : 1;
    });
    if (status == no_mounts) { GTEST_SKIP() << "nothing may be mounted here"; }
    ASSERT_EQ(status, 0);
    const auto image = std::filesystem::directory_iterator(*directory / "cache");
    const std::string target = unpacked(image->path().string());
    EXPECT_TRUE(std::filesystem::is_directory(target + "/mounted"));
    EXPECT_TRUE(std::filesystem::is_empty(target + "/mounted"));
}

TEST_F(Root, ProgressIsTold) {
    put(source + "/large", std::string(5 << 20, 'l'));
    run({"tar", "-C", source, "-cf", *directory / "root.tar", "."});
    std::vector<std::pair<std::uint64_t, std::uint64_t>> told;
    const auto tell = [&told](std::uint64_t done, std::uint64_t total) { told.emplace_back(done, total); };
    build_root(request(RootPlan::Kind::tar, *directory / "root.tar"), tell);
    ASSERT_FALSE(told.empty());
    EXPECT_EQ(told.back(), std::pair(std::uint64_t{5}, std::uint64_t{5}));
    told.clear();
    build_root(request(RootPlan::Kind::dir, source), tell);
    ASSERT_FALSE(told.empty());
    EXPECT_EQ(told.back().first, 5U);
}

TEST(RootCache, KeepsWhatIsUsedAndTheNewest) {
    const TemporaryDirectory directory;
    const Directories where{.state = directory / "state", .runtime = directory / "run"};
    const std::string roots = where.state + "/cache/roots";
    for (const std::string& path : {roots, where.state + "/projects/p/stopped", where.runtime + "/p/runs"}) {
        std::filesystem::create_directories(path);
    }
    const auto name = [](char digit) { return std::string(64, digit) + (digit < '5' ? ".erofs" : ".squashfs"); };
    for (const char digit : {'1', '2', '3', '4', '5', '6'}) {
        put(roots + "/" + name(digit), "image");
        const timespec times[2] = {{digit * 100, 0}, {digit * 100, 0}};
        ::utimensat(AT_FDCWD, (roots + "/" + name(digit)).c_str(), times, 0);
    }
    put(roots + "/not-ours", "x");
    put(where.state + "/projects/p/stopped/plan.json", R"({"root": {"image": ")" + roots + "/" + name('1') + R"("}})");
    put(where.runtime + "/p/runs/machine.json",
        R"({"children": ["-blockdev", "x"], "image": ")" + roots + "/" + name('5') + R"("})");
    std::filesystem::create_directories(where.state + "/projects/p/stopped/snapshots/before");
    put(where.state + "/projects/p/stopped/snapshots/before/snapshot.json", "\"" + roots + "/" + name('2') + "\"");
    const auto left = [&roots] {
        std::set<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(roots)) {
            names.insert(entry.path().filename().string());
        }
        return names;
    };
    {
        const FileLock starts = hold_initramfs_cache(where.state);
        prune_root_cache(where);
        EXPECT_EQ(left().size(), 7U) << "somebody starts a machine";
    }
    prune_root_cache(where);
    EXPECT_THAT(left(), ElementsAre(name('1'), name('2'), name('5'), name('6'), "not-ours"));
    EXPECT_THAT(root_image_names("/cache/roots/../../etc/passwd\""), IsEmpty());
}

} // namespace
} // namespace microvmc
