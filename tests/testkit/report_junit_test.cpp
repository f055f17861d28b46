#include "testkit/report_junit.h"

#include "runtime/facts/tools.h"
#include "runtime/files.h"
#include "runtime/process.h"
#include "testkit/temporary_directory.h"
#include "tests/testkit/sample_report.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <pugixml.hpp>
#include <set>

namespace microvmc::testkit {
namespace {

/// Why the schema doesn't take it; empty when it does.
std::string invalid(const std::string& xml) {
    const TemporaryDirectory directory;
    const std::string file = directory.path() + "/report.xml";
    write_whole(file, xml, 0644);
    const Ran ran =
        run_program({"xmllint", "--nonet", "--noout", "--schema", TEST_SOURCE_DIR "/tests/testkit/junit-10.xsd", file});
    return ran.status == 0 ? std::string() : ran.err;
}

bool has_xmllint() {
    const char* path = std::getenv("PATH");
    return !find_program("xmllint", path == nullptr ? "" : path).empty();
}

TEST(JUnit, IsValid) {
    if (!has_xmllint()) { GTEST_SKIP() << "xmllint is not installed (libxml2-utils)"; }
    EXPECT_EQ(invalid(junit_xml(sample_report())), "");
    EXPECT_EQ(invalid(junit_xml(hostile_report())), "");
    EXPECT_EQ(invalid(junit_xml({})), "");
    // The schema is one that refuses.
    EXPECT_NE(invalid("<testsuites><testsuite name='x'/></testsuites>"), "");
}

pugi::xml_document parsed(const RunReport& report) {
    pugi::xml_document document;
    EXPECT_TRUE(document.load_string(junit_xml(report).c_str()));
    return document;
}

TEST(JUnit, ATestsuiteIsATarget) {
    const RunReport report = sample_report();
    const pugi::xml_document document = parsed(report);
    const pugi::xml_node root = document.child("testsuites");
    EXPECT_EQ(root.attribute("tests").as_uint(), report.results.size());
    EXPECT_EQ(root.attribute("failures").as_uint(), 4U);
    EXPECT_EQ(root.attribute("errors").as_uint(), 1U);
    EXPECT_STREQ(root.attribute("time").value(), "83.402");
    std::vector<std::string> names;
    for (const pugi::xml_node suite : root.children("testsuite")) {
        names.emplace_back(suite.attribute("name").value());
    }
    EXPECT_EQ(names, (std::vector<std::string>{"qemu:tcg", "qemu:kvm vmlinux-6.12", "firecracker"}));

    const pugi::xml_node suite = root.child("testsuite");
    EXPECT_STREQ(suite.attribute("tests").value(), "5");
    EXPECT_STREQ(suite.attribute("failures").value(), "3");
    EXPECT_STREQ(suite.attribute("errors").value(), "0");
    EXPECT_STREQ(suite.attribute("skipped").value(), "1");
    EXPECT_STREQ(suite.attribute("time").value(), "66.708");
    EXPECT_STREQ(suite.attribute("timestamp").value(), "2026-11-18T11:06:40");
    EXPECT_STREQ(suite.attribute("hostname").value(), "nas1");
    const auto property = [&](const char* name) {
        return std::string(suite.child("properties").find_child_by_attribute("name", name).attribute("value").value());
    };
    EXPECT_EQ(property("hypervisor"), "qemu");
    EXPECT_EQ(property("hypervisor.version"), "7.2.22");
    EXPECT_EQ(property("accel"), "tcg");
    EXPECT_EQ(property("microvm-test.version"), "0.1.0");
    EXPECT_EQ(property("host"), report.host_summary);
}

pugi::xml_node find(const pugi::xml_document& document, const std::string& classname, const std::string& name) {
    const pugi::xml_node found = document.find_node([&](const pugi::xml_node& node) {
        return std::string_view(node.name()) == "testcase" && node.attribute("classname").value() == classname &&
               node.attribute("name").value() == name;
    });
    EXPECT_TRUE(found) << classname << ' ' << name;
    return found;
}

TEST(JUnit, ATestcaseSaysHowItWent) {
    const pugi::xml_document document = parsed(sample_report());
    const pugi::xml_node passed = find(document, "qemu:tcg.boot", "boot");
    EXPECT_STREQ(passed.attribute("time").value(), "2.210");
    EXPECT_FALSE(passed.first_child());

    const pugi::xml_node wrong = find(document, "qemu:tcg.volumes", "volumes[fs=ext4,format=raw]");
    EXPECT_STREQ(wrong.child("failure").attribute("type").value(), "wrong");
    EXPECT_STREQ(wrong.child("failure").attribute("message").value(), "step 1: expected 3, got 4");
    const std::string text = wrong.child("failure").text().get();
    for (const char* part : {"step 1: expected 3, got 4\n", "1.310 s  step 1: guest sha256sum",
                             "-append 'console=ttyS0 panic=-1'", "artifacts: /tmp/microvm-test/"}) {
        EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
    }
    EXPECT_TRUE(text.ends_with("\nat (specs/volumes.toml:31:1)\n")) << text;
    EXPECT_EQ(text.find("microvmc: ready"), std::string::npos) << "reporters show system-out beside it";
    EXPECT_NE(std::string(wrong.child("system-out").text().get()).find("microvmc: ready"), std::string::npos);

    const auto type = [&](const char* classname, const char* name, const char* child) {
        return std::string(find(document, classname, name).child(child).attribute("type").value());
    };
    EXPECT_EQ(type("qemu:tcg.ends", "ends[ending=panic]", "failure"), "panic");
    EXPECT_EQ(type("qemu:kvm vmlinux-6.12.ends", "ends[ending=panic]", "failure"), "crash");
    EXPECT_EQ(type("qemu:tcg.ends", "ends[ending=stop]", "failure"), "hang");
    EXPECT_EQ(type("qemu:kvm vmlinux-6.12.ends", "ends[ending=stop]", "error"), "error");

    const pugi::xml_node skipped = find(document, "firecracker.boot", "boot");
    EXPECT_STREQ(skipped.child("skipped").attribute("message").value(), "firecracker is not installed");
    EXPECT_STREQ(skipped.child("skipped").text().get(), "firecracker is not installed");
    EXPECT_STREQ(find(document, "qemu:kvm vmlinux-6.12.boot", "boot").child("system-out").text().get(),
                 "passed at attempt 2");
}

TEST(JUnit, EachCaseIsTheOnlyOneOfItsName) {
    // GitLab drops all but the first of those with one classname and name.
    std::set<std::pair<std::string, std::string>> names;
    const RunReport report = sample_report();
    const pugi::xml_document document = parsed(report);
    for (const pugi::xml_node suite : document.child("testsuites").children("testsuite")) {
        for (const pugi::xml_node testcase : suite.children("testcase")) {
            names.emplace(testcase.attribute("classname").value(), testcase.attribute("name").value());
        }
    }
    EXPECT_EQ(names.size(), report.results.size());
}

TEST(JUnit, WhatAGuestSaysIsReadBackAsText) {
    const pugi::xml_document document = parsed(hostile_report());
    const pugi::xml_node failure =
        document.find_node([](const pugi::xml_node& node) { return std::string_view(node.name()) == "failure"; });
    const std::string message = failure.attribute("message").value();
    EXPECT_NE(message.find("\\x1b[31m</script>]]><b a='\"'>&amp;\\x00\\x01\\x7f"), std::string::npos) << message;
    EXPECT_NE(message.find("h\xc3\xa4t \xf0\x9f\x90\xa7\\r\\n\\ttab"), std::string::npos) << message;
    EXPECT_NE(std::string(failure.text().get()).find("</script>]]><b"), std::string::npos);
}

} // namespace
} // namespace microvmc::testkit
