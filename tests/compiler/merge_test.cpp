#include "compiler/merge.h"

#include "compiler/schema.h"
#include "tests/compiler/golden.h"
#include "tests/compiler/merged_text.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

namespace microvmc {
namespace {

Node parsed(const std::string& text) {
    Sources sources;
    sources.files.push_back({"microvm.toml", "/", text});
    Diagnostics diagnostics;
    auto document = parse(sources, 0, diagnostics);
    EXPECT_TRUE(document) << text << render_text(diagnostics, sources, false);
    return document ? std::move(document->root) : Node{.span = {}, .route = 0, .replaces = false, .value = Table{}};
}

TEST(Merge, NearerWinsAndTablesMergeDeeply) {
    const Node merged = over(parsed("[vm.a]\nvcpu = 2\nvolumes.d.size = 2\n"),
                             parsed("[vm.a]\nmem = 1\nvcpu = 1\nvolumes.d = { size = 1, label = 'x' }\n"));
    EXPECT_EQ(shown(merged), "{vm:{a:{mem:1,vcpu:2,volumes:{d:{size:2,label:'x',},},},},}");
}

TEST(Merge, DotsStandForWhatIsInherited) {
    EXPECT_EQ(shown(over(parsed("vm.a.kernel-params = ['x', '...', 'y']"), parsed("vm.a.kernel-params = ['a', 'b']"))),
              "{vm:{a:{kernel-params:['x','a','b','y',],},},}");
    EXPECT_EQ(shown(over(parsed("vm.a.kernel-params = ['x']"), parsed("vm.a.kernel-params = ['a', 'b']"))),
              "{vm:{a:{kernel-params:['x',],},},}");
}

TEST(Merge, AChoiceIsReplacedWhole) {
    EXPECT_EQ(shown(over(parsed("vm.a.root.oci = 'x'"), parsed("vm.a.root = { dir = 'd', overlay = 'tmpfs' }"))),
              "{vm:{a:{root:{oci:'x',},},},}");
    EXPECT_EQ(shown(over(parsed("vm.a.root.overlay = 'none'"), parsed("vm.a.root = { dir = 'd', overlay = 'tmpfs' }"))),
              "{vm:{a:{root:{dir:'d',overlay:'none',},},},}");
    EXPECT_EQ(shown(over(parsed("vm.a.credentials.p.env = 'X'"), parsed("vm.a.credentials.p.file = 'f'"))),
              "{vm:{a:{credentials:{p:{env:'X',},},},},}");
}

TEST(Merge, CollectionsMergeByNameInBothForms) {
    EXPECT_EQ(shown(over(parsed("[[vm.a.volumes]]\nname = 'd'\nsize = 2\n[[vm.a.volumes]]\nsize = 3\n"),
                         parsed("vm.a.volumes = { d = { size = 1, label = 'l' }, e = { size = 4 } }"))),
              "{vm:{a:{volumes:{d:{size:2,label:'l',},e:{size:4,},:{size:3,},},},},}");
}

TEST(Merge, AHypervisorsTableMergesDeeply) {
    EXPECT_EQ(shown(over(parsed("vm.a.qemu.extra-args = ['...', 'b']"),
                         parsed("vm.a.qemu = { program = 'p', extra-args = ['a'] }"))),
              "{vm:{a:{qemu:{program:'p',extra-args:['a','b',],},},},}");
}

/// A layer at random, of keys that merge in each of the ways.
std::string random_layer(std::mt19937& random) {
    const auto pick = [&random](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    std::string text;
    for (const char* vm : {"a", "b"}) {
        if (pick(4) == 0) { continue; }
        text += fmt::format("[vm.{}]\n", vm);
        if (pick(2) == 0) { text += fmt::format("mem = {}\n", 16 + pick(100)); }
        if (pick(2) == 0) {
            text += fmt::format("kernel-params = [{}'p{}', {}]\n", pick(2) == 0 ? "'...', " : "", pick(9),
                                pick(3) == 0 ? "" : "'q'");
        }
        if (pick(2) == 0) { text += pick(2) == 0 ? "root.host = true\n" : "root.overlay = 'none'\n"; }
        if (pick(2) == 0) { text += fmt::format("env.A = 'v{}'\n", pick(9)); }
        if (pick(5) == 0) { text += "env.B = false\n"; }
        const int volumes = pick(4);
        if (volumes == 0) { text += fmt::format("volumes.d = {{ size = {} }}\n", 1 + pick(9)); }
        if (volumes == 1) { text += "volumes.d = false\n"; }
        if (volumes == 2) {
            text += fmt::format("volumes = [{{ name = 'd', label = 'l{}' }}, {{ size = 2 }}]\n", pick(9));
        }
        if (pick(3) == 0) { text += fmt::format("forward-ports = ['80{}:80']\n", 10 + pick(90)); }
        if (pick(4) == 0) { text += fmt::format("qemu.extra-args = ['...', '{}']\n", pick(9)); }
    }
    return text;
}

TEST(Merge, IsAssociative) {
    std::mt19937 random(20261123);
    for (int i = 0; i < 2000; ++i) {
        const std::string a = random_layer(random);
        const std::string b = random_layer(random);
        const std::string c = random_layer(random);
        const Node left = over(parsed(c), over(parsed(b), parsed(a)));
        const Node right = over(over(parsed(c), parsed(b)), parsed(a));
        ASSERT_EQ(shown(left), shown(right)) << "--- a\n" << a << "--- b\n" << b << "--- c\n" << c;
    }
}

TEST(Include, IsMergedBeforeAndOnce) {
    Sources sources;
    sources.files.push_back(
        {"main.toml", "/p", "include = ['conf.d/*.toml']\n[vm.a]\nvcpu = 3\nkernel-params = ['...', 'main']\n"});
    int reads = 0;
    const IncludeReader read = [&reads](const std::string& pattern) {
        ++reads;
        EXPECT_EQ(pattern, reads == 1 ? "/p/conf.d/*.toml" : "/p/conf.d/common.toml");
        Included found;
        if (reads == 1) {
            found.files.push_back({"conf.d/a.toml", "/p/conf.d",
                                   "include = ['common.toml']\n[vm.a]\nmem = 64\nkernel-params = ['...', 'a']\n"});
        }
        found.files.push_back({"conf.d/common.toml", "/p/conf.d", "[vm.a]\nmem = 32\nkernel-params = ['common']\n"});
        return found;
    };
    Diagnostics diagnostics;
    const auto config = load(sources, {}, diagnostics, read);
    ASSERT_TRUE(config) << render_text(diagnostics, sources, false);
    EXPECT_EQ(sources.files.size(), 3U);
    const VmConfig& vm = config->vms.at(0);
    EXPECT_EQ(vm.vcpu.value, 3);
    EXPECT_EQ(vm.mem.value, 64);
    ASSERT_EQ(vm.kernel_params.size(), 3U);
    EXPECT_EQ(vm.kernel_params[0].value, "common");
    EXPECT_EQ(vm.kernel_params[2].value, "main");
}

TEST(Include, PathsAreShownAsThoseOfTheIncludingFile) {
    const auto shown = [](const std::string& path, const std::string& directory, const std::string& said) {
        Sources sources;
        sources.files.push_back({path, directory, "include = ['" + said + "']"});
        Diagnostics diagnostics;
        std::string asked;
        load(sources, {}, diagnostics, [&](const std::string& pattern) {
            asked = pattern;
            Included found;
            found.files.push_back({"/p/conf.d/x.toml", "/p/conf.d", "[vm.a]"});
            return found;
        });
        EXPECT_TRUE(sources.files.at(1).included);
        return sources.files.at(1).path + " " + asked;
    };
    EXPECT_EQ(shown("microvm.toml", "/p", "conf.d/x.toml"), "conf.d/x.toml /p/conf.d/x.toml");
    EXPECT_EQ(shown("p/microvm.toml", "/p", "conf.d/x.toml"), "p/conf.d/x.toml /p/conf.d/x.toml");
    EXPECT_EQ(shown("../microvm.toml", "/p", "conf.d/x.toml"), "../conf.d/x.toml /p/conf.d/x.toml");
    EXPECT_EQ(shown("a/b.toml", "/p/a", "../conf.d/x.toml"), "conf.d/x.toml /p/conf.d/x.toml");
    EXPECT_EQ(shown("/p/microvm.toml", "/p", "conf.d/x.toml"), "/p/conf.d/x.toml /p/conf.d/x.toml");
    EXPECT_EQ(shown("microvm.toml", "/p", "/p/conf.d/x.toml"), "/p/conf.d/x.toml /p/conf.d/x.toml");
    // The directory is no pattern, whatever it is called.
    EXPECT_EQ(shown("/p[1]/microvm.toml", "/p[1]", "*.toml"), "/p/conf.d/x.toml /p\\[1]/*.toml");
}

TEST(Include, CyclesAndFailuresAreReported) {
    const IncludeReader read = [](const std::string& pattern) {
        Included found;
        if (pattern == "/p/b.toml") {
            found.files.push_back({"b.toml", "/p", "include = ['main.toml', 'gone.toml']"});
        } else if (pattern == "/p/main.toml") {
            found.files.push_back({"main.toml", "/p", "[vm.a]"});
        } else {
            found.problem = "no such file";
        }
        return found;
    };
    Sources sources;
    sources.files.push_back({"main.toml", "/p", "include = ['b.toml']\n[vm.a]\n"});
    Diagnostics diagnostics;
    EXPECT_FALSE(load(sources, {}, diagnostics, read));
    EXPECT_EQ(render_text(diagnostics, sources, false),
              "error[E0304]: main.toml includes itself\n --> b.toml:1:12\n  |\n1 | include = ['main.toml', "
              "'gone.toml']\n  |            ^^^^^^^^^^^\n\n"
              "error[E0305]: can't include `gone.toml`: no such file\n --> b.toml:1:25\n  |\n1 | include = "
              "['main.toml', 'gone.toml']\n  |                         ^^^^^^^^^^^\n");
}

} // namespace
} // namespace microvmc
