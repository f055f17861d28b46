#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace microvmc {

/// Bytes that x86 and arm64 keep of a command line (COMMAND_LINE_SIZE 2048, less the NUL); the rest is cut off without
/// a word (linux: arch/x86/include/asm/setup.h).
inline constexpr std::size_t max_kernel_command_line = 2047;

/// One parameter as the kernel's parser reads it back: in double quotes as a whole when it has white space. Nothing for
/// what that syntax can't say: a double quote, a NUL, and an empty parameter. Source: next_arg() of linux'
/// lib/cmdline.c, whose isspace() (lib/ctype.c) is Latin-1's, so that byte 0xa0, which UTF-8 letters have, counts.
std::optional<std::string> quote_kernel_param(std::string_view param);

/// The whole command line. Nothing when a parameter can't be said, or the line is longer than the kernel keeps.
std::optional<std::string> kernel_command_line(std::span<const std::string> params);

} // namespace microvmc
