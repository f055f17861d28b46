#pragma once

#include "compiler/diff.h"
#include "compiler/observed.h"
#include "compiler/plan.h"

#include <string>
#include <vector>

namespace microvmc::test {

/// Facts of a Debian host without KVM, the same everywhere.
HostFacts sample_facts();

/// docs/examples/hello as it is resolved with those facts: a volume, a read-only share, a forwarded port.
VmPlan hello_vm();
Plan hello_plan();

/// Nothing is known of any machine.
Observed nothing_observed();
/// hello runs as `vm` says, its volumes existing with their size.
Observed running(const VmPlan& vm);

/// One change of hello.
Changes one_change(ChangeKind kind);

/// Compares with tests/runtime/golden/NAME; writes it instead when MICROVMC_UPDATE_GOLDEN is set.
void expect_golden(const std::string& name, const std::string& text);

} // namespace microvmc::test
