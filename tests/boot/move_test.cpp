// A machine moves from one hypervisor to another by the line that names it, with its volume, and back again.

#include "tests/boot/guest.h"
#include "tests/boot/on_kvm.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace microvmc::boot {

namespace {

using namespace std::chrono_literals;

constexpr OnKvm qemu{"qemu", "qemu-system-x86_64", ""}; // which takes any host, and the host's own kernel

using Pair = std::pair<OnKvm, OnKvm>;

std::vector<Pair> pairs() {
    std::vector<OnKvm> all{qemu};
    all.insert(all.end(), all_on_kvm.begin(), all_on_kvm.end());
    std::vector<Pair> made;
    for (std::size_t i = 0; i < all.size(); ++i) {
        for (std::size_t j = i + 1; j < all.size(); ++j) { made.emplace_back(all[i], all[j]); }
    }
    return made;
}

std::string name_of(const ::testing::TestParamInfo<Pair>& info) {
    std::string name = fmt::format("{}_{}", info.param.first.name, info.param.second.name);
    std::erase(name, '-');
    return name;
}

class Moves : public OneMachine, public ::testing::WithParamInterface<Pair> {
protected:
    void move_to(const OnKvm& hypervisor) const {
        std::string text =
            fmt::format("name = \"c\"\n[vm.a]\nmem = \"192MiB\"\nhypervisor = \"{}\"\n", hypervisor.name);
        if (const std::string kernel = kernel_of(hypervisor); !kernel.empty()) {
            text += fmt::format("kernel = \"{}\"\n", kernel);
        }
        cli.write("microvm.toml", text + "volumes.data = { size = \"64MiB\", mount-point = \"/data\" }\n");
        const Ran ran = cli.run({"apply", "--yes", "microvm.toml"}, 6min);
        ASSERT_EQ(ran.status, 0) << ran.out << ran.err << cli.run({"logs", "-p", "c"}).out;
    }

private:
    static std::string kernel_of(const OnKvm& hypervisor) {
        return hypervisor.name == std::string(qemu.name) ? std::string() : kernel_for(hypervisor);
    }
};

} // namespace

TEST_P(Moves, ThereAndBack) {
    const auto& [one, other] = GetParam();
    for (const OnKvm& each : {one, other}) {
        if (each.name == std::string(qemu.name)) { continue; }
        if (const std::string why = unusable(each); !why.empty()) { GTEST_SKIP() << why; }
    }
    std::string said;
    for (const OnKvm& each : {one, other, one}) {
        SCOPED_TRACE(fmt::format("to {}", each.name));
        ASSERT_NO_FATAL_FAILURE(move_to(each));
        EXPECT_EQ(status().at("plan").at("hypervisor"), each.name);
        EXPECT_EQ(guest("touch /data/moves; cat /data/moves"), said);
        const std::string line = fmt::format("{} was here\n", each.name);
        guest(fmt::format("echo {} was here >> /data/moves", each.name));
        said += line;
    }
}
INSTANTIATE_TEST_SUITE_P(Hypervisors, Moves, ::testing::ValuesIn(pairs()), name_of);

} // namespace microvmc::boot
