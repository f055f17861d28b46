#include "runtime/guest/text.h"

#include <algorithm>
#include <cstring>

namespace microvmc::guest {

std::string concat(std::initializer_list<std::string_view> parts) {
    std::string out;
    for (const auto part : parts) { out.append(part); }
    return out;
}

std::string with_errno(std::initializer_list<std::string_view> parts, int error_number) {
    // Not strerror: it brings the message catalogues along.
    const char* message = strerrordesc_np(error_number);
    std::string out = concat(parts);
    return out.append(": ").append(message != nullptr ? message : std::to_string(error_number));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> pieces;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(separator), text.size());
        if (end != 0) { pieces.push_back(text.substr(0, end)); }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return pieces;
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view blank = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(blank);
    if (begin == std::string_view::npos) { return {}; }
    return text.substr(begin, text.find_last_not_of(blank) - begin + 1);
}

} // namespace microvmc::guest
