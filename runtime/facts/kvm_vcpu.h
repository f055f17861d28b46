#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

// The part of the KVM probe that runs in a child process: system calls alone, no allocation, results in shared memory,
// so that they can be read whatever becomes of the child.

namespace microvmc {

/// Something that a guest's kernel needs to be able to do.
struct Snippet {
    std::string_view name; ///< as people read it
    std::string_view code; ///< x86-64, `hlt` is appended; rdi points to 4 KiB of zeros, aligned to 64 bytes
    /// Bit of CPUID leaf 1, ECX that announces it; 0: every x86-64 has it.
    std::uint32_t announced_by = 0;
};

inline constexpr std::size_t snippet_count = 12;
extern const std::array<Snippet, snippet_count> snippets;

enum class SnippetResult : std::uint8_t { not_run, ended, failed };

struct VcpuResults {
    const char* failed_call = nullptr; ///< an ioctl without which nothing can be probed, and its errno
    int error = 0;
    bool done = false;
    std::size_t current = 0; ///< the snippet that runs; what it died of, if it did
    std::array<SnippetResult, snippet_count> snippets{};
    std::int64_t loop_ns = 0; ///< best time of `loop_rounds` rounds of `dec; jnz`; 0: it failed
    std::uint64_t tsc_khz = 0;
    bool nested_state = true; ///< KvmFacts::nested_state
};

inline constexpr std::uint32_t loop_rounds = 20'000;

/// `kvm`: /dev/kvm, open.
void run_snippets(int kvm, VcpuResults& results);

} // namespace microvmc
