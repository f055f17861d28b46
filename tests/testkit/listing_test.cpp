#include "testkit/listing.h"

#include "runtime/backend.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

// What --list shows.

namespace microvmc::testkit {

using ::testing::HasSubstr;
using ::testing::Not;

namespace {

class Listing : public ::testing::Test {
protected:
    Listing() {
        specs_.sources.files.push_back({.path = "specs/a.toml", .directory = "/specs", .text = ""});
        Case& one = specs_.cases.emplace_back();
        one.spec = "a";
        one.name = "x=1";
        one.proves = {"volume.raw", "pause"};
        Case& two = specs_.cases.emplace_back();
        two.spec = "b";
        two.config.vms.resize(1);
        two.config.vms[0].needs = {{"share.dax", {}}};
        for (const char* accel : {"tcg", "kvm"}) {
            Target& target = targets_.emplace_back();
            target.hypervisor = "qemu";
            target.accel = accel;
        }
        targets_[1].unusable = "KVM doesn't work here";
    }

    Specs specs_;
    std::vector<Target> targets_;
    const std::vector<Combination> all_{{0, 0}, {0, 1}, {1, 0}};
};

} // namespace

TEST_F(Listing, HasALineForEachWithTheReasonToSkipIt) {
    const std::string text = listing_text(specs_, targets_, all_, all_traits(), false);
    EXPECT_THAT(text, HasSubstr("a[x=1]  qemu:tcg  volume.raw pause"));
    EXPECT_THAT(text, HasSubstr("a[x=1]  qemu:kvm  volume.raw pause  KVM doesn't work here"));
    EXPECT_THAT(text, HasSubstr("not with QEMU: "));
    EXPECT_THAT(text, Not(HasSubstr("\033"))) << "colours only where they are wanted";
}

TEST_F(Listing, AsJsonEachCaseHasItsTargets) {
    const auto json = nlohmann::json::parse(listing_json(specs_, targets_, all_, all_traits()));
    ASSERT_EQ(json.at("cases").size(), 2U);
    const auto& one = json["cases"][0];
    EXPECT_EQ(one.at("id"), "a[x=1]");
    ASSERT_EQ(one.at("targets").size(), 2U);
    EXPECT_FALSE(one["targets"][0].contains("skipped"));
    EXPECT_EQ(one["targets"][1].at("skipped"), "KVM doesn't work here");
    EXPECT_EQ(json["cases"][1].at("needs"), nlohmann::json({"share.dax"}));
    EXPECT_THAT(json["cases"][1]["targets"][0].at("skipped").get<std::string>(), HasSubstr("not with QEMU"));
}

} // namespace microvmc::testkit
