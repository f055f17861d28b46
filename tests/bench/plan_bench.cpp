// What `plan --json` of a big file costs, against a bare toml++ parse of the same text: each a process of its own
// from exec to exit. ci/bench runs it. Least times of several rounds, taken in turns: what else the machine does only
// adds to them.

#include "runtime/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

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

/// A directory of files, and of microvmc's state, that goes with it.
class Place {
public:
    Place() : path_(std::filesystem::temp_directory_path() / fmt::format("microvmc-bench-{}", ::getpid())) {
        std::filesystem::create_directories(path_ + "/www");
        ::setenv("MICROVMC_STATE_DIR", (path_ + "/state").c_str(), 1);
        ::setenv("MICROVMC_RUNTIME_DIR", (path_ + "/run").c_str(), 1);
    }
    ~Place() { std::filesystem::remove_all(path_); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    [[nodiscard]] std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(path_ + "/" + name) << text;
        return path_ + "/" + name;
    }

private:
    std::string path_;
};

/// Milliseconds from exec to exit; what it prints goes nowhere.
double run(std::vector<std::string> words) {
    words.front() = TEST_BINARY_DIR "/" + words.front();
    std::vector<char*> argv;
    for (std::string& word : words) { argv.push_back(word.data()); }
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid = 0;
    int status = 1;
    const auto begin = Clock::now();
    if (::posix_spawn(&pid, argv.front(), &actions, nullptr, argv.data(), environ) == 0) { ::waitpid(pid, &status, 0); }
    const double ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
    ::posix_spawn_file_actions_destroy(&actions);
    if (status != 0) {
        fmt::print(stderr, "bench: {} failed\n", words.front());
        std::exit(1);
    }
    return ms;
}

int measure() {
    const Place place;
    const std::string text = project(1'000);
    const std::string thousand = place.write("1000.toml", text);
    const std::string ten_thousand = place.write("10000.toml", project(10'000));
    const auto plan = [](const std::string& file) { return run({"runtime/microvmc", "plan", "--json", file}); };
    plan(thousand); // the host's facts are gathered
    constexpr double longest = 1e9;
    double parse_ms = longest;
    double plan_ms = longest;
    double big_ms = longest;
    for (int round = 0; round < 30; ++round) {
        parse_ms = std::min(parse_ms, run({"tests/bare_parse", thousand}));
        plan_ms = std::min(plan_ms, plan(thousand));
        if (round % 3 == 0) { big_ms = std::min(big_ms, plan(ten_thousand)); }
    }
    const double over_parse = plan_ms / parse_ms;
    const double over_thousand = big_ms / plan_ms;
    fmt::print(
        "{}",
        render_table(
            {{"WHAT | BASELINE", "OURS", "BASELINE", "BOUND"},
             {fmt::format("plan of 1,000 VMs ({} kB) as JSON | bare toml++ parse", text.size() / 1000),
              fmt::format("{:.1f} ms", plan_ms), fmt::format("{:.1f} ms", parse_ms),
              fmt::format("{}{:.2f} times, at most 3", over_parse <= 3 ? "" : "OVER: ", over_parse)},
             {"plan of 10,000 VMs | of 1,000", fmt::format("{:.1f} ms", big_ms), fmt::format("{:.1f} ms", plan_ms),
              fmt::format("{}{:.2f} times, at most 11", over_thousand <= 11 ? "" : "OVER: ", over_thousand)}},
            false));
    return over_parse <= 3 && over_thousand <= 11 ? 0 : 1;
}

} // namespace

} // namespace microvmc

int main() {
    return microvmc::measure();
}
