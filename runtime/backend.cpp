#include "runtime/backend.h"

#include "runtime/error.h"

namespace microvmc {

namespace {

[[noreturn]] void lacking(const char* what) {
    throw Error(std::string("this machine's hypervisor can't ") + what);
}

} // namespace

void Control::pause() {
    lacking("pause a machine");
}

void Control::resume() {
    lacking("resume a machine");
}

bool Control::paused() {
    return false;
}

void Control::set_balloon(std::uint64_t /*mib*/) {
    lacking("change a balloon");
}

std::uint64_t Control::balloon_mib() {
    lacking("tell a balloon's size");
}

void Control::set_memory(std::uint64_t /*mib*/) {
    lacking("change a machine's memory");
}

std::uint64_t Control::memory_mib() {
    lacking("tell a machine's memory");
}

void Control::require_savable(const VmPlan& /*plan*/) {
    lacking("save a machine");
}

void Control::save(const std::string& /*directory*/, std::chrono::milliseconds /*timeout*/) {
    lacking("save a machine");
}

void Control::load(const std::string& /*directory*/, std::chrono::milliseconds /*timeout*/) {
    lacking("load a machine");
}

void Control::grow_volume(const Growth& /*growth*/) {
    lacking("make a volume larger while it runs");
}

ControlStats Control::stats() {
    return {};
}

} // namespace microvmc
