#pragma once

#include <string>
#include <string_view>

namespace microvmc {

/// One argument in the syntax of QEMU's options, "driver,key=value,...", whose only special character is the comma: one
/// in a value is written twice (qemu: util/keyval.c, util/qemu-option.c). Every value of ours gets into a command line
/// of QEMU through this.
class KeyValues {
public:
    /// `first`: the option's leading word, a constant; empty: none.
    explicit KeyValues(std::string_view first = {}) : text_(first) {}

    /// Throws Error when the value has a NUL, which no argument can carry.
    KeyValues& add(std::string_view key, std::string_view value);
    KeyValues& add(std::string_view key, const char* value) { return add(key, std::string_view(value)); }
    KeyValues& add(std::string_view key, bool on) { return add(key, on ? "on" : "off"); }

    [[nodiscard]] const std::string& text() const { return text_; }

private:
    std::string text_;
};

} // namespace microvmc
