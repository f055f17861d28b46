#include "runtime/guest/probe.h"

namespace microvmc::guest {

bool is_good_answer(std::string_view answer) {
    // RFC 9112, 4: "HTTP/1.1 200 "
    constexpr std::string_view name = "HTTP/1.";
    const std::size_t code = name.size() + 2;
    return answer.size() >= code + 3 && answer.substr(0, name.size()) == name && answer[code - 1] == ' ' &&
           (answer[code] == '2' || answer[code] == '3');
}

bool says_ready(std::string_view notification) {
    for (const auto line : split(notification, '\n')) {
        if (line == "READY=1") { return true; }
    }
    return false;
}

} // namespace microvmc::guest
