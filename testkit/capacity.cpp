#include "testkit/capacity.h"

#include "compiler/text.h"
#include "runtime/files.h"

#include <algorithm>
#include <sched.h>
#include <string_view>

namespace microvmc::testkit {

namespace {

constexpr std::uint64_t vmm_mib = 64; ///< beside its guest's memory

std::uint64_t memory_of(const Group& group) {
    return group.mem_mib + vmm_mib;
}

/// "MemAvailable:   1234 kB"; proc(5).
std::uint64_t available_mib() {
    const std::string text = read_file("/proc/meminfo").value_or("");
    constexpr std::string_view key = "MemAvailable:";
    const std::size_t at = text.find(key);
    if (at == std::string::npos) { return 0; }
    std::string_view rest = std::string_view(text).substr(at + key.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    const auto kib = parse_number(rest.substr(0, rest.find(' ')));
    return kib ? static_cast<std::uint64_t>(*kib) >> 10U : 0;
}

/// Those that this process may use; sched_getaffinity(2).
std::size_t cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) { return 1; }
    return std::max<std::size_t>(static_cast<std::size_t>(CPU_COUNT(&set)), 1);
}

} // namespace

Capacity host_capacity(std::size_t jobs) {
    const std::uint64_t available = available_mib();
    return {.jobs = jobs == 0 ? cores() : jobs, .mem_mib = available - available / 8};
}

std::optional<std::size_t> next_group(const std::vector<Group>& pending, const std::vector<const Group*>& running,
                                      const std::vector<const Group*>& waiting, const Capacity& capacity) {
    if (running.size() >= capacity.jobs) { return std::nullopt; }
    std::uint64_t used = 0;
    for (const Group* group : running) { used += memory_of(*group); }
    for (std::size_t i = 0; i < pending.size(); ++i) {
        const Group& group = pending[i];
        const bool has_room = running.empty() || used + memory_of(group) <= capacity.mem_mib;
        const auto clashes = [&group](const Group* other) {
            return std::ranges::any_of(group.exclusive,
                                       [&](const std::string& each) { return other->exclusive.contains(each); });
        };
        const bool is_free = std::ranges::none_of(running, clashes) && std::ranges::none_of(waiting, clashes);
        if (has_room && is_free) { return i; }
    }
    return std::nullopt;
}

} // namespace microvmc::testkit
