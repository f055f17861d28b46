#include "testkit/report_html.h"

#include "tests/testkit/sample_report.h"

#include <gtest/gtest.h>
#include <pugixml.hpp>
#include <set>

namespace microvmc::testkit {
namespace {

/// The page is XML as well, so that a parser that refuses says whether anything a guest said got out of its place.
pugi::xml_document parsed(const RunReport& report) {
    pugi::xml_document document;
    const std::string page = html_page(report);
    const pugi::xml_parse_result result = document.load_string(page.c_str(), pugi::parse_full | pugi::parse_ws_pcdata);
    EXPECT_TRUE(result) << result.description() << ": " << page.substr(static_cast<std::size_t>(result.offset), 100);
    return document;
}

std::string all_text(const pugi::xml_node& node) {
    std::string text = node.value();
    for (const pugi::xml_node child : node.children()) { text += all_text(child); }
    return text;
}

std::vector<pugi::xml_node> all(const pugi::xml_node& under, std::string_view name) {
    std::vector<pugi::xml_node> found;
    for (const pugi::xml_node child : under.children()) {
        if (child.name() == name) { found.push_back(child); }
        for (const pugi::xml_node each : all(child, name)) { found.push_back(each); }
    }
    return found;
}

TEST(HtmlPage, NeedsNothingElse) {
    const std::set<std::string> elements{"html",  "head",    "meta",    "title", "style", "body", "h1",
                                         "h2",    "h3",      "p",       "ul",    "li",    "b",    "div",
                                         "table", "thead",   "tbody",   "tr",    "th",    "td",   "a",
                                         "span",  "details", "summary", "br",    "code",  "pre"};
    const std::set<std::string> attributes{"lang",  "xmlns", "charset", "name", "content", "http-equiv",
                                           "class", "id",    "href",    "open", "title",   "colspan"};
    struct Walker : pugi::xml_tree_walker {
        bool for_each(pugi::xml_node& node) override {
            if (node.type() != pugi::node_element) { return true; }
            names.emplace(node.name());
            for (const pugi::xml_attribute attribute : node.attributes()) {
                attributes.emplace(attribute.name());
                if (std::string_view(attribute.name()) == "href") { links.emplace(attribute.value()); }
                if (std::string_view(attribute.name()) == "id") { ids.emplace(attribute.value()); }
            }
            return true;
        }
        std::set<std::string> names, attributes, links, ids;
    };
    for (const RunReport& report : {sample_report(), hostile_report(), RunReport{}}) {
        pugi::xml_document document = parsed(report);
        Walker walker;
        document.traverse(walker);
        for (const std::string& name : walker.names) { EXPECT_TRUE(elements.contains(name)) << name; }
        for (const std::string& name : walker.attributes) { EXPECT_TRUE(attributes.contains(name)) << name; }
        for (const std::string& link : walker.links) {
            EXPECT_TRUE(link.starts_with('#') && walker.ids.contains(link.substr(1))) << link;
        }
    }
    const std::string page = html_page(sample_report());
    EXPECT_TRUE(page.starts_with("<!DOCTYPE html>\n"));
    EXPECT_EQ(page.find("url("), std::string::npos);
    EXPECT_EQ(page.find("@import"), std::string::npos);
}

TEST(HtmlPage, HasEachFailureWithAllThatIsKnownOfIt) {
    const RunReport report = sample_report();
    const pugi::xml_document document = parsed(report);
    std::size_t failures = 0;
    for (const pugi::xml_node details : all(document, "details")) {
        if (std::string_view(details.attribute("id").value()) == "case-4") {
            const std::string text = all_text(details);
            for (const char* part :
                 {"wrong", "volumes[fs=ext4,format=raw]", "qemu:tcg", "step 1: expected 3, got 4",
                  "specs/volumes.toml:31:1", "step 1: guest sha256sum /data/blob", "1.310 s",
                  "-append 'console=ttyS0 panic=-1'", "microvmc: ready", "/tmp/microvm-test/volumes"}) {
                EXPECT_NE(text.find(part), std::string::npos) << part << " is not in " << text;
            }
        }
        failures += details.attribute("id") ? 1 : 0;
    }
    EXPECT_EQ(failures, 5U);
}

TEST(HtmlPage, ShowsTheMatrix) {
    const pugi::xml_document document = parsed(sample_report());
    const pugi::xml_node table = all(document, "table").front();
    std::vector<std::vector<std::string>> cells;
    for (const pugi::xml_node row : all(table, "tr")) {
        std::vector<std::string>& texts = cells.emplace_back();
        for (const pugi::xml_node cell : row.children()) { texts.push_back(all_text(cell)); }
    }
    const std::vector<std::vector<std::string>> expected{
        {"spec", "qemu:tcg", "qemu:kvm vmlinux-6.12", "firecracker"},
        {"boot", "1 ok 2.2 s", "1 ok 2.4 s", "skip"},
        {"volumes", "1 FAIL, 1 skip 1.4 s", "1 ok, 1 skip 0.3 s", "skip"},
        {"ends", "2 FAIL 63.1 s", "2 FAIL 0.9 s", "skip"}};
    EXPECT_EQ(cells, expected);
}

TEST(HtmlPage, SaysWhatWasSkippedCoveredAndUsed) {
    const std::string text = all_text(parsed(sample_report()));
    for (const char* part :
         {"qemu: microvmc makes no xfs yet", "firecracker is not installed", "share.9p",
          "shares[proto=9p], shares[proto=auto]", "excused: KVM can't run cmpxchg16b here", "unproven", "7.2.22",
          "/usr/bin/qemu-system-x86_64", "/home/me/linux/vmlinux-6.12", "2026-11-18 11:06 UTC", "version 0.1.0"}) {
        EXPECT_NE(text.find(part), std::string::npos) << part;
    }
    EXPECT_NE(all_text(parsed({})).find("Nothing ran."), std::string::npos);
}

TEST(HtmlPage, WhatAGuestSaysIsText) {
    const std::string text = all_text(parsed(hostile_report()));
    EXPECT_NE(text.find("\\x1b[31m</script>]]><b a='\"'>&amp;\\x00\\x01\\x7f"), std::string::npos);
    EXPECT_NE(text.find("h\xc3\xa4t \xf0\x9f\x90\xa7"), std::string::npos);
    const std::string page = html_page(hostile_report());
    EXPECT_EQ(page.find("</script"), std::string::npos);
    for (const char c : page) {
        ASSERT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') << int(c);
    }
}

} // namespace
} // namespace microvmc::testkit
