#pragma once

#include "runtime/commands/session.h"
#include "testkit/run.h"
#include "testkit/select.h"
#include "testkit/targets.h"

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace microvmc::testkit {

/// What the command line of microvm-test says, beside the session's files, colours and JSON.
struct CommandLine {
    std::vector<std::string> specs;      ///< files, directories, names of shipped ones
    std::vector<std::string> spec_files; ///< --spec
    TargetRequest targets;
    Selection selection;
    RunOptions run;
    bool list = false;
    bool coverage = false;
    std::string junit_xml; ///< files; empty: none
    std::string html;
};

/// Adds the options; each is read and checked when the app parses.
void add_options(CLI::App& app, Session& session, CommandLine& line);

} // namespace microvmc::testkit
