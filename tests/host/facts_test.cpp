#include "runtime/facts/gather.h"

#include "runtime/facts/cache.h"
#include "runtime/facts/kvm_probe.h"
#include "runtime/facts/namespaces.h"
#include "runtime/facts/tools.h"
#include "runtime/facts/tsc.h"
#include "runtime/files.h"
#include "runtime/process.h"
#include "tests/host/temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

namespace microvmc {
namespace {

using testing::HasSubstr;

FactsRequest request_for(const TemporaryDirectory& directory) {
    FactsRequest request;
    request.state_dir = directory / "state";
    request.runtime_dir = directory / "run";
    request.programs = {"qemu-system-x86_64", "mke2fs", "busybox", "qemu-img"};
    return request;
}

/// A program that says a version and counts how often it is asked.
void write_tool(const std::string& path, const std::string& version) {
    write_whole(path, "#!/bin/sh\necho asked >> \"$0.count\"\necho \"tool version " + version + " (test)\"\n", 0755);
}

TEST(Kvm, SaysWhetherGuestsCanRun) {
    const KvmProbe probe = probe_kvm();
    std::printf("KVM: %s\n", probe.facts.reason.empty() ? "works" : probe.facts.reason.c_str());
    switch (probe.facts.state) {
    case KvmState::works:
        EXPECT_EQ(probe.facts.reason, "");
        EXPECT_NE(probe.tsc_khz, 0U);
        break;
    case KvmState::missing:
    case KvmState::forbidden: EXPECT_THAT(probe.facts.reason, HasSubstr("/dev/kvm")); break;
    case KvmState::incomplete:
        EXPECT_THAT(probe.facts.reason, testing::ContainsRegex("can't run in a guest|interpreted|failed|never ended"));
        break;
    }
    EXPECT_EQ(probe_kvm().facts, probe.facts) << "differs from one time to the next";
}

TEST(Kvm, MissingForbiddenAndNoKvmAtAll) {
    const TemporaryDirectory directory;
    EXPECT_EQ(probe_kvm(directory / "none").facts.state, KvmState::missing);
    const KvmProbe null = probe_kvm("/dev/null");
    EXPECT_EQ(null.facts.state, KvmState::incomplete);
    EXPECT_THAT(null.facts.reason, HasSubstr("KVM_CREATE_VM failed"));
    if (::geteuid() != 0) { GTEST_SKIP() << "only root can become a user who may not open it"; }
    ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
    write_whole(directory / "kvm", "", 0600);
    const pid_t child = ::fork();
    if (child == 0) {
        const bool forbidden = ::setuid(65534) == 0 && open_kvm(directory / "kvm").state == KvmState::forbidden &&
                               probe_kvm(directory / "kvm").facts.state == KvmState::forbidden;
        ::_exit(forbidden ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST(Kvm, IsBoundedInTime) {
    if (open_kvm().state != KvmState::works) { GTEST_SKIP() << open_kvm().reason; }
    const KvmProbe probe = probe_kvm("/dev/kvm", std::chrono::milliseconds(0));
    if (probe.facts.state != KvmState::works) { EXPECT_THAT(probe.facts.reason, HasSubstr("never ended")); }
}

TEST(Tsc, FlagIsAWordOfItsOwn) {
    EXPECT_TRUE(has_constant_tsc("processor\t: 0\nflags\t\t: fpu constant_tsc rep_good\nbugs\t: x\n"));
    EXPECT_TRUE(has_constant_tsc("processor\t: 0\nflags\t\t: fpu constant_tsc\n"));
    EXPECT_FALSE(has_constant_tsc("processor\t: 0\nflags\t\t: fpu constant_tsc2\n"));
    EXPECT_FALSE(has_constant_tsc("processor\t: 0\nflags\t\t: fpu\nnote: constant_tsc\n"));
    EXPECT_FALSE(has_constant_tsc(""));
}

TEST(Tsc, MeasuredAsKvmSays) {
    const std::uint64_t measured = measure_tsc_khz();
    const std::uint64_t said = probe_kvm().tsc_khz;
    std::printf("TSC: measured %ju kHz, KVM says %ju kHz\n", static_cast<std::uintmax_t>(measured),
                static_cast<std::uintmax_t>(said));
    if (said == 0) { GTEST_SKIP() << "KVM doesn't say"; }
    EXPECT_NEAR(static_cast<double>(measured), static_cast<double>(said), static_cast<double>(said) / 1000);
}

TEST(Tools, VersionOfWhatProgramsSay) {
    EXPECT_EQ(parse_version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright"), "7.2.22");
    EXPECT_EQ(parse_version("mke2fs 1.47.0 (5-Feb-2023)"), "1.47.0");
    EXPECT_EQ(parse_version("BusyBox v1.35.0 (Debian 1:1.35.0-4+deb12u1+b1)"), "1.35.0");
    EXPECT_EQ(parse_version("Firecracker v1.17.0-dev"), "1.17.0");
    EXPECT_EQ(parse_version("cloud-hypervisor v53.0-246-gabc"), "53.0");
    EXPECT_EQ(parse_version("version 2, released in 2023."), "");
    EXPECT_EQ(parse_version(""), "");
}

TEST(Tools, FoundOnPathAndInSbin) {
    const TemporaryDirectory directory;
    make_directories(directory / "a", 0700);
    make_directories(directory / "b/tool", 0700);
    write_tool(directory / "a/tool", "1.2");
    write_whole(directory / "a/plain", "", 0600);
    EXPECT_EQ(find_program("tool", directory / "b" + ":" + directory / "a"), directory / "a/tool");
    EXPECT_EQ(find_program("plain", directory / "a"), "");
    EXPECT_EQ(find_program(directory / "a/tool", ""), directory / "a/tool");
    EXPECT_EQ(find_program(directory / "a/none", "/bin"), "");
    EXPECT_EQ(find_program("mke2fs", "/nonexistent"), "/usr/sbin/mke2fs");
    EXPECT_EQ(ask_version(directory / "a/tool"), "1.2");
    EXPECT_EQ(ask_version("/nonexistent"), "");
}

TEST(Facts, OfThisHost) {
    const TemporaryDirectory directory;
    FactsRequest request = request_for(directory);
    write_whole(directory / "file", "12345", 0600);
    ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
    request.paths = {directory / "file", directory.path(), directory / "none", directory / "fifo"};
    request.kernels = {directory / "file"};
    request.guest_init = "/bin/busybox";
    const HostFacts facts = gather_facts(request);
    EXPECT_EQ(facts.arch, "x86_64");
    EXPECT_EQ(facts.uid, ::geteuid());
    EXPECT_GT(facts.memory_mib, 100U);
    EXPECT_GE(facts.cpus, 1U);
    EXPECT_EQ(facts.state_dir, request.state_dir);
    EXPECT_THAT(facts.tools.at("busybox").version, testing::MatchesRegex("[0-9.]+"));
    EXPECT_THAT(facts.tools.at("mke2fs").version, testing::MatchesRegex("[0-9.]+"));
    EXPECT_EQ(facts.guest_init.identity, file_identity("/bin/busybox"));
    const PathFacts& file = facts.paths.at(directory / "file");
    EXPECT_EQ(file.kind, PathFacts::Kind::file);
    EXPECT_TRUE(file.readable);
    EXPECT_TRUE(file.writable);
    EXPECT_EQ(file.size, 5U);
    EXPECT_GT(file.room, 0U);
    struct stat status {};
    ASSERT_EQ(::stat((directory / "file").c_str(), &status), 0);
    EXPECT_EQ(file.device, status.st_dev);
    EXPECT_EQ(file.inode, status.st_ino);
    EXPECT_EQ(facts.paths.at(directory.path()).kind, PathFacts::Kind::directory);
    EXPECT_EQ(facts.paths.at(directory / "none").kind, PathFacts::Kind::missing);
    EXPECT_EQ(facts.paths.at(directory / "fifo").kind, PathFacts::Kind::other);
    EXPECT_EQ(facts.named_kernels.at(directory / "file").image, KernelImage::unknown);

    const auto start = std::chrono::steady_clock::now();
    HostFacts again = gather_facts(request);
    for (auto& [path, found] : again.paths) { found.room = facts.paths.at(path).room; } // others write there
    EXPECT_EQ(again, facts);
    std::printf("warm: %.2f ms\n",
                std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
}

TEST(Facts, WhatIsMissingHasTheRoomOfTheNearestDirectory) {
    const TemporaryDirectory directory;
    FactsRequest request = request_for(directory);
    request.paths = {directory / "a", directory / "none/b", directory / "none/none/c",
                     "/proc/none",    "/none-at-all/d",     "relative"};
    HostFacts facts = gather_facts(request);
    const auto expect_of = [&](const std::string& path, const char* nearest) {
        struct stat status {};
        ASSERT_EQ(::stat(nearest, &status), 0);
        EXPECT_EQ(facts.paths.at(path).device, status.st_dev) << path;
        EXPECT_EQ(facts.paths.at(path).room == 0, std::string_view(nearest) == "/proc") << path;
        EXPECT_EQ(facts.paths.at(path).kind, PathFacts::Kind::missing) << path;
    };
    for (const std::size_t i : {0, 1, 2}) { expect_of(request.paths[i], directory.path().c_str()); }
    expect_of("/proc/none", "/proc");
    expect_of("/none-at-all/d", "/");
    expect_of("relative", ".");
}

TEST(Facts, NamespacesAreTriedOut) {
    std::vector<std::string> argv{"unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc", "true"};
    if (::geteuid() != 0) { argv.insert(argv.begin() + 1, {"--user", "--map-root-user"}); }
    const std::string mounts = read_file("/proc/self/mountinfo").value();
    EXPECT_EQ(can_make_namespaces(), run_program(argv).status == 0);
    EXPECT_EQ(read_file("/proc/self/mountinfo"), mounts) << "this process has its own still";
}

TEST(Facts, AsksAToolOnceUntilItChanges) {
    const TemporaryDirectory directory;
    FactsRequest request = request_for(directory);
    const std::string tool = directory / "tool";
    write_tool(tool, "1.0");
    request.programs = {"the-tool", "absent-tool"};
    request.overrides = {{"the-tool", tool}};
    const auto asked = [&] { return std::filesystem::file_size(tool + ".count") / 6; };
    EXPECT_EQ(gather_facts(request).tools.at("the-tool").version, "1.0");
    EXPECT_EQ(gather_facts(request).tools.at("the-tool").version, "1.0");
    EXPECT_EQ(asked(), 1U);
    write_tool(tool, "2.0");
    EXPECT_EQ(gather_facts(request).tools.at("the-tool").version, "2.0");
    EXPECT_EQ(asked(), 2U);
    EXPECT_FALSE(gather_facts(request).tools.contains("absent-tool"));
    std::filesystem::remove(tool);
    EXPECT_FALSE(gather_facts(request).tools.contains("the-tool"));
}

TEST(Facts, CacheOfAnotherBootOrGarbageIsForgotten) {
    const TemporaryDirectory directory;
    const std::string file = directory / "cache/facts.json";
    FactsCache cache;
    cache.tools["/bin/x"] = {.path = "/bin/x", .version = "1.0", .identity = {1, 2, 3, 4}};
    cache.kvm = FactsCache::Kvm{{5, 6, 7, 8}, {{KvmState::incomplete, "slow"}, 99}};
    cache.tsc_khz = 12;
    save_facts_cache(cache, file, "this boot");
    const FactsCache loaded = load_facts_cache(file, "this boot");
    EXPECT_EQ(loaded.tools, cache.tools);
    EXPECT_EQ(loaded.kvm->device, cache.kvm->device);
    EXPECT_EQ(loaded.kvm->probe.facts, cache.kvm->probe.facts);
    EXPECT_EQ(loaded.kvm->probe.tsc_khz, 99U);
    EXPECT_EQ(loaded.tsc_khz, 12U);
    EXPECT_TRUE(load_facts_cache(file, "another boot").tools.empty());
    const std::string text = read_file(file).value();
    for (const std::string& bad :
         {text.substr(0, text.size() / 2), std::string("[]"), std::string("{\"version\":1}"), std::string()}) {
        write_whole(file, bad, 0600);
        EXPECT_TRUE(load_facts_cache(file, "this boot").tools.empty());
        EXPECT_FALSE(load_facts_cache(file, "this boot").kvm.has_value());
    }
}

TEST(Facts, StateThatCannotBeWrittenIsNoError) {
    const TemporaryDirectory directory;
    write_whole(directory / "state", "a file where the directory should be", 0600);
    FactsRequest request = request_for(directory);
    request.programs = {"busybox"};
    request.kvm_device = directory / "none";
    EXPECT_NE(gather_facts(request).tools.at("busybox").version, "");
}

} // namespace
} // namespace microvmc
