#pragma once

#include "runtime/supervisor/log_file.h"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace microvmc::supervisor {

/// What happens to a machine, a line of JSON each, for whoever follows it (`microvmc events`):
/// {"time":"2026-11-25T21:23:57.123Z","vm":..,"event":..}, with what belongs to the event beside it.
///
///     starting, running (the VMM runs), ready
///     stopping (it was asked to end), rebooted (by the guest)
///     lost {"detail":..}  a process that it needs
///     restarting {"end":{..},"after_ms":N,"restarts":N}
///     ended {"end":{..}}
class EventLog {
public:
    /// No path: nothing is kept. A log that can't be opened is done without.
    EventLog(const std::string& path, std::string vm);

    void tell(std::string_view event, const nlohmann::json& details);
    void tell(std::string_view event);

private:
    std::optional<LogFile> log_;
    std::string vm_;
};

} // namespace microvmc::supervisor
