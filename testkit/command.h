#pragma once

#include "runtime/commands/session.h"
#include "testkit/command_line.h"
#include "testkit/result.h"

namespace microvmc::testkit {

/// microvm-test itself, once the command line was read: loads the specs, runs or lists them, writes the reports, and
/// sets session.status.
void perform(const CommandLine& line, Session& session);

/// Of a run: 0 all passed; 1 something failed, or with `coverage` wasn't proven; 2 nothing ran; 3 what failed is only
/// what took too long. Pure.
int exit_status(const RunReport& report, bool coverage);

} // namespace microvmc::testkit
