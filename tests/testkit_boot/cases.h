#pragma once

#include "testkit/run.h"
#include "testkit/targets.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// Cases made by hand: what a spec's text says is another's to test. That a run leaves nothing behind is checked after
/// each test.
class CasesTest : public ::testing::Test {
protected:
    CasesTest();
    ~CasesTest() override;

    /// A case of machines that a microvm.toml describes, without steps.
    Case& add(const std::string& name, const std::string& toml);
    static Step guest(const std::string& command);
    static Step guest(const std::string& command, const std::string& equals);
    static Step vm(VmStep::Verb verb);
    /// Runs all of them on QEMU under TCG, or on `targets_`. That all of it is told to a Progress is checked.
    RunReport run(const RunOptions& options = {});
    /// The only result of the case.
    static const CaseResult& result_of(const RunReport& report, const std::string& name);

    /// Directories of runs that were not there before.
    [[nodiscard]] std::vector<std::string> runs_left() const;
    /// Command lines that name something of a run that was not there before.
    [[nodiscard]] std::vector<std::string> processes_of_runs() const;

    Specs specs_;
    std::vector<Target> targets_;

private:
    std::set<std::string> before_;
};

Located<std::string> text(std::string value);

/// Shows a result when a test fails.
std::ostream& operator<<(std::ostream& out, const CaseResult& result);

} // namespace microvmc::testkit
