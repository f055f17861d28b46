#pragma once

#include "runtime/action.h"
#include "runtime/commands/session.h"

#include <string>
#include <vector>

namespace microvmc {

/// Performs the actions on this machine with a progress line on a terminal. An Error's text gets the end of the console
/// of the machine that failed.
void perform_here(const std::vector<Action>& actions);

/// Asks on the terminal, and is told yes or no. False without a terminal.
bool confirmed(const std::string& question);

} // namespace microvmc
