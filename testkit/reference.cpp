#include "testkit/reference.h"

#include "compiler/json_schema.h"
#include "compiler/reference_man.h"
#include "compiler/reference_markdown.h"
#include "compiler/reference_text.h"
#include "compiler/roff.h"
#include "runtime/commands/manual.h"
#include "testkit/references.h"
#include "testkit/spec_schema.h"

#include <algorithm>
#include <fmt/format.h>

namespace microvmc::testkit {

namespace {

constexpr ReferenceSection preface[] = {
    {"A first spec", R"(A spec boots machines and takes steps with them. This is a whole one:

```
# What the guest wrote is in the volume's image once the machine has stopped.
proves = ["volume.raw", "volume.ext4"]

[vm.a]
volumes.data = { size = 64, mount-point = "/data" }

[[step]]
guest = "echo kept > /data/file"

[[step]]
vm = "stop"

[[step]]
volume = { name = "data", path = "/file" }
expect.equals = "kept"
```

`[vm.NAME]`, `[defaults]`, `[template.NAME]` and `[network.NAME]` are those of a microvm.toml. All machines are started
before the first step, but those with `enabled = false`. The steps are taken one after the other, and the first that
doesn't hold ends the case. A step that says nothing else expects the status 0.

`microvm-test -f microvm.toml --spec my.toml` takes the steps with the machines of a project of yours; machines of the
spec are merged over those.)"},
    {"The matrix",
     R"(Each axis of `[matrix]` has values, and a case is made of each combination of them. An axis is an array of strings,
numbers or booleans, or a table of fragments, of which one is merged over the machines:

```
exclude = [{ fs = "vfat", ending = "kill" }, { size = 1048576, interpreted = true }]

[matrix]
fs     = ["ext4", "xfs", "vfat"]
ending = ["stop", "kill"]
size   = [32768, 1048576]

[matrix.net.user]
vm.a.interfaces.lan.type = "user"

[matrix.net.tap]
network.lan.subnet = "10.9.0.0/24"
vm.a.interfaces.lan.network = "lan"
```

- `exclude` leaves out the combinations for which all that an entry says holds; an array stands for any of its values.
  Beside axes, an entry may name what a case is run on: `hypervisor`, `accel` (`kvm`, `tcg`) and `interpreted` (true where
  KVM runs guests in software, far slower than emulation; a case and its steps have five times their time there).
- A case is called after its values: `volumes[fs=ext4,ending=stop]`. There are at most 10,000.
- The value of an axis of fragments is the fragment's name.)"},
    {"As much as a hypervisor has",
     R"(What a case needs and a hypervisor lacks leaves the whole case out there. A fragment under `[optional.CAPABILITY]` is merged
over the machines only where the hypervisor has the capability, and a step with `needs` is taken only where it has all of
them; both prove what they name:

```
[vm.a]
volumes.data = { size = 64, mount-point = "/data" }

[optional."volume.qcow2"]
vm.a.volumes.more = { size = 64, format = "qcow2", mount-point = "/more" }

[[step]]
needs = ["volume.qcow2"]
guest = "echo kept > /more/file"

[[step]]
needs = ["pause"]
vm = "pause"
```)"},
    {"References",
     R"(- `${AXIS}` in any value of a spec becomes the axis's value. It keeps its type when the string is nothing else:
  `vcpu = "${cpus}"`.
- `${NAME}` in a step becomes what an earlier step captured under that name.
- `${vm.NAME.VALUE}` in a step becomes a value of the machine's plan, such as a port that was allocated.
- In a regular expression, what replaces a reference stands for just that text, unless the reference is the whole
  expression.
- Commands are left alone: in `guest`, and in a `host` whose program is a shell, axes and captures are environment
  variables, which the shell puts in. So what a guest says is never part of a command. `${vm.NAME.VALUE}` works there, too.

A reference to what there is not is an error when the spec is read.)"},
    {"A directory of its own",
     R"(`${scratch}`, in machines and in steps, is an empty directory on the host that each case gets for itself; it goes when the
case is over. What its machines need is put there by `prepare`, before they are planned:

```
prepare = [["sh", "-c", "mkdir $scratch/data && echo there > $scratch/data/file"]]

[vm.a]
shares.data = { source = "${scratch}/data", mount-point = "/data" }
```

What `prepare` made elsewhere, such as a bridge, `cleanup` takes away, whatever came of the case. A case that speaks of
`${scratch}`, or has either of them, shares its machines with no other.)"},
    {"Machines that change",
     R"(An `apply` step merges more keys over the machines, and they become what is said of them then: in place where that can be done,
else by a restart.

```
[[step]]
apply.vm.a.volumes.data.size = 128
expect.equals = "a in-place"
```)"},
};

/// The tables of a spec that a microvm.toml hasn't.
std::vector<ReferenceTable> own_tables() {
    const std::vector<const TableSchema*> own = {&schema_of<SpecConfig>(),       &schema_of<StepConfig>(),
                                                 &schema_of<ExpectConfig>(),     &schema_of<ConsoleStepConfig>(),
                                                 &schema_of<SocketStepConfig>(), &schema_of<VmStepConfig>(),
                                                 &schema_of<VolumeStepConfig>()};
    std::vector<ReferenceTable> tables = reference_tables(schema_of<SpecConfig>());
    std::erase_if(tables,
                  [&](const ReferenceTable& table) { return std::ranges::find(own, table.schema) == own.end(); });
    return tables;
}

std::string plan_values_markdown() {
    std::string text = "## Values of a plan\n\nWhat `${vm.NAME.VALUE}` may name. Sizes are in MiB.\n\n" +
                       markdown_row({"Value", "Meaning"}) + "|---|---|\n";
    for (const PlanValueName& value : plan_value_names()) {
        text += markdown_row({fmt::format("`{}`", value.name), fmt::format("{}.", value.doc)});
    }
    return text;
}

std::string plan_values_man() {
    std::string text = ".SS \"Values of a plan\"\nWhat ${vm.NAME.VALUE} may name. Sizes are in MiB.\n";
    for (const PlanValueName& value : plan_value_names()) {
        text += fmt::format(".TP\n.B {}\n{}.\n", roff_text(value.name), roff_line(value.doc));
    }
    return text;
}

constexpr const char* synopsis =
    ".B microvm-test\n.RI [ option ...]\n.RI [ spec ...]\n.RB [ \\-\\-\n.IR command ...]\n";

constexpr const char* description =
    ".PP\nA spec says what is done with virtual machines and what must come of it. Each of its cases is run on each "
    "hypervisor that is wanted. Cases that need the same machines share a boot. What a hypervisor can't do is skipped, "
    "with the reason.\n.PP\nAn argument that contains a slash or ends in .toml is a file or a directory; any other is "
    "the "
    "name of a spec that comes with microvm\\-test. Without arguments, all of those are run. Behind\n.B \\-\\-\nstands "
    "a "
    "command that is run in a guest, as a spec of one step.\n";

constexpr const char* before_specs = R"(.SH EXIT STATUS
.TP
.B 0
All passed.
.TP
.B 1
Something failed, or a spec is wrong.
.TP
.B 2
Nothing ran.
.TP
.B 3
What failed is only what took too long.
.TP
.B 64
The command line is wrong.
.SH OUTCOMES
.TP
.B passed
Every step held.
.TP
.B wrong
An answer was not the expected one.
.TP
.B panic
The guest's kernel panicked.
.TP
.B crash
The hypervisor died.
.TP
.B hang
Nothing came within the time.
.TP
.B error
The case could not be carried out.
.TP
.B skipped
The hypervisor, or this host, can't do it.
.SH SPECS
)";

constexpr const char* after_specs = R"(.SH FILES
.TP
.I /usr/share/microvmc/specs
The specs that come with microvm\-test.
.SH EXAMPLES
.EX
microvm\-test
microvm\-test \-\-hypervisor qemu \-\-junit\-xml out.xml
microvm\-test \-\-filter 'volumes*fs=ext4*' \-\-repeat 10
microvm\-test \-f microvm.toml \-\-spec my.toml \-\-all\-hypervisors
microvm\-test \-\- uname \-r
.EE
.SH SEE ALSO
.BR microvmc (1),
.BR microvm.toml (5)
)";

} // namespace

