// A run that is made up, to look at what a person sees of one:
// testkit_demo [SPECS] [TARGETS] [MILLISECONDS A CASE] [HTML FILE]

#include "testkit/coverage_text.h"
#include "testkit/report_html.h"
#include "testkit/show_progress.h"
#include "tests/testkit/sample_report.h"

#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <random>
#include <thread>
#include <unistd.h>

using namespace microvmc::testkit;

namespace {

int number(int argc, char** argv, int index, int otherwise) {
    return argc > index ? std::atoi(argv[index]) : otherwise;
}

} // namespace

int main(int argc, char** argv) {
    const int specs = number(argc, argv, 1, 8);
    const int hypervisors = number(argc, argv, 2, 3);
    const int milliseconds = number(argc, argv, 3, 400);
    const std::vector<std::string> names{"boot",      "ends",   "kernel-params", "memory-and-processors",
                                         "volumes",   "shares", "console",       "forwards",
                                         "templates", "plan"};
    const std::vector<std::string> all{"qemu",       "firecracker", "cloud-hypervisor", "crosvm", "kvmtool",
                                       "stratovirt", "alioth"};

    RunReport report = sample_report();
    report.results.clear();
    report.targets.clear();
    for (int i = 0; i < hypervisors; ++i) {
        Target target;
        target.hypervisor = all[static_cast<std::size_t>(i) % all.size()];
        target.accel = i % 2 == 0 ? "tcg" : "kvm";
        if (i == 2) { target.unusable = "cloud-hypervisor is not installed"; }
        report.targets.push_back(target);
    }
    std::vector<Planned> cases;
    for (int i = 0; i < specs; ++i) {
        const std::string spec =
            names[static_cast<std::size_t>(i) % names.size()] + (i < 10 ? "" : fmt::format("-{}", i / 10));
        for (int k = 0; k < 1 + i % 4; ++k) {
            for (const Target& target : report.targets) {
                cases.push_back({spec, k == 0 ? "" : fmt::format("fs=ext4,format=raw,size={}", k), target.name()});
            }
        }
    }

    const std::unique_ptr<Progress> progress = show_progress(STDOUT_FILENO, false, true);
    progress->begin(report.targets, cases);
    std::mt19937 random(7);
    const RunReport sample = sample_report();
    constexpr std::size_t jobs = 3;
    for (std::size_t next = 0; next < cases.size(); next += jobs) {
        const std::size_t end = std::min(next + jobs, cases.size());
        const auto skipped = [&](const Planned& each) { return each.target.starts_with("cloud-hypervisor"); };
        for (std::size_t i = next; i < end; ++i) {
            if (!skipped(cases[i])) { progress->started(cases[i]); }
        }
        for (std::size_t i = next; i < end; ++i) {
            CaseResult result = sample.results[0];
            if (skipped(cases[i])) {
                result = sample.results[2];
                result.message = report.targets[2].unusable;
            } else {
                for (int t = 0; t < 1 + static_cast<int>(random() % 6); ++t) {
                    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds / 4));
                    progress->tick();
                }
                if (random() % 12 == 0) { result = sample.results[random() % 2 == 0 ? 3 : 9]; }
            }
            result.spec = cases[i].spec;
            result.name = cases[i].name;
            result.target = cases[i].target;
            report.results.push_back(result);
            progress->finished(result);
        }
    }
    progress->end(report);
    std::cout << '\n' << coverage_text(report.coverage, {.width = 100, .height = 24, .colour = false});
    if (argc > 4) { std::ofstream(argv[4]) << html_page(report); }
    return 0;
}
