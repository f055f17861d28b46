#include "runtime/facts/kvm_probe.h"

#include "runtime/error.h"
#include "runtime/facts/kvm_vcpu.h"
#include "runtime/fd.h"

#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <new>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <vector>

namespace microvmc {

namespace {

/// Hardware does a round in about one cycle; the interpreters seen take over 100 ns. What entering and leaving the
/// guest costs is in it as well, under nested virtualisation up to 100 us.
constexpr std::int64_t slowest_hardware_ns = 1'000'000;

Fd open_device(const std::string& device, KvmFacts& facts) {
    Fd fd(::open(device.c_str(), O_RDWR | O_CLOEXEC));
    if (fd) {
        facts = {.state = KvmState::works, .reason = ""};
    } else if (errno == EACCES || errno == EPERM) {
        facts = {.state = KvmState::forbidden,
                 .reason = fmt::format("{} may not be opened by this user (its group is usually kvm)", device)};
    } else if (errno == ENOENT || errno == ENOTDIR) {
        facts = {.state = KvmState::missing, .reason = fmt::format("there is no {}", device)};
    } else {
        facts = {.state = KvmState::missing,
                 .reason = fmt::format("{} can't be opened: {}", device, std::strerror(errno))};
    }
    return fd;
}

std::string listed(const std::vector<std::string_view>& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i > 0) { text += i + 1 == names.size() ? " and " : ", "; }
        text += names[i];
    }
    return text;
}

KvmFacts judge(const VcpuResults& results, bool timed_out) {
    if (results.failed_call != nullptr) {
        return {.state = KvmState::incomplete,
                .reason = fmt::format("{} failed{}", results.failed_call,
                                      results.error == 0 ? "" : fmt::format(": {}", std::strerror(results.error)))};
    }
    if (!results.done) {
        return {.state = KvmState::incomplete,
                .reason = fmt::format("{} in a guest {}", snippets.at(results.current).name,
                                      timed_out ? "never ended" : "took the process down")};
    }
    std::vector<std::string_view> failed;
    for (std::size_t i = 0; i < snippets.size(); ++i) {
        if (results.snippets[i] == SnippetResult::failed) { failed.push_back(snippets[i].name); }
    }
    const bool interpreted = results.loop_ns == 0 || results.loop_ns > slowest_hardware_ns;
    std::string reason;
    if (!failed.empty()) { reason = fmt::format("{} can't run in a guest", listed(failed)); }
    if (interpreted) {
        reason += reason.empty() ? "" : ", and ";
        reason += "kernel code is interpreted, not run by the processor";
    }
    return {.state = reason.empty() ? KvmState::works : KvmState::incomplete,
            .reason = reason,
            .nested_state = results.nested_state};
}

/// Waits for the child, at most so long; whether it ended.
bool await(int process, std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        pollfd polled{process, POLLIN, 0};
        const int got = ::poll(&polled, 1, static_cast<int>(std::max<long long>(left.count(), 0)));
        if (got > 0) { return true; }
        if (got == 0) { return false; }
    }
}

} // namespace

KvmFacts open_kvm(const std::string& device) {
    KvmFacts facts;
    open_device(device, facts);
    return facts;
}

KvmProbe probe_kvm(const std::string& device, std::chrono::milliseconds timeout) {
    KvmProbe probe;
    const Fd kvm = open_device(device, probe.facts);
    if (!kvm) { return probe; }

    void* const shared =
        ::mmap(nullptr, sizeof(VcpuResults), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) { throw Error(fmt::format("can't probe {}: {}", device, std::strerror(errno))); }
    const auto unmap = [](VcpuResults* results) { ::munmap(results, sizeof(VcpuResults)); };
    const std::unique_ptr<VcpuResults, decltype(unmap)> results(new (shared) VcpuResults, unmap);

    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) { throw Error(fmt::format("can't probe {}: {}", device, std::strerror(errno))); }
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() == parent) { run_snippets(kvm.get(), *results); }
        ::_exit(0);
    }
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    const bool ended = process && await(process.get(), timeout);
    if (!ended) { ::kill(child, SIGKILL); }
    // One that a broken kernel module holds for ever is left to init.
    if (!process || await(process.get(), std::chrono::seconds(1))) { ::waitpid(child, nullptr, 0); }
    probe.facts = judge(*results, !ended);
    probe.tsc_khz = results->tsc_khz;
    return probe;
}

} // namespace microvmc
