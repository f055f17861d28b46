#include "runtime/facts/kvm_vcpu.h"

#ifdef __x86_64__

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

namespace microvmc {

using namespace std::string_view_literals;

const std::array<Snippet, snippet_count> snippets{{
    {"hlt", ""sv},
    {"a loop", "\xb9\x64\x00\x00\x00\xff\xc9\x75\xfc"sv}, // mov $100, %ecx; 1: dec %ecx; jnz 1b
    {"cpuid", "\x31\xc0\x0f\xa2"sv},                      // xor %eax, %eax; cpuid
    {"rdmsr", "\xb9\x80\x00\x00\xc0\x0f\x32"sv},          // mov $IA32_EFER, %ecx; rdmsr
    {"swapgs", "\x0f\x01\xf8"sv},
    {"cmpxchg16b", "\x48\x0f\xc7\x0f"sv, 1U << 13U}, // cmpxchg16b (%rdi)
    {"popcnt", "\xf3\x0f\xb8\xc1"sv, 1U << 23U},     // popcnt %ecx, %eax
    {"fwait", "\x9b"sv},
    {"fninit", "\xdb\xe3"sv},
    {"fxsave", "\x0f\xae\x07"sv},                                       // fxsave (%rdi)
    {"xgetbv", "\x31\xc9\x0f\x01\xd0"sv, 1U << 26U},                    // xor %ecx, %ecx; xgetbv
    {"xsave", "\xb8\x01\x00\x00\x00\x31\xd2\x0f\xae\x27"sv, 1U << 26U}, // mov $1, %eax; xor %edx, %edx; xsave (%rdi)
}};

namespace {

// Guest physical memory: page tables that map the first 2 MiB onto itself, the code, a stack, and zeros to write to.
constexpr std::size_t memory_size = 0x10000;
constexpr std::uint64_t pml4_at = 0x1000;
constexpr std::uint64_t pdpt_at = 0x2000;
constexpr std::uint64_t pd_at = 0x3000;
constexpr std::uint64_t code_at = 0x4000;
constexpr std::uint64_t stack_top = 0x8000;
constexpr std::uint64_t scratch_at = 0x9000;

// struct kvm_cpuid2 of <linux/kvm.h> up to 6.1 can't be used from C++: the empty struct in __DECLARE_FLEX_ARRAY has a
// size there, which shifts the entries and alters the request's number.
struct CpuidTable {
    std::uint32_t nent;
    std::uint32_t padding;
    std::array<kvm_cpuid_entry2, 256> entries;
};
constexpr std::size_t cpuid_head = offsetof(CpuidTable, entries);
constexpr unsigned long get_supported_cpuid = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x05, cpuid_head);
constexpr unsigned long set_cpuid2 = _IOC(_IOC_WRITE, KVMIO, 0x90, cpuid_head);
static_assert(cpuid_head == 8);

struct Vcpu {
    int fd = -1;
    char* memory = nullptr;
    kvm_run* run = nullptr;
    std::uint32_t features = 0; ///< CPUID leaf 1, ECX
    kvm_sregs initial{};
};

bool fail(VcpuResults& results, const char* call) {
    results.error = errno;
    results.failed_call = call;
    return false;
}

void put_u64(char* memory, std::uint64_t at, std::uint64_t value) {
    std::memcpy(memory + at, &value, sizeof value);
}

bool set_up(int kvm, Vcpu& vcpu, VcpuResults& results) {
    const int vm = ::ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0) { return fail(results, "KVM_CREATE_VM"); }
    // Needed on Intel, before vCPUs; refused where it isn't.
    ::ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000UL);

    void* const memory = ::mmap(nullptr, memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) { return fail(results, "mmap"); }
    vcpu.memory = static_cast<char*>(memory);
    kvm_userspace_memory_region region{};
    region.memory_size = memory_size;
    region.userspace_addr = reinterpret_cast<std::uint64_t>(memory);
    if (::ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) != 0) { return fail(results, "KVM_SET_USER_MEMORY_REGION"); }

    vcpu.fd = ::ioctl(vm, KVM_CREATE_VCPU, 0);
    if (vcpu.fd < 0) { return fail(results, "KVM_CREATE_VCPU"); }
    const int run_size = ::ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (run_size <= 0) { return fail(results, "KVM_GET_VCPU_MMAP_SIZE"); }
    void* const run =
        ::mmap(nullptr, static_cast<std::size_t>(run_size), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd, 0);
    if (run == MAP_FAILED) { return fail(results, "mmap of the vCPU"); }
    vcpu.run = static_cast<kvm_run*>(run);

    static CpuidTable table; // too large for the stack of a thread's child
    table.nent = static_cast<std::uint32_t>(table.entries.size());
    if (::ioctl(kvm, get_supported_cpuid, &table) != 0) { return fail(results, "KVM_GET_SUPPORTED_CPUID"); }
    if (::ioctl(vcpu.fd, set_cpuid2, &table) != 0) { return fail(results, "KVM_SET_CPUID2"); }
    for (std::size_t i = 0; i < std::min<std::size_t>(table.nent, table.entries.size()); ++i) {
        if (table.entries[i].function == 1) { vcpu.features = table.entries[i].ecx; }
    }

    constexpr std::uint64_t present_writable = 3;
    constexpr std::uint64_t large_page = 0x80;
    put_u64(vcpu.memory, pml4_at, pdpt_at | present_writable);
    put_u64(vcpu.memory, pdpt_at, pd_at | present_writable);
    put_u64(vcpu.memory, pd_at, large_page | present_writable);

    if (::ioctl(vcpu.fd, KVM_GET_SREGS, &vcpu.initial) != 0) { return fail(results, "KVM_GET_SREGS"); }
    kvm_segment code{};
    code.limit = 0xffffffff;
    code.selector = 8;
    code.type = 11; // execute, read, accessed
    code.present = 1;
    code.s = 1;
    code.l = 1;
    code.g = 1;
    kvm_segment data = code;
    data.selector = 16;
    data.type = 3; // read, write, accessed
    data.l = 0;
    data.db = 1;
    kvm_sregs& sregs = vcpu.initial;
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cr3 = pml4_at;
    sregs.cr0 = 0x80050033;                                                  // PG, AM, WP, NE, ET, MP, PE
    sregs.cr4 = 0x620 | ((vcpu.features & 1U << 26U) != 0 ? 1U << 18U : 0U); // OSXMMEXCPT, OSFXSR, PAE; OSXSAVE
    sregs.efer = 0xd01;                                                      // NXE, LMA, LME, SCE
    return true;
}

