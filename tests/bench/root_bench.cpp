// Making a root of 1 GB from a tar archive, against tar piped into mkfs.erofs in the same run: an mkfs.erofs that takes
// an archive is given it, else tar unpacks it first. Medians of several rounds, the two sides taken in turns.

#include "compiler/identity.h"
#include "runtime/error.h"
#include "runtime/process.h"
#include "runtime/root/directory_source.h"
#include "runtime/root/root_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace microvmc {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int rounds = 5;
constexpr double bound = 1.1;
constexpr long memory_bound_mib = 256;
constexpr std::size_t total_bytes = std::size_t{1} << 30U;

[[noreturn]] void fail(const std::string& why) {
    fmt::print(stderr, "bench_root: {}\n", why);
    std::exit(1);
}

void run(const std::vector<std::string>& argv) {
    RunOptions options;
    options.timeout = std::chrono::minutes(10);
    const Ran ran = run_program(argv, options);
    if (ran.status != 0) { fail(fmt::format("{}: {}", argv.front(), last_words(ran))); }
}

// As a distribution's: most files are small, most bytes are in large ones.
void make_source(const std::string& directory) {
    std::mt19937 random(1);
    std::lognormal_distribution<double> size(8.6, 2.2);
    std::string bytes(std::size_t{32} << 20U, '\0');
    for (char& c : bytes) { c = static_cast<char>(random() >> 8U); }
    std::size_t made = 0;
    for (int i = 0; made < total_bytes; ++i) {
        const std::string below = fmt::format("{}/d{}", directory, i % 500);
        if (i < 500) { fs::create_directories(below); }
        const auto wanted = static_cast<std::size_t>(std::min(size(random), 3.0e7));
        std::ofstream(fmt::format("{}/f{}", below, i), std::ios::binary)
            .write(bytes.data() + random() % (bytes.size() - wanted), static_cast<std::streamsize>(wanted));
        made += wanted;
    }
}

double seconds(const std::function<void()>& work) {
    const auto begin = Clock::now();
    work();
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

// In a process of its own, whose memory is known afterwards.
double ours(const BuildRoot& request, long& peak_mib) {
    fs::remove(request.output);
    return seconds([&] {
        const pid_t child = ::fork();
        if (child == 0) {
            try {
                ::_exit(build_root(request, {}) ? 0 : 1);
            } catch (const Error& error) {
                fmt::print(stderr, "{}\n", error.what());
                ::_exit(1);
            }
        }
        int status = 0;
        rusage usage{};
        ::wait4(child, &status, 0, &usage);
        if (status != 0) { fail("the root was not made"); }
        peak_mib = std::max(peak_mib, usage.ru_maxrss >> 10);
    });
}

double theirs(const std::string& archive, const std::string& directory, bool takes_archives) {
    const std::string image = directory + "/theirs.erofs";
    const std::string tree = directory + "/tree";
    fs::remove(image);
    fs::remove_all(tree);
    return seconds([&] {
        if (takes_archives) {
            run({"mkfs.erofs", "-T0", "--tar=f", image, archive});
        } else {
            fs::create_directory(tree);
            run({"tar", "-C", tree, "-xf", archive});
            run({"mkfs.erofs", "-T0", image, tree});
        }
        run({"sync", image}); // ours is on disk
    });
}

int measure() {
    std::string directory = "/var/tmp/microvmc-bench-XXXXXX";
    if (::mkdtemp(directory.data()) == nullptr) { fail("no directory"); }
    make_source(directory + "/source");
    const std::string archive = directory + "/root.tar";
    run({"tar", "-C", directory + "/source", "-cf", archive, "."});
    fs::remove_all(directory + "/source");
    const bool takes_archives = run_program({"mkfs.erofs", "--help"}).out.find("--tar") != std::string::npos;

    BuildRoot request;
    request.kind = RootPlan::Kind::tar;
    request.source = archive;
    request.fs_type = "erofs";
    request.output =
        fmt::format("{}/{}.erofs", directory, root_key(request.kind, request.fs_type, "", source_identity(archive)));
    std::vector<double> our_times;
    std::vector<double> their_times;
    long peak_mib = 0;
    for (int round = 0; round < rounds; ++round) {
        our_times.push_back(ours(request, peak_mib));
        their_times.push_back(theirs(archive, directory, takes_archives));
    }
    fs::remove_all(directory);
    const double ratio = median(our_times) / median(their_times);
    const bool held = ratio <= bound && peak_mib <= memory_bound_mib;
    fmt::print("a root of 1 GiB from a tar archive | {}mkfs.erofs: {:.2f} s | {:.2f} s, {:.2f} times (at most {}), "
               "{} MiB of memory (at most {}){}\n",
               takes_archives ? "" : "tar, ", median(our_times), median(their_times), ratio, bound, peak_mib,
               memory_bound_mib, held ? "" : "  OVER");
    return held ? 0 : 1;
}

} // namespace

} // namespace microvmc

int main() {
    return microvmc::measure();
}
