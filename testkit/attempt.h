#pragma once

#include "testkit/expectation.h"
#include "testkit/machines.h"
#include "testkit/planning.h"
#include "testkit/spec.h"
#include "testkit/verdict.h"

#include <functional>
#include <map>
#include <optional>
#include <string>

namespace microvmc::testkit {

/// What steps know: axes and captures by name.
using Variables = std::map<std::string, std::string>;

/// What `${...}` stands for: a variable, or a value of the plan.
Lookup lookup_in(const Variables& variables, const Plan& plan);

/// One try of a step: an answer, or why there is none.
struct Attempt {
    std::optional<Answer> answer;
    Verdict verdict;             ///< without an answer
    bool again = true;           ///< without an answer: another try may give one
    std::size_t heard_until = 0; ///< of a console step: where the next one begins when this answer is taken
};

/// What machines that exist become by this text, or why they can't.
using Replan = std::function<Planning(const Config& config, const Observed& observed, HostFacts& facts)>;

/// What a step works with.
struct Scene {
    Machines& machines;
    const Variables& variables;
    Timeline& timeline;
    std::string directory; ///< the spec's, where host commands run
    const Replan& replan;
};

/// Tries a step, but for one that reads a volume, which is not this process's to do. `first`: it wasn't tried before; a
/// console step types only then. Throws Error when the step can't be tried at all: its text stands for nothing.
Attempt attempt(const Step& step, const Scene& scene, Clock::time_point deadline, bool first);

/// Axes and captures as environment variables.
std::map<std::string, std::string> environment_of(const Variables& variables);

/// Runs programs of `prepare` or `cleanup`, one after the other, until one fails: passed, or why not.
Verdict run_on_host(const std::vector<HostStep>& commands, const Variables& variables, const std::string& directory);

/// "guest sha256sum /data/blob": the step in a few words, for the time line and messages.
std::string describe(const Step& step);

} // namespace microvmc::testkit
