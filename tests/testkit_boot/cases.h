#pragma once

#include "testkit/run.h"
#include "testkit/targets.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// Cases made by hand: what a spec's text says is another's to test.
class CasesTest : public ::testing::Test {
protected:
    CasesTest();

    /// A case of machines that a microvm.toml describes, without steps.
    Case& add(const std::string& name, const std::string& toml);
    static Step guest(const std::string& command);
    static Step guest(const std::string& command, const std::string& equals);
    static Step vm(VmStep::Verb verb);
    /// Runs all of them on QEMU under TCG; by name.
    RunReport run(RunOptions options = {});
    /// The only result of the case.
    static const CaseResult& result_of(const RunReport& report, const std::string& name);

    Specs specs_;
    TargetRequest request_;
};

Located<std::string> text(std::string value);

/// Shows a result when a test fails.
std::ostream& operator<<(std::ostream& out, const CaseResult& result);

} // namespace microvmc::testkit