/// Whether the code reaches the `hlt` behind it.
bool run_code(const Vcpu& vcpu, std::string_view code) {
    std::memset(vcpu.memory + scratch_at, 0, 0x1000);
    std::memcpy(vcpu.memory + code_at, code.data(), code.size());
    vcpu.memory[code_at + code.size()] = '\xf4';
    kvm_regs regs{};
    regs.rip = code_at;
    regs.rsp = stack_top;
    regs.rdi = scratch_at;
    regs.rflags = 2;
    kvm_vcpu_events events{};
    if (::ioctl(vcpu.fd, KVM_SET_SREGS, &vcpu.initial) != 0 || ::ioctl(vcpu.fd, KVM_SET_REGS, &regs) != 0 ||
        ::ioctl(vcpu.fd, KVM_SET_VCPU_EVENTS, &events) != 0) { // forgets what the last one died of
        return false;
    }
    while (::ioctl(vcpu.fd, KVM_RUN, 0) != 0) {
        if (errno != EINTR && errno != EAGAIN) { return false; }
    }
    // An exit of its own right after the code: an interpreter that skips what it can't do ends elsewhere.
    return vcpu.run->exit_reason == KVM_EXIT_HLT && ::ioctl(vcpu.fd, KVM_GET_REGS, &regs) == 0 &&
           regs.rip == code_at + code.size() + 1;
}

std::int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

/// The best of three, so that one pre-emption doesn't make hardware look slow.
std::int64_t time_loop(const Vcpu& vcpu) {
    std::array<char, 9> code{'\xb9', 0, 0, 0, 0, '\xff', '\xc9', '\x75', '\xfc'};
    std::memcpy(code.data() + 1, &loop_rounds, sizeof loop_rounds);
    std::int64_t best = 0;
    for (int attempt = 0; attempt < 3; ++attempt) {
        const std::int64_t start = now_ns();
        if (!run_code(vcpu, {code.data(), code.size()})) { return 0; }
        const std::int64_t took = std::max<std::int64_t>(now_ns() - start, 1);
        best = attempt == 0 ? took : std::min(best, took);
    }
    return best;
}

bool tells_nested_state(const Vcpu& vcpu) {
    struct {
        kvm_nested_state head;
        std::array<char, std::size_t{16} << 10U> rest; // VMX has twice 4 KiB
    } static state{};
    state.head.size = sizeof state;
    return ::ioctl(vcpu.fd, KVM_GET_NESTED_STATE, &state) == 0;
}

} // namespace

void run_snippets(int kvm, VcpuResults& results) {
    Vcpu vcpu;
    if (!set_up(kvm, vcpu, results)) { return; }
    for (std::size_t i = 0; i < snippets.size(); ++i) {
        results.current = i;
        const std::uint32_t needed = snippets[i].announced_by;
        if ((vcpu.features & needed) != needed) { continue; }
        results.snippets[i] = run_code(vcpu, snippets[i].code) ? SnippetResult::ended : SnippetResult::failed;
    }
    results.current = 1; // the loop
    results.loop_ns = time_loop(vcpu);
    const int khz = ::ioctl(vcpu.fd, KVM_GET_TSC_KHZ, 0);
    results.tsc_khz = khz > 0 ? static_cast<std::uint64_t>(khz) : 0;
    results.nested_state = tells_nested_state(vcpu);
    results.done = true;
}

} // namespace microvmc

#else

namespace microvmc {

const std::array<Snippet, snippet_count> snippets{};

void run_snippets(int, VcpuResults& results) {
    results.failed_call = "the probe, written for x86-64 alone,";
}

} // namespace microvmc

#endif
