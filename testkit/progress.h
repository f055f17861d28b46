#pragma once

#include "testkit/result.h"

#include <string>
#include <vector>

namespace microvmc::testkit {

/// A case on a target, before it ran.
struct Planned {
    std::string spec;
    std::string name;   ///< Case::name
    std::string target; ///< Target::name()
};

/// Is told how a run goes, all from one thread; what is shown meanwhile is made from it.
class Progress {
public:
    virtual ~Progress() = default;
    /// Everything that will run or be skipped.
    virtual void begin(const std::vector<Target>& targets, const std::vector<Planned>& cases) = 0;
    virtual void started(const Planned& which) = 0;
    virtual void finished(const CaseResult& result) = 0;
    /// About every 100 ms; for clocks.
    virtual void tick() = 0;
    /// The terminal is somebody else's until the next call.
    virtual void suspend() {}
    virtual void end(const RunReport& report) = 0;
};

} // namespace microvmc::testkit
