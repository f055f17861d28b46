#pragma once

#include <stdexcept>
#include <string>

namespace microvmc {

/// Something that failed while running: what, and what to do about it. main reports it once.
struct Error : std::runtime_error {
    explicit Error(const std::string& what, std::string help_text = {})
        : std::runtime_error(what), help(std::move(help_text)) {}
    std::string help; ///< a remedy; empty when there is none
};

/// A lock was held or a deadline ran out; exit status 3.
struct TimeoutError : Error {
    using Error::Error;
};

} // namespace microvmc
