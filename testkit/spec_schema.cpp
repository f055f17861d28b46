#include "testkit/spec_schema.h"

#include <algorithm>
#include <array>

namespace microvmc {

using namespace std::string_view_literals;

namespace testkit {

namespace {

constexpr std::array verbs = {"start"sv, "stop"sv,   "kill"sv,     "restart"sv, "reboot"sv,   "wait"sv,
                              "pause"sv, "resume"sv, "snapshot"sv, "restore"sv, "autostart"sv};
constexpr std::array step_choices = {"guest"sv,   "host"sv, "http"sv,   "tcp"sv,   "udp"sv,  "ping"sv,
                                     "console"sv, "vm"sv,   "volume"sv, "stats"sv, "apply"sv};
constexpr std::array stats_words = {"resident"sv, "balloon"sv};
constexpr std::array vm_choices = {"balloon"sv};

std::string typed_text(std::string_view text, Span span, void* object) {
    static_cast<ConsoleStepConfig*>(object)->type = {std::string(text), span};
    return {};
}

std::string socket_address(std::string_view text, Span span, void* object) {
    static_cast<SocketStepConfig*>(object)->address = {std::string(text), span};
    return {};
}

std::string verb(std::string_view text, Span span, void* object) {
    static_cast<VmStepConfig*>(object)->verb = {std::string(text), span};
    return {};
}

constexpr KeySchema console_keys[] = {
    {.name = "type",
     .form = Form::string,
     .slot = slot<&ConsoleStepConfig::type>(),
     .derived = "nothing is typed",
     .doc = "What is typed; `\\r` is the Return key."},
    {.name = "times",
     .form = Form::integer,
     .slot = slot<&ConsoleStepConfig::times>(),
     .default_text = "1",
     .doc = "How often.",
     .min = 1,
     .max = 1'000'000},
};
constexpr TableSchema console_table = {.noun = "console step", .keys = console_keys, .shorthand = &typed_text};

constexpr KeySchema socket_keys[] = {
    {.name = "address", .form = Form::string, .slot = slot<&SocketStepConfig::address>(), .doc = "\"ADDRESS:PORT\"."},
    {.name = "send", .form = Form::string, .slot = slot<&SocketStepConfig::send>(), .doc = "What the host says first."},
};
constexpr TableSchema socket_table = {.noun = "socket step", .keys = socket_keys, .shorthand = &socket_address};

constexpr KeySchema vm_keys[] = {
    {.name = "balloon",
     .form = Form::size,
     .slot = slot<&VmStepConfig::balloon>(),
     .doc = "The guest is left with this much memory.",
     .min = 1},
};
constexpr TableSchema vm_table = {
    .noun = "vm step", .keys = vm_keys, .one_of = vm_choices, .one_required = true, .shorthand = &verb};

constexpr KeySchema volume_keys[] = {
    {.name = "name", .form = Form::string, .slot = slot<&VolumeStepConfig::name>(), .doc = "The volume."},
    {.name = "path",
     .form = Form::guest_path,
     .slot = slot<&VolumeStepConfig::path>(),
     .doc = "The file's path in the volume's file system."},
};
constexpr TableSchema volume_table = {.noun = "volume step", .keys = volume_keys};

constexpr KeySchema expect_keys[] = {
    {.name = "status",
     .form = Form::text_or_number,
     .slot = slot<&ExpectConfig::status>(),
     .derived = "0; 200 of `http`; any of `vm`",
     .doc = "The status: a command's exit status, HTTP's, 0 when a `tcp` or `ping` was answered and 1 when not."},
    {.name = "equals",
     .form = Form::text_or_number,
     .slot = slot<&ExpectConfig::equals>(),
     .doc = "The whole answer, less one newline at its end."},
    {.name = "matches",
     .form = Form::string,
     .slot = slot<&ExpectConfig::matches>(),
     .doc = "A regular expression that is found in the answer; `^` and `$` match at lines."},
    {.name = "min",
     .form = Form::text_or_number,
     .slot = slot<&ExpectConfig::min>(),
     .doc = "The answer is a number, this at least."},
    {.name = "max",
     .form = Form::text_or_number,
     .slot = slot<&ExpectConfig::max>(),
     .doc = "The answer is a number, this at most."},
    {.name = "sha256",
     .form = Form::string,
     .slot = slot<&ExpectConfig::sha256>(),
     .doc = "SHA-256 of the answer's bytes, in hexadecimal digits."},
};
constexpr TableSchema expect_table = {.noun = "expectation", .keys = expect_keys};

constexpr KeySchema step_keys[] = {
    {.name = "guest",
     .form = Form::string,
     .slot = slot<&StepConfig::guest>(),
     .doc = "A command in the guest, for `sh -c`. Its answer is what it writes to standard output."},
    {.name = "host",
     .form = Form::arguments,
     .slot = slot<&StepConfig::host>(),
     .doc = "A program on the host, in the spec's directory. Its answer is what it writes to standard output."},
    {.name = "http",
     .form = Form::string,
     .slot = slot<&StepConfig::http>(),
     .doc = "The page that the host gets: \"http://ADDRESS:PORT/PATH\". Its answer is the page."},
    {.name = "tcp",
     .form = Form::table,
     .slot = slot<&StepConfig::tcp>(),
     .doc =
         "\"ADDRESS:PORT\" that the host connects to. Its answer is what is said until the other side closes, or the "
         "attempt's time is over. A string is short for `{ address = ... }`.",
     .table = &socket_table},
    {.name = "udp",
     .form = Form::table,
     .slot = slot<&StepConfig::udp>(),
     .doc = "\"ADDRESS:PORT\" that the host sends a datagram to. Its answer is the first that comes back.",
     .table = &socket_table},
    {.name = "ping",
     .form = Form::string,
     .slot = slot<&StepConfig::ping>(),
     .doc = "The address that the guest pings."},
    {.name = "console",
     .form = Form::table,
     .slot = slot<&StepConfig::console>(),
     .doc = "Types on the machine's console. Its answer is what the console has said since the last `console` step."
            " A string is short for `{ type = ... }`.",
     .table = &console_table},
    {.name = "vm",
     .form = Form::table,
     .slot = slot<&StepConfig::vm>(),
     .doc = "What is done to the machine. `wait` waits until it ended by itself; its answer is how: `poweroff`, "
            "`exited`, `panic`. `autostart` starts it as those are that start with the host.",
     .words = verbs,
     .table = &vm_table},
    {.name = "volume",
     .form = Form::table,
     .slot = slot<&StepConfig::volume>(),
     .doc = "Reads a file from the image of a volume; its machine is stopped. Its answer is the file.",
     .table = &volume_table},
    {.name = "stats",
     .form = Form::word,
     .slot = slot<&StepConfig::stats>(),
     .doc = "A number of MiB that the host knows of the machine: `resident`, what its hypervisor has of the host's "
            "memory; "
            "`balloon`, what its balloon holds.",
     .words = stats_words},
    {.name = "apply",
     .form = Form::custom,
     .slot = {},
     .doc =
         "What is merged over the machines, as a fragment of an axis is; then they become what is said of them, as by "
         "`microvmc apply`. Its answer is what became of each machine, a line each: `a in-place`, `a restart`.",
     .type = "table of machines' keys",
     .json = R"({"type": "object", "minProperties": 1, "allOf": [{"$ref": "#/definitions/fragment"}]})"},
    {.name = "on",
     .form = Form::string,
     .slot = slot<&StepConfig::on>(),
     .derived = "the only machine",
     .doc = "The machine that is meant."},
    {.name = "env",
     .form = Form::string_table,
     .slot = slot<&StepConfig::env>(),
     .doc = "More environment variables of a `guest` or `host` command."},
    {.name = "needs",
     .form = Form::strings,
     .slot = slot<&StepConfig::needs>(),
     .doc = "Capabilities that the step proves; where the hypervisor lacks one of them, the case goes on without it."},
    {.name = "expect",
     .form = Form::table,
     .slot = slot<&StepConfig::expect>(),
     .doc = "What the answer must be; all that is said holds.",
     .table = &expect_table},
    {.name = "capture",
     .form = Form::string_table,
     .slot = slot<&StepConfig::capture>(),
     .doc = "By name, regular expressions that are found in the answer: the first group, or all that matched, is kept "
            "under the name."},
    {.name = "within",
     .form = Form::duration,
     .slot = slot<&StepConfig::within>(),
     .derived = "one attempt",
     .doc = "The step is tried again until it holds, for this long.",
     .min = 1},
    {.name = "timeout",
     .form = Form::duration,
     .slot = slot<&StepConfig::timeout>(),
     .derived = "1m; 3m of `vm`, `volume` and `apply`",
     .doc = "How long one attempt may take.",
     .min = 1},
};
constexpr TableSchema step_table = {.noun = "step", .keys = step_keys, .one_of = step_choices, .one_required = true};

// What may stand in a fragment of an axis: the machines' keys.
const TableSchema& fragment_table() {
    static const std::vector<KeySchema> keys = [] {
        std::vector<KeySchema> made;
        for (const KeySchema& key : schema_of<Config>().keys) {
            if (is_machine_key(key.name)) { made.push_back(key); }
        }
        return made;
    }();
    static const TableSchema table = {.noun = "fragment", .keys = keys};
    return table;
}

constexpr const char* matrix_json = R"({
    "type": "object",
    "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,30}$"},
    "additionalProperties": {"anyOf": [
        {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}},
        {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/definitions/fragment"}}]}})";
constexpr const char* exclude_json = R"({
    "type": "array",
    "items": {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"type": ["string", "number", "boolean", "array"]}}})";

constexpr const char* optional_json = R"({
    "type": "object",
    "additionalProperties": {"$ref": "#/definitions/fragment"}})";

