#pragma once

#include "testkit/result.h"

#include <string>

namespace microvmc::testkit {

/// The report as JUnit XML: a testsuite a target, a testcase a case. Valid against the schema of Jenkins' xunit plugin
/// (junit-10.xsd), which has no `file` for a testcase: where a failure is stands in its text. GitLab tells cases apart
/// by classname and name, and shows a failure's text, not its message
/// (https://docs.gitlab.com/ci/testing/unit_test_reports); so each name is unique and the text is complete.
std::string junit_xml(const RunReport& report);

} // namespace microvmc::testkit
