#pragma once

#include "testkit/result.h"

#include <string>

namespace microvmc::testkit {

/// The report as one page that needs nothing else: no script, no font, no picture, no network. Light or dark as the
/// reader has it, for a desk and for a phone; what is long opens by <details>. Also well-formed XML.
std::string html_page(const RunReport& report);

} // namespace microvmc::testkit
