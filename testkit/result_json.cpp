#include "testkit/result.h"

#include "compiler/json_enum.h"
#include "compiler/json_fields.h"
#include "compiler/json_shape.h"
#include "compiler/json_text.h"
#include "compiler/text.h"

namespace microvmc::testkit {

namespace {

constexpr Words<Outcome, 7> outcomes{{{Outcome::passed, "passed"},
                                      {Outcome::wrong, "wrong"},
                                      {Outcome::panic, "panic"},
                                      {Outcome::crash, "crash"},
                                      {Outcome::hang, "hang"},
                                      {Outcome::error, "error"},
                                      {Outcome::skipped, "skipped"}}};

const auto target_fields = std::tuple{field("hypervisor", &Target::hypervisor),   field("accel", &Target::accel),
                                      sparse("kernel", &Target::kernel),          field("program", &Target::program),
                                      field("version", &Target::version),         sparse("unusable", &Target::unusable),
                                      sparse("interpreted", &Target::interpreted)};
const auto timeline_fields = std::tuple{field("at-ms", &TimelineEntry::at_ms), field("text", &TimelineEntry::text)};
const auto result_fields = std::tuple{field("spec", &CaseResult::spec),
                                      field("name", &CaseResult::name),
                                      field("target", &CaseResult::target),
                                      field("outcome", &CaseResult::outcome),
                                      sparse("message", &CaseResult::message),
                                      sparse("where", &CaseResult::where),
                                      field("duration-ms", &CaseResult::duration_ms),
                                      field("boot-ms", &CaseResult::boot_ms),
                                      sparse("attempt", &CaseResult::attempt),
                                      sparse("proves", &CaseResult::proves),
                                      sparse("console", &CaseResult::console),
                                      sparse("command-lines", &CaseResult::command_lines),
                                      sparse("timeline", &CaseResult::timeline),
                                      sparse("artifacts", &CaseResult::artifacts)};
const auto coverage_fields =
    std::tuple{field("capability", &CoverageCell::capability), field("hypervisor", &CoverageCell::hypervisor),
               field("support", &CoverageCell::support), sparse("cases", &CoverageCell::cases),
               sparse("excuse", &CoverageCell::excuse)};
const auto report_fields =
    std::tuple{field("version", &RunReport::version),   field("program-version", &RunReport::program_version),
               field("host", &RunReport::host),         field("host-summary", &RunReport::host_summary),
               field("started", &RunReport::started),   field("duration-ms", &RunReport::duration_ms),
               field("targets", &RunReport::targets),   field("results", &RunReport::results),
               sparse("coverage", &RunReport::coverage)};

// A guest says what bytes it likes; JSON is UTF-8, and the library refuses to write anything else.
void make_utf8(nlohmann::json& json) {
    if (json.is_structured()) {
        for (nlohmann::json& each : json) { make_utf8(each); }
    } else if (json.is_string()) {
        json = well_formed(json.get_ref<const std::string&>());
    }
}

} // namespace

std::string_view to_string(Outcome outcome) {
    return word_of(outcome, outcomes);
}

void to_json(nlohmann::json& json, const Outcome& outcome) {
    json = word_of(outcome, outcomes);
}
void from_json(const nlohmann::json& json, Outcome& outcome) {
    outcome = from_word(json, outcomes);
}
void to_json(nlohmann::json& json, const Target& target) {
    write_fields(json, target, target_fields);
    make_utf8(json);
}
void from_json(const nlohmann::json& json, Target& target) {
    read_fields(json, target, target_fields);
}
void to_json(nlohmann::json& json, const TimelineEntry& entry) {
    write_fields(json, entry, timeline_fields);
    make_utf8(json);
}
void from_json(const nlohmann::json& json, TimelineEntry& entry) {
    read_fields(json, entry, timeline_fields);
}
void to_json(nlohmann::json& json, const CaseResult& result) {
    write_fields(json, result, result_fields);
    make_utf8(json);
}
void from_json(const nlohmann::json& json, CaseResult& result) {
    read_fields(json, result, result_fields);
}
void to_json(nlohmann::json& json, const CoverageCell& cell) {
    write_fields(json, cell, coverage_fields);
    make_utf8(json);
}
void from_json(const nlohmann::json& json, CoverageCell& cell) {
    read_fields(json, cell, coverage_fields);
}
void to_json(nlohmann::json& json, const RunReport& report) {
    write_fields(json, report, report_fields);
    make_utf8(json);
}
void from_json(const nlohmann::json& json, RunReport& report) {
    int version = 0;
    read_value(json.at("version"), version);
    if (version != report_version) {
        throw nlohmann::json::other_error::create(504,
                                                  "a report of version " + std::to_string(version) +
                                                      ", this program has " + std::to_string(report_version),
                                                  &json);
    }
    read_fields(json, report, report_fields);
}

void json_text(JsonText& out, const Outcome& outcome) {
    out.string(word_of(outcome, outcomes));
}
void json_text(JsonText& out, const Target& target) {
    text_fields(out, target, target_fields);
}
void json_text(JsonText& out, const TimelineEntry& entry) {
    text_fields(out, entry, timeline_fields);
}
void json_text(JsonText& out, const CaseResult& result) {
    text_fields(out, result, result_fields);
}
void json_text(JsonText& out, const CoverageCell& cell) {
    text_fields(out, cell, coverage_fields);
}

std::string to_json_text(const RunReport& report) {
    return json_written([&](JsonText& out) { text_fields(out, report, report_fields); });
}

// For the JSON Schema: a new struct of the report needs its line here.
using Shape = JsonShapes::Json;

Shape json_shape(JsonShapes& /*shapes*/, const Outcome* /*type*/) {
    return JsonShapes::words(outcomes);
}
Shape json_shape(JsonShapes& shapes, const Target* /*type*/) {
    return shapes.object<Target>("target", target_fields);
}
Shape json_shape(JsonShapes& shapes, const TimelineEntry* /*type*/) {
    return shapes.object<TimelineEntry>("timeline", timeline_fields);
}
Shape json_shape(JsonShapes& shapes, const CaseResult* /*type*/) {
    return shapes.object<CaseResult>("result", result_fields);
}
Shape json_shape(JsonShapes& shapes, const CoverageCell* /*type*/) {
    return shapes.object<CoverageCell>("coverage", coverage_fields);
}

std::string report_json_schema() {
    JsonShapes shapes;
    const Shape reference = shapes.object<RunReport>("report", report_fields);
    Shape definitions = shapes.definitions();
    definitions["report"]["properties"]["version"] = {{"enum", Shape::array({report_version})}};
    const Shape schema{{"$schema", "http://json-schema.org/draft-07/schema#"},
                       {"title", "microvm-test report"},
                       {"description", "What `microvm-test --json` prints. Times are milliseconds, `started` is unix "
                                       "seconds. A change of meaning raises the version."},
                       {"allOf", Shape::array({reference})},
                       {"definitions", definitions}};
    return schema.dump(2) + "\n";
}

} // namespace microvmc::testkit
