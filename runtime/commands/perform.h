#pragma once

#include "runtime/action.h"
#include "runtime/commands/session.h"

#include <functional>
#include <string>
#include <vector>

namespace microvmc {

/// Performs the actions on this machine with a progress line on a terminal. An Error's text gets the end of the console
/// of the machine that failed.
void perform_here(const std::vector<Action>& actions);

/// The same of groups, `parallelism` at once; 0: as many as the host has processors, two at least. `done` is told of
/// each that went well. The console's end of each machine that failed is shown; then an Error says what failed, what
/// was not begun and what went on.
void perform_here(const std::vector<ActionGroup>& groups, unsigned parallelism,
                  const std::function<void(const ActionGroup&, double seconds)>& done);

/// --parallelism, for commands that work on several machines at once.
void add_parallelism(CLI::App& command, unsigned& parallelism);

/// Asks on the terminal, and is told yes or no. False without a terminal.
bool confirmed(const std::string& question);

} // namespace microvmc
