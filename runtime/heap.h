#pragma once

#include <cstddef>

namespace microvmc {

/// Makes the heap ready for about that many bytes: asked of the kernel at once, in huge pages where it has some
/// (madvise(2)). Without, each 4 KiB that are used for the first time are a fault of their own, a third of the time that
/// planning a thousand machines takes. A hint: nothing is allocated, and nothing fails when it can't be had.
void prepare_heap(std::size_t bytes);

} // namespace microvmc
