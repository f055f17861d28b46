#include "testkit/result.h"

#include <algorithm>

namespace microvmc::testkit {

std::string Target::name() const {
    std::string text = hypervisor;
    if (!accel.empty()) { text += ':' + accel; }
    if (!kernel.empty()) { text += ' ' + kernel.substr(kernel.rfind('/') + 1); }
    return text;
}

std::size_t RunReport::count(Outcome outcome) const {
    return static_cast<std::size_t>(std::ranges::count(results, outcome, &CaseResult::outcome));
}

} // namespace microvmc::testkit