std::vector<KeySchema> file_keys() {
    std::vector<KeySchema> keys = {
        {.name = "proves",
         .form = Form::strings,
         .slot = slot<&SpecConfig::proves>(),
         .doc =
             "The capabilities that a passed case proves; `microvmc hypervisors` lists them all. A hypervisor that has "
             "none of them is left out."},
        {.name = "timeout",
         .form = Form::duration,
         .slot = slot<&SpecConfig::timeout>(),
         .default_text = "10m",
         .doc = "How long a case may take, its boots included.",
         .min = 1},
        {.name = "isolated",
         .form = Form::boolean,
         .slot = slot<&SpecConfig::isolated>(),
         .default_text = "false",
         .doc = "A case shares its machines with no other case."},
        {.name = "prepare",
         .form = Form::argument_lists,
         .slot = slot<&SpecConfig::prepare>(),
         .doc =
             "Programs on the host, in the spec's directory, that make what the machines need, before anything of them "
             "is looked at. Each must exit with 0."},
        {.name = "cleanup",
         .form = Form::argument_lists,
         .slot = slot<&SpecConfig::cleanup>(),
         .doc =
             "Programs on the host that take away what `prepare` made outside of `${scratch}`, once the machines are "
             "gone, whatever came of the case."},
        {.name = "exclude",
         .form = Form::custom,
         .slot = {},
         .doc = "Points of the matrix that are left out.",
         .type = "array of tables",
         .json = exclude_json},
        {.name = "optional",
         .form = Form::custom,
         .slot = {},
         .doc = "Fragments, each under the name of a capability: it is merged over the machines where the hypervisor "
                "has that, and proves it. What is left out where it lacks it are the steps that need it.",
         .table = &fragment_table(),
         .type = "table of capabilities",
         .json = optional_json},
        {.name = "matrix",
         .form = Form::custom,
         .slot = {},
         .doc = "The axes, whose values are combined each with each.",
         .table = &fragment_table(),
         .type = "table of axes",
         .json = matrix_json},
    };
    for (const KeySchema& key : fragment_table().keys) { keys.push_back(key); }
    keys.push_back({.name = "step",
                    .form = Form::tables,
                    .slot = slot<&SpecConfig::steps>(),
                    .doc = "The steps, one after the other.",
                    .table = &step_table});
    return keys;
}

} // namespace

bool is_machine_key(std::string_view key) {
    constexpr std::array machine_keys = {"defaults"sv, "template"sv, "network"sv, "vm"sv};
    return std::ranges::find(machine_keys, key) != machine_keys.end();
}

} // namespace testkit

template <> const TableSchema& schema_of<testkit::SpecConfig>() {
    static const std::vector<KeySchema> keys = testkit::file_keys();
    static const TableSchema table = {.noun = "spec", .keys = keys};
    return table;
}
template <> const TableSchema& schema_of<testkit::StepConfig>() {
    return testkit::step_table;
}
template <> const TableSchema& schema_of<testkit::ExpectConfig>() {
    return testkit::expect_table;
}
template <> const TableSchema& schema_of<testkit::ConsoleStepConfig>() {
    return testkit::console_table;
}
template <> const TableSchema& schema_of<testkit::SocketStepConfig>() {
    return testkit::socket_table;
}
template <> const TableSchema& schema_of<testkit::VmStepConfig>() {
    return testkit::vm_table;
}
template <> const TableSchema& schema_of<testkit::VolumeStepConfig>() {
    return testkit::volume_table;
}

} // namespace microvmc
