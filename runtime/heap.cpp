#include "runtime/heap.h"

#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

namespace microvmc {

void prepare_heap(std::size_t bytes) {
    constexpr std::size_t huge_page = std::size_t{2} << 20U;
    constexpr std::size_t block_size = std::size_t{1} << 20U; // more than is left of the heap as it is
    constexpr int default_padding = 128 << 10U;
    if (bytes < 2 * huge_page) { return; }
    // mallopt(3): what is large is not mapped apart, and what is freed at the heap's end is not given back.
    ::mallopt(M_MMAP_THRESHOLD, 32 << 20U);
    ::mallopt(M_TRIM_THRESHOLD, INT_MAX);
    ::mallopt(M_TOP_PAD, static_cast<int>(std::min<std::size_t>(bytes, INT_MAX)));
    void* const block = std::malloc(block_size); // the heap grows by it and the padding
    ::mallopt(M_TOP_PAD, default_padding);
    const auto begin = (reinterpret_cast<std::uintptr_t>(block) + huge_page - 1) / huge_page * huge_page;
    const auto end = reinterpret_cast<std::uintptr_t>(::sbrk(0));
    if (block != nullptr && begin < end) {
        // NOLINTNEXTLINE(performance-no-int-to-ptr): an address within the heap
        ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
    }
    std::free(block);
}

} // namespace microvmc
