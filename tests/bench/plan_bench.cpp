// What `plan --json` of a big file costs, against a bare toml++ parse of the same text (bare_parse.cpp). ci/bench runs
// it. Medians of several rounds, the two sides taken in turns.

#include "compiler/compile.h"
#include "compiler/diff.h"
#include "runtime/process.h"
#include "runtime/terminal.h"
#include "tests/compiler/golden.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <unistd.h>

namespace microvmc {

namespace {

using Clock = std::chrono::steady_clock;

// A volume, a share and a tap each; what is long about it is what a file written by hand has.
std::string project(int machines) {
    std::string text = "name = \"big\"\n\n[network.lan]\nsubnet = \"10.64.0.0/10\"\n\n";
    for (int i = 0; i < machines; ++i) {
        text += fmt::format("[vm.machine-{0}]\n"
                            "mem = \"1GiB\"\n"
                            "vcpu = 2\n"
                            "volumes.data = {{ image = \"disks/machine-{0}.img\", size = \"10GiB\", mount-point = "
                            "\"/var/lib/data\", label = "
                            "\"data\" }}\n"
                            "shares.www = {{ source = \"www\", mount-point = \"/srv/www\", read-only = true }}\n"
                            "interfaces.lan = {{ type = \"tap\", network = \"lan\" }}\n"
                            "ready.http = \":80/healthz\"\n\n",
                            i);
    }
    return text;
}

void measure(const std::function<void()>& work, std::vector<double>& times) {
    const Clock::time_point begin = Clock::now();
    work();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
}

double median(std::vector<double>& times) {
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

std::size_t plan(const std::string& text, std::span<const Traits> traits, const HostFacts& facts) {
    Sources sources;
    sources.files.push_back({.path = "microvm.toml", .directory = "/home/me/shop", .text = text});
    Diagnostics diagnostics;
    const std::optional<Config> config = load(sources, traits, diagnostics);
    const Observed observed;
    const std::optional<Plan> plan =
        config ? resolve(*config, sources, traits, facts, observed, {}, diagnostics) : std::nullopt;
    if (!plan) {
        fmt::print(stderr, "bench: {}\n", render_text(diagnostics, sources, false));
        std::exit(1);
    }
    const Changes changes = diff(*plan, observed, sources, diagnostics);
    return to_json_text(*plan).size() + to_json_text(changes).size();
}

double bare_parse(const std::string& file) {
    const Ran ran = run_program({TEST_BINARY_DIR "/tests/bare_parse", file, "5"});
    if (ran.status != 0) {
        fmt::print(stderr, "bench: bare_parse: {}\n", ran.err);
        std::exit(1);
    }
    return std::atof(ran.out.c_str());
}

int run() {
    const std::vector<Traits> traits = golden::whole_traits();
    const HostFacts facts = golden::facts(R"({"uid": 0})");
    const std::string thousand = project(1'000);
    const std::string ten_thousand = project(10'000);
    const std::string file = std::filesystem::temp_directory_path() / fmt::format("microvmc-bench-{}.toml", ::getpid());
    std::ofstream(file) << thousand;
    std::vector<double> parse_times;
    std::vector<double> plan_times;
    std::vector<double> big_times;
    std::size_t bytes = 0;
    // The big one apart: what it leaves of the heap and the caches, no single plan would meet.
    for (int round = 0; round < 9; ++round) {
        parse_times.push_back(bare_parse(file));
        measure([&] { bytes += plan(thousand, traits, facts); }, plan_times);
    }
    for (int round = 0; round < 3; ++round) {
        measure([&] { bytes += plan(ten_thousand, traits, facts); }, big_times);
    }
    std::filesystem::remove(file);
    const double parse_ms = median(parse_times);
    const double plan_ms = median(plan_times);
    const double big_ms = median(big_times);
    const double over_parse = plan_ms / parse_ms;
    const double over_thousand = big_ms / plan_ms;
    const bool held = over_parse <= 3 && over_thousand <= 11;
    fmt::print(
        "{}",
        render_table(
            {{"WHAT | BASELINE", "OURS", "BASELINE", "BOUND"},
             {fmt::format("plan of 1,000 VMs ({} kB) as JSON | bare toml++ parse", thousand.size() / 1000),
              fmt::format("{:.1f} ms", plan_ms), fmt::format("{:.1f} ms", parse_ms),
              fmt::format("{}{:.2f} times, at most 3", over_parse <= 3 ? "" : "OVER: ", over_parse)},
             {"plan of 10,000 VMs | of 1,000", fmt::format("{:.1f} ms", big_ms), fmt::format("{:.1f} ms", plan_ms),
              fmt::format("{}{:.2f} times, at most 11", over_thousand <= 11 ? "" : "OVER: ", over_thousand)}},
            false));
    return held && bytes != 0 ? 0 : 1;
}

} // namespace

} // namespace microvmc

int main() {
    return microvmc::run();
}
