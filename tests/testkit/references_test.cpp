#include "testkit/references.h"

#include "testkit/pattern.h"

#include <gtest/gtest.h>

#include <map>
#include <stdexcept>

namespace microvmc::testkit {
namespace {

std::string replaced(std::string_view text, bool pattern = false) {
    const std::map<std::string, std::string, std::less<>> values{{"a", "1"}, {"b", "${a}"}, {"c", "x.*"}};
    const Lookup lookup = [&](std::string_view name) {
        const auto found = values.find(name);
        return found == values.end() ? std::nullopt : std::optional(found->second);
    };
    return pattern ? substitute_pattern(text, lookup) : substitute(text, lookup);
}

TEST(References, AreReplacedOnceAndOthersStay) {
    EXPECT_EQ(replaced("<${a}|${b}|${z}|$a|${a"), "<1|${a}|${z}|$a|${a");
    EXPECT_EQ(replaced("${a}"), "1");
    EXPECT_EQ(replaced(""), "");
    EXPECT_EQ(replaced("${}${${a}}"), "${}${${a}}");
}

TEST(References, InAPatternStandForTheirText) {
    EXPECT_EQ(replaced("^${c}$", true), "^x\\.\\*$");
    EXPECT_EQ(replaced("${c}", true), "x.*");
    std::string problem;
    const auto quoted = Pattern::compile("^" + pattern_quoted("a^$.|?*+()[]{}/-\\b") + "$", problem);
    ASSERT_TRUE(quoted) << problem;
    EXPECT_TRUE(quoted->find("a^$.|?*+()[]{}/-\\b"));
}

TEST(Pattern, LinesAndGroups) {
    std::string problem;
    const auto find = [&](std::string_view expression, std::string_view text) {
        const auto pattern = Pattern::compile(expression, problem);
        EXPECT_TRUE(pattern) << problem;
        return pattern ? pattern->find(text).value_or("nothing") : "";
    };
    EXPECT_EQ(find("^b.$", "a1\nb2\nc3"), "b2");
    EXPECT_EQ(find("a.b", "a\nb"), "nothing");
    EXPECT_EQ(find("size (\\d+)", "size 12 k"), "12");
    EXPECT_EQ(find("x(y)?", "x"), "");
    EXPECT_EQ(find("x", std::string("\0x", 2)), "x");
    EXPECT_FALSE(Pattern::compile("(", problem));
    EXPECT_EQ(problem, "Unmatched marking parenthesis ( or \\(");
}

TEST(Pattern, AGuestsTextCannotExhaustTheHost) {
    std::string problem;
    const auto pattern = Pattern::compile("(a*)*c", problem);
    ASSERT_TRUE(pattern);
    EXPECT_THROW(static_cast<void>(pattern->find(std::string(1'000'000, 'a'))), std::runtime_error);
    EXPECT_FALSE(Pattern::compile(std::string(100'000, '('), problem));
}

Plan plan() {
    Plan plan;
    VmPlan& vm = plan.vms.emplace_back();
    vm.name = "a";
    vm.mem_mib = 256;
    vm.kernel.params = {"quiet", "x=a b"};
    vm.volumes.emplace_back().name = "data";
    vm.volumes.back().image = "/data.img";
    InterfacePlan& interface = vm.interfaces.emplace_back();
    interface.name = "user";
    interface.addresses = {"10.0.2.15/24"};
    ForwardPlan& forward = interface.forwards.emplace_back();
    forward.name = "80";
    forward.host_port = 20000;
    return plan;
}

TEST(PlanValues, AreFoundByName) {
    const auto value = [](std::string_view name) { return plan_value(plan(), name).value_or("nothing"); };
    EXPECT_EQ(value("vm.a.mem"), "256");
    EXPECT_EQ(value("vm.a.kernel-params"), "quiet \"x=a b\"");
    EXPECT_EQ(value("vm.a.volumes.data.image"), "/data.img");
    EXPECT_EQ(value("vm.a.interfaces.user.address"), "10.0.2.15");
    EXPECT_EQ(value("vm.a.forward-ports.80.host.port"), "20000");
    for (const char* name : {"vm.b.mem", "vm.a", "vm.", "vm.a.mems", "vm.a.volumes", "vm.a.volumes.data",
                             "vm.a.volumes.x.image", "vm.a.forward-ports.80", "vm.a.cpu"}) {
        EXPECT_EQ(value(name), "nothing") << name;
    }
    EXPECT_EQ(variable_of("vm.a-1.forward-ports.80.host.port"), "vm_a_1_forward_ports_80_host_port");
}

TEST(PlanValues, AreCheckedBeforeThereIsAPlan) {
    Config config;
    VmConfig& vm = config.vms.emplace_back();
    vm.name.value = "a";
    vm.volumes.emplace_back().name.value = "data";
    vm.forward_ports.emplace_back().name.value = "80";
    const auto problem = [&](std::string_view name) {
        const auto found = check_plan_reference(config, name);
        return found ? found->message + "|" + found->help : "none";
    };
    for (const char* name :
         {"vm.a.mem", "vm.a.volumes.data.image", "vm.a.interfaces.user.mac", "vm.a.forward-ports.80.host.port"}) {
        EXPECT_EQ(problem(name), "none") << name;
    }
    EXPECT_EQ(problem("vm.b.mem"), "there is no VM `b`|there is a");
    EXPECT_EQ(problem("vm.a.memory"), "VM `a` has no value `memory`|did you mean `mem`?");
    EXPECT_EQ(problem("vm.a.volumes.date.image"), "`a` has no volume `date`|did you mean `data`?");
    EXPECT_EQ(problem("vm.a.volumes.data.imag"), "volume `data` has no value `imag`|did you mean `image`?");
    EXPECT_EQ(problem("vm.a.interfaces.lan.mac"), "`a` has no interface `lan`|there is user");
    EXPECT_EQ(problem("vm.a.shares.x.tag"), "`a` has no share `x`|");
    EXPECT_NE(problem("vm.a").find("which value of VM `a` is meant?"), std::string::npos);
    // All that is documented is there.
    for (const PlanValueName& known : plan_value_names()) {
        if (known.name.find('.') == std::string::npos) {
            EXPECT_EQ(problem("vm.a." + known.name), "none") << known.name;
        }
    }
}

} // namespace
} // namespace microvmc::testkit
