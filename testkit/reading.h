#pragma once

#include "testkit/case_run.h"
#include "testkit/disks.h"
#include "testkit/job.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// A case that waits for what a volume of a stopped machine holds.
struct Suspended {
    Job job;
    std::size_t index = 0; ///< of the run in the job's group
    CaseState state;
};

/// What it wants to read: the step that comes, and those right behind it that read a volume, too, as far as they don't
/// need what the ones before them capture. Throws Error when the step names what there isn't.
std::vector<FileRequest> requests_of(const Suspended& suspended, const Case& which);

/// Takes the answers to those, in their order: how far the case is then, or what it came to.
std::optional<Carried> take_answers(Suspended& suspended, const Case& which, const std::vector<FileAnswer>& answers);

/// For the pipe from the process that reads; contents are bytes.
std::string to_bytes(const std::vector<FileAnswer>& answers);
/// Throws Error when it isn't what `to_bytes` made: the process was killed.
std::vector<FileAnswer> answers_from(const std::string& bytes);

} // namespace microvmc::testkit
