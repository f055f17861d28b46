#pragma once

#include "testkit/progress.h"

#include <memory>

namespace microvmc::testkit {

/// Shows a run on a descriptor, and its summary at the end: on a terminal a table that is drawn anew in place, with a
/// line above it for each failure; elsewhere, and with `plain`, a line a finished case.
std::unique_ptr<Progress> show_progress(int fd, bool plain, bool colour);

} // namespace microvmc::testkit
