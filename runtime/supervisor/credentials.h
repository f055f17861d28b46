#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

// Secrets on their way to a supervisor: through a memfd that it inherits, which has no name and no copy on any disk.
// Header-only, because both sides have it.

namespace microvmc::supervisor {

struct Credential {
    std::string name;
    std::string value; ///< any bytes

    friend bool operator==(const Credential&, const Credential&) = default;
};

/// One after the other: the name, a NUL, the value's size in decimal, a NUL, the value.
inline std::string pack_credentials(const std::vector<Credential>& credentials) {
    std::string out;
    for (const Credential& each : credentials) {
        out.append(each.name).push_back('\0');
        out.append(std::to_string(each.value.size())).push_back('\0');
        out.append(each.value);
    }
    return out;
}

/// Nothing when it is not what `pack_credentials` made.
inline std::optional<std::vector<Credential>> unpack_credentials(std::string_view packed) {
    std::vector<Credential> credentials;
    while (!packed.empty()) {
        const std::size_t name = packed.find('\0');
        const std::size_t size_end = name == std::string_view::npos ? name : packed.find('\0', name + 1);
        if (size_end == std::string_view::npos) { return std::nullopt; }
        std::size_t size = 0;
        const char* const end = packed.data() + size_end;
        const auto [at, error] = std::from_chars(packed.data() + name + 1, end, size);
        if (error != std::errc() || at != end || size > packed.size() - size_end - 1) { return std::nullopt; }
        credentials.push_back({std::string(packed.substr(0, name)), std::string(packed.substr(size_end + 1, size))});
        packed.remove_prefix(size_end + 1 + size);
    }
    return credentials;
}

} // namespace microvmc::supervisor