std::string specs_markdown(std::span<const Traits> traits) {
    std::string text =
        "<!-- Made by ci/generate from the table in testkit/spec_schema.cpp: edit that. -->\n\n"
        "# Specs of microvm-test\n\nA spec says, in TOML, what is done with virtual machines and what must "
        "come of it; `microvm-test` carries it out on each hypervisor that is wanted. This is every key that "
        "it can have beyond those of a microvm.toml, which [LANGUAGE.md](LANGUAGE.md) has.\n\n";
    for (const ReferenceSection& section : preface) {
        text += fmt::format("## {}\n\n{}\n\n", section.title, section.text);
    }
    for (const ReferenceTable& table : own_tables()) { text += markdown_table(table, traits); }
    return text + plan_values_markdown();
}

std::string test_manual(const CLI::App& app, std::span<const Traits> traits) {
    std::string ending = before_specs + man_sections(preface);
    for (const ReferenceTable& table : own_tables()) { ending += man_table(table, traits); }
    ending += plan_values_man() + after_specs;
    return manual_page(app, {.title = "runs specs of virtual machines on each hypervisor",
                             .synopsis = synopsis,
                             .description = description,
                             .ending = ending});
}

std::string spec_json_schema(std::span<const Traits> traits) {
    return json_schema(schema_of<SpecConfig>(),
                       {"spec of microvm-test", "What is done with virtual machines, and what "
                                                "must come of it."},
                       true, traits);
}

} // namespace microvmc::testkit
