#pragma once

#include "testkit/job.h"
#include "testkit/outcome.h"
#include "testkit/run.h"

#include <nlohmann/json_fwd.hpp>

#include <atomic>

namespace microvmc::testkit {

// A worker tells its parent what happens by lines of JSON: {"started": N, "within-ms": T}; {"finished": N, "result":
// CaseResult, "kept": bool}; {"suspended": N, "state": CaseState}: it comes to a step that reads a volume;
// {"snapshot": DIRECTORY}: the runs behind the one that it is at can start from there (empty: they can't), and are
// others' from now on; {"terminal": true} while a person has the terminal, {"terminal": false} afterwards. N counts the
// group's runs. Those that it doesn't speak of, it didn't begin.

/// What workers and their parent share.
struct Shared {
    std::atomic<bool> stop{false}; ///< nothing new is begun
};

/// What a worker needs beside its job.
struct WorkerContext {
    const Specs& specs;
    const std::vector<Target>& targets;
    const RunOptions& options;
    const Shared& shared;
    int events = -1; ///< where the lines go
};

/// The life of a worker process. Never throws; its machines are gone when it returns, unless a case of it waits for a
/// volume or is kept.
void work(const Job& job, const WorkerContext& context);

/// How to look at machines that are kept, for the time line.
std::string kept_text(const Job& job);

/// What a case may take, with patience for a target that interprets guests; RunOptions::timeout_ms wins.
std::int64_t timeout_of(const Case& which, const Target& target, const RunOptions& options);

/// Who a result is of.
Subject subject_of(const Run& run, const Specs& specs, const std::vector<Target>& targets, const RunOptions& options);

} // namespace microvmc::testkit
