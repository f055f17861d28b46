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

/// hello's machine on a hypervisor that needs KVM: on a tap, `program` being its program. Its kernel's parameters and
/// what else the hypervisor decides are still QEMU's.
VmPlan kvm_vm(const std::string& hypervisor, const std::string& program);
/// The VMM's command line.
std::vector<std::string> argv_of(const VmPlan& vm);
/// What stands behind an option, each time that it is there.
std::vector<std::string> values(const std::vector<std::string>& argv, const std::string& name);
/// A share of /srv/NAME over virtiofs, by Rust's virtiofsd.
SharePlan virtiofs_share(const std::string& name);

/// Nothing is known of any machine.
Observed nothing_observed();
/// hello runs as `vm` says, its volumes existing with their size.
Observed running(const VmPlan& vm);

/// One change of hello.
Changes one_change(ChangeKind kind);

/// Compares with tests/runtime/golden/NAME; writes it instead when MICROVMC_UPDATE_GOLDEN is set.
void expect_golden(const std::string& name, const std::string& text);

} // namespace microvmc::test
