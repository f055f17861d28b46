#include "runtime/supervisor/events.h"

#include "runtime/error.h"

#include <nlohmann/json.hpp>

namespace microvmc::supervisor {

namespace {
constexpr std::uint64_t limit = std::uint64_t{1} << 20U;
} // namespace

EventLog::EventLog(const std::string& path, std::string vm) : vm_(std::move(vm)) {
    if (path.empty()) { return; }
    try {
        log_.emplace(path, limit);
    } catch (const Error&) {} // the machine's own log has the same, for people
}

void EventLog::tell(std::string_view event, const nlohmann::json& details) {
    if (!log_) { return; }
    nlohmann::json json = {{"time", utc_time(wall_clock_ms())}, {"vm", vm_}, {"event", event}};
    json.update(details);
    // One write, so that a reader sees whole lines. A guest's text need not be UTF-8.
    log_->write(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void EventLog::tell(std::string_view event) {
    tell(event, nlohmann::json::object());
}

} // namespace microvmc::supervisor
