#include "runtime/guest/ending.h"

#include <charconv>

namespace microvmc::guest {

bool ignores_signal(std::string_view status, int number) {
    for (const auto line : split(status, '\n')) {
        constexpr std::string_view name = "SigIgn:"; // proc(5): a mask in hexadecimal, signal 1 is bit 0
        if (line.substr(0, name.size()) != name) { continue; }
        const auto text = trim(line.substr(name.size()));
        std::uint64_t mask = 0;
        std::from_chars(text.data(), text.data() + text.size(), mask, 16);
        return (mask >> (number - 1) & 1) != 0;
    }
    return false;
}

} // namespace microvmc::guest
