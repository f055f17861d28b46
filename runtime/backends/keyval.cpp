#include "runtime/backends/keyval.h"

#include "runtime/error.h"

#include <fmt/format.h>

namespace microvmc {

KeyValues& KeyValues::add(std::string_view key, std::string_view value) {
    if (value.find('\0') != std::string_view::npos) {
        throw Error(fmt::format("{} has a NUL in it, which no program can be given", key));
    }
    if (!text_.empty()) { text_ += ','; }
    text_.append(key).push_back('=');
    for (const char c : value) {
        text_ += c;
        if (c == ',') { text_ += c; }
    }
    return *this;
}

} // namespace microvmc
