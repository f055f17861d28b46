#pragma once

#include <cstdint>
#include <string>

namespace microvmc {

/// "2026-11-25T21:23:57.123Z" of milliseconds since the epoch, and of now.
std::string utc(std::int64_t ms);
std::string now_utc();

/// What a person calls a moment: how long ago ("10m", "1h30m", "90"), or a time like the above, the thousandths and
/// more left out at will. Throws Error when it is neither.
std::string moment_of(const std::string& text);

/// The milliseconds of a time as `utc` writes it.
std::int64_t milliseconds_of(const std::string& utc_text);

} // namespace microvmc
