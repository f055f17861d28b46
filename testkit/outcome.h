#pragma once

#include "testkit/case_run.h"
#include "testkit/planning.h"
#include "testkit/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// What a result is made from, beside how the case went.
struct Subject {
    const Case& which;
    const Target& target;
    const Sources& sources;
    std::uint32_t round = 1; ///< of RunOptions::repeat
    std::uint32_t attempt = 1;
    std::string artifacts; ///< RunOptions::artifacts
};

/// Of a case that was carried out; what it leaves is written. Without `plan`: it never came so far.
CaseResult make_result(const Subject& subject, const Verdict& verdict, std::string where, const CaseState& state,
                       const Plan* plan, const HostFacts& facts);

/// The capabilities that a case proves where it ran: what names an accelerator or a form of kernel counts only with it.
std::vector<std::string> proven(const std::vector<std::string>& proves, const Target& target, const Plan& plan);

} // namespace microvmc::testkit
