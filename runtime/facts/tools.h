#pragma once

#include "compiler/facts.h"

#include <string>
#include <string_view>

namespace microvmc {

/// Absolute path of a program: `name` itself when it has a slash, else the first on `path` (as the variable PATH has
/// it), then in the system's sbin directories, which an ordinary user's PATH lacks. Empty when there is none that can
/// be executed.
std::string find_program(const std::string& name, std::string_view path);

/// The first number with a dot in what a program says of itself: "7.2.22" of "QEMU emulator version 7.2.22 (Debian
/// 1:7.2+...)". Empty when there is none.
std::string parse_version(std::string_view text);

/// Asks the program; bounded in time. Empty when it doesn't say.
std::string ask_version(const std::string& program);

} // namespace microvmc
