// What libstdc++ calls where other programs would throw. Its own definitions bring the whole exception machinery and
// the locales along (700 kB). None is reached: the init asks nothing of the library that could throw but memory.

#include <cstdlib>
#include <new>

// NOLINTBEGIN(bugprone-reserved-identifier): the library's names
namespace std {

[[noreturn]] void __throw_length_error(const char*) {
    abort();
}
[[noreturn]] void __throw_logic_error(const char*) {
    abort();
}
[[noreturn]] void __throw_out_of_range_fmt(const char*, ...) {
    abort();
}
[[noreturn]] void __throw_bad_alloc() {
    abort();
}
[[noreturn]] void __throw_bad_array_new_length() {
    abort();
}
[[noreturn]] void __throw_bad_function_call() {
    abort();
}

} // namespace std
// NOLINTEND(bugprone-reserved-identifier)

void* operator new(std::size_t size) {
    if (void* memory = std::malloc(size)) { return memory; }
    std::abort();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
