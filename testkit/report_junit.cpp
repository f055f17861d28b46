#include "testkit/report_junit.h"

#include "testkit/failure_text.h"
#include "testkit/readable.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <pugixml.hpp>

#include <algorithm>
#include <sstream>

namespace microvmc::testkit {

namespace {

struct Counts {
    std::size_t tests = 0;
    std::size_t failures = 0;
    std::size_t errors = 0;
    std::size_t skipped = 0;
    std::int64_t duration_ms = 0;
};

Counts count(const RunReport& report, const Target* target) {
    Counts counts;
    for (const CaseResult& result : report.results) {
        if (target != nullptr && result.target != target->name()) { continue; }
        ++counts.tests;
        counts.duration_ms += result.duration_ms;
        switch (result.outcome) {
        case Outcome::passed: break;
        case Outcome::wrong:
        case Outcome::panic:
        case Outcome::crash:
        case Outcome::hang: ++counts.failures; break;
        case Outcome::error: ++counts.errors; break;
        case Outcome::skipped: ++counts.skipped; break;
        }
    }
    return counts;
}

std::string seconds(std::int64_t ms) {
    return fmt::format("{}.{:03}", ms / 1000, ms % 1000);
}

void set(pugi::xml_node node, const char* name, std::string_view value) {
    node.append_attribute(name).set_value(readable_line(value).c_str());
}

void set_text(pugi::xml_node node, std::string_view text) {
    node.append_child(pugi::node_pcdata).set_value(readable_text(text).c_str());
}

/// What system-out doesn't have. The place comes last, in parentheses: reporters go by the last one that they find.
std::string body(const CaseResult& result) {
    CaseResult rest = result;
    rest.console.clear();
    rest.where.clear();
    std::string text = failure_text(rest);
    if (!result.where.empty()) { text += fmt::format("at ({})\n", readable_line(result.where)); }
    return text;
}

/// A child that says why the case has not passed.
void add_reason(pugi::xml_node testcase, const char* name, const CaseResult& result) {
    pugi::xml_node reason = testcase.append_child(name);
    set(reason, "type", to_string(result.outcome));
    set(reason, "message", result.message);
    set_text(reason, body(result));
}

void add_case(pugi::xml_node suite, const CaseResult& result) {
    pugi::xml_node testcase = suite.append_child("testcase");
    // Jenkins takes what is before the last dot for a package.
    set(testcase, "classname", result.target + '.' + result.spec);
    set(testcase, "name", result.id());
    set(testcase, "time", seconds(result.duration_ms));
    switch (result.outcome) {
    case Outcome::passed: break;
    case Outcome::wrong:
    case Outcome::panic:
    case Outcome::crash:
    case Outcome::hang: add_reason(testcase, "failure", result); break;
    case Outcome::error: add_reason(testcase, "error", result); break;
    case Outcome::skipped: {
        pugi::xml_node skipped = testcase.append_child("skipped");
        set(skipped, "message", result.message);
        set_text(skipped, result.message);
        break;
    }
    }
    if (result.outcome == Outcome::passed && result.attempt > 1) {
        set_text(testcase.append_child("system-out"), fmt::format("passed at attempt {}", result.attempt));
    } else if (!result.console.empty()) {
        set_text(testcase.append_child("system-out"), result.console);
    }
}

void add_suite(pugi::xml_node root, const RunReport& report, const Target& target) {
    const Counts counts = count(report, &target);
    pugi::xml_node suite = root.append_child("testsuite");
    set(suite, "name", target.name());
    set(suite, "tests", std::to_string(counts.tests));
    set(suite, "failures", std::to_string(counts.failures));
    set(suite, "errors", std::to_string(counts.errors));
    set(suite, "skipped", std::to_string(counts.skipped));
    set(suite, "time", seconds(counts.duration_ms));
    set(suite, "timestamp", fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(report.started)));
    set(suite, "hostname", report.host);
    pugi::xml_node properties = suite.append_child("properties");
    const auto add = [&properties](const char* name, std::string_view value) {
        if (value.empty()) { return; }
        pugi::xml_node property = properties.append_child("property");
        set(property, "name", name);
        set(property, "value", value);
    };
    add("hypervisor", target.hypervisor);
    add("hypervisor.version", target.version);
    add("hypervisor.program", target.program);
    add("accel", target.accel);
    add("kernel", target.kernel);
    add("unusable", target.unusable);
    add("host", report.host_summary);
    add("microvm-test.version", report.program_version);
    for (const CaseResult& result : report.results) {
        if (result.target == target.name()) { add_case(suite, result); }
    }
}

} // namespace

std::string junit_xml(const RunReport& report) {
    pugi::xml_document document;
    pugi::xml_node declaration = document.append_child(pugi::node_declaration);
    declaration.append_attribute("version") = "1.0";
    declaration.append_attribute("encoding") = "UTF-8";
    const Counts counts = count(report, nullptr);
    pugi::xml_node root = document.append_child("testsuites");
    set(root, "name", "microvm-test");
    set(root, "time", seconds(report.duration_ms));
    set(root, "tests", std::to_string(counts.tests));
    set(root, "failures", std::to_string(counts.failures));
    set(root, "errors", std::to_string(counts.errors));
    for (const Target& target : report.targets) { add_suite(root, report, target); }
    std::ostringstream out;
    document.save(out, "  ", pugi::format_default, pugi::encoding_utf8);
    return out.str();
}

} // namespace microvmc::testkit
