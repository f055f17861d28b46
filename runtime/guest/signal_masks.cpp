#include "runtime/guest/ending.h"

#include <charconv>

namespace microvmc::guest {

namespace {

/// A line of proc(5)'s status, a mask in hexadecimal: signal 1 is bit 0.
bool in_mask(std::string_view status, std::string_view name, int number) {
    for (const auto line : split(status, '\n')) {
        if (line.substr(0, name.size()) != name) { continue; }
        const auto text = trim(line.substr(name.size()));
        std::uint64_t mask = 0;
        std::from_chars(text.data(), text.data() + text.size(), mask, 16);
        return (mask >> (number - 1) & 1) != 0;
    }
    return false;
}

} // namespace

bool ignores_signal(std::string_view status, int number) {
    return in_mask(status, "SigIgn:", number);
}

bool takes_signal(std::string_view status, int number) {
    return in_mask(status, "SigCgt:", number) || in_mask(status, "SigBlk:", number);
}

} // namespace microvmc::guest
