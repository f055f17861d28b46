#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace microvmc {

/// What of a text's lines is not to be shown: values of credentials that were written in the open. It goes by the words
/// of the text, since one that is no TOML has them, too, and rather masks too much. Linear in the text.
class SecretLines {
public:
    SecretLines() = default;
    explicit SecretLines(std::string_view text);

    /// `line`, which is that line of the text, with a star for each code point of what is secret in it.
    [[nodiscard]] std::string masked(std::uint32_t number, std::string_view line) const;
    /// A parser's message about that line, with stars for what it quotes of a secret.
    [[nodiscard]] std::string message(std::uint32_t number, std::string_view line, std::string_view text) const;

private:
    enum class Kind : std::uint8_t {
        other,
        about,          ///< in a table of credentials, or making one
        in_open,        ///< begins within brackets of such a line
        in_open_secret, ///< and those are one's value
        inside_secret,  ///< begins within a string of several lines that is one's value
    };
    std::vector<Kind> lines_; ///< empty: nothing in the text is about credentials
};

} // namespace microvmc
