// Ratios against a bare QEMU in the same run; ci/bench runs it. Medians of several rounds, the two sides taken in
// turns, so that what else the machine does hits both alike.

#include "compiler/plan.h"
#include "runtime/machine.h"
#include "runtime/observe.h"
#include "runtime/qmp.h"
#include "runtime/terminal.h"
#include "tests/boot/cli.h"

#include <boost/asio.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "runtime/guest/wire.h"

namespace microvmc {

namespace {

using Clock = std::chrono::steady_clock;
using boost::asio::local::stream_protocol;

constexpr int rounds = 15;
constexpr int cases = 12; ///< of specs, two at a time
constexpr const char* work = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
constexpr const char* hello = R"([vm.web]
mem = "256MiB"
command = ["httpd", "-f", "-p", "80", "-h", "/srv/www"]
volumes.data = { size = "64MiB", mount-point = "/data" }
shares.www = { source = "www", proto = "9p", mount-point = "/srv/www", read-only = true }
forward-ports.web.guest.port = 80
)";

double ms_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

[[noreturn]] void fail(const std::string& why) {
    fmt::print(stderr, "bench: {}\n", why);
    std::exit(1);
}

// A bare QEMU: the plan's own command line, started by nobody but us.
class BareQemu {
public:
    explicit BareQemu(const Child& vmm) {
        std::vector<std::string> words = vmm.argv;
        std::vector<char*> argv;
        for (std::string& word : words) { argv.push_back(word.data()); }
        argv.push_back(nullptr);
        pid_ = ::fork();
        if (pid_ == 0) {
            const int null = ::open("/dev/null", O_RDWR);
            for (const int fd : {0, 1, 2}) { ::dup2(null, fd); }
            ::execv(argv[0], argv.data());
            ::_exit(127);
        }
    }
    ~BareQemu() {
        if (pid_ < 0) { return; }
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    /// Until its guest has powered off.
    void await_end() {
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }
    BareQemu(const BareQemu&) = delete;
    BareQemu& operator=(const BareQemu&) = delete;

private:
    pid_t pid_ = -1;
};

// Waits for the init's hello on the agent's socket.
void await_hello(const std::string& path) {
    boost::asio::io_context io;
    stream_protocol::socket socket(io);
    boost::system::error_code error;
    for (int i = 0; i < 5000; ++i) {
        socket.connect(stream_protocol::endpoint(path), error);
        if (!error) { break; }
        socket.close();
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    if (error) { fail("no agent socket: " + error.message()); }
    wire::Decoder decoder;
    std::array<char, 4096> buffer{};
    for (;;) {
        const std::size_t got = socket.read_some(boost::asio::buffer(buffer), error);
        if (error) { fail("the bare guest ended: " + error.message()); }
        decoder.feed(std::string_view(buffer.data(), got));
        while (const auto frame = decoder.next()) {
            if (frame->type == wire::Type::hello) { return; }
        }
    }
}

std::uint64_t pss_kib(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{}/smaps_rollup", pid));
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("Pss:")) { return std::stoull(line.substr(4)); }
    }
    return 0;
}

void must(const Ran& ran) {
    if (ran.status != 0) { fail(ran.out + ran.err); }
}

struct Result {
    std::string what;
    std::string ours;
    std::string baseline;
    std::string verdict;
    bool held;
};

struct Bench {
    boot::Cli cli;
    std::vector<Result> results;

    [[nodiscard]] Launch launch_of(const std::string& project) const {
        return read_launch(project_runtime_dir(cli.runtime(), project) + "/web");
    }
    void apply(const std::string& project, bool wait) const {
        std::vector<std::string> args{"apply", "--yes", "-p", project, "microvm.toml"};
        if (!wait) { args.emplace_back("--no-wait"); }
        must(cli.run(args));
    }
    void stop(const std::string& project) const { must(cli.run({"stop", "--kill", "-p", project})); }

    // From exec of `microvmc apply` until QMP has answered, less the same of a bare QEMU.
    void apply_to_qmp(const Child& vmm, const std::string& socket) {
        std::vector<double> created;
        std::vector<double> started;
        std::vector<double> bare;
        for (int i = 0; i < rounds; ++i) {
            const std::string project = fmt::format("second-{}", i);
            Clock::time_point begin = Clock::now();
            apply(project, false);
            created.push_back(ms_since(begin));
            stop(project);
            begin = Clock::now();
            apply(project, false);
            started.push_back(ms_since(begin));
            stop(project);
            begin = Clock::now();
            const BareQemu qemu(vmm);
            const Qmp qmp(socket, std::chrono::seconds(30));
            bare.push_back(ms_since(begin));
        }
        const auto add = [this, &bare](const char* what, const std::vector<double>& ours) {
            const double over = median(ours) - median(bare);
            results.push_back({what, fmt::format("{:.1f} ms", median(ours)), fmt::format("{:.1f} ms", median(bare)),
                               fmt::format("{:+.1f} ms, at most 25", over), over <= 25});
        };
        add("apply of a known hello VM, exec to QMP | bare QEMU", started);
        add("apply of a new hello VM (its volume made), exec to QMP | bare QEMU", created);
    }

    void apply_to_init(const Child& vmm, const std::string& agent) {
        std::vector<double> ours;
        std::vector<double> bare;
        for (int i = 0; i < rounds; ++i) {
            Clock::time_point begin = Clock::now();
            apply("second-0", true);
            ours.push_back(ms_since(begin));
            stop("second-0");
            begin = Clock::now();
            const BareQemu qemu(vmm);
            await_hello(agent);
            bare.push_back(ms_since(begin));
        }
        const double ratio = median(ours) / median(bare);
        results.push_back({"apply to init running | bare QEMU", fmt::format("{:.0f} ms", median(ours)),
                           fmt::format("{:.0f} ms", median(bare)), fmt::format("{:.3f} times, at most 1.05", ratio),
                           ratio <= 1.05});
    }

    void supervisor_memory() {
        apply("second-0", true);
        const auto status = machine_status(project_runtime_dir(cli.runtime(), "second-0") + "/web");
        const std::uint64_t ours = pss_kib(status->supervisor);
        const std::uint64_t vmm = pss_kib(status->vmm);
        stop("second-0");
        results.push_back({"a supervisor's PSS | its VMM's", fmt::format("{} KiB", ours), fmt::format("{} KiB", vmm),
                           "at most 3072 KiB", ours <= 3072});
    }

    // Cases of a spec, each with a boot, against the same boots and the same work of their guests by bare QEMUs, as
    // many at a time.
    void specs_to_bare(const std::string& runtime) {
        cli.write("work.toml", fmt::format("[vm.web]\nmem = \"256MiB\"\ncommand = [\"sh\", \"-c\", \"{}\"]\n", work));
        must(cli.run({"apply", "--yes", "--no-wait", "-p", "work", "work.toml"}));
        const Child vmm = launch_of("work").children.back();
        stop("work");
        const std::string ours = project_runtime_dir(cli.runtime(), "work") + "/web";
        std::atomic<int> next{0};
        const auto bare_ones = [&] {
            for (int i = next++; i < cases; i = next++) {
                const std::string place = fmt::format("{}/{}", runtime, i);
                std::filesystem::create_directories(place);
                BareQemu(moved(vmm, ours, place)).await_end();
            }
        };
        Clock::time_point begin = Clock::now();
        std::thread other(bare_ones);
        bare_ones();
        other.join();
        const double bare = ms_since(begin);

        std::string numbers;
        for (int i = 0; i < cases; ++i) { numbers += fmt::format("{}{}", i == 0 ? "" : ", ", i); }
        const std::string spec = cli.write(
            "bench.toml",
            fmt::format("isolated = true\n[matrix]\nn = [{}]\n[vm.web]\nmem = \"256MiB\"\n[[step]]\nguest = \"{}\"\n",
                        numbers, work));
        begin = Clock::now();
        must(run_program(
            {std::string(TEST_BINARY_DIR) + "/testkit/microvm-test", spec, "--no-snapshot", "--jobs", "2"}));
        const double whole = ms_since(begin);
        results.push_back({fmt::format("{} cases of a spec, two at a time | bare boots and guest work", cases),
                           fmt::format("{:.1f} s", whole / 1000), fmt::format("{:.1f} s", bare / 1000),
                           fmt::format("{:.3f} times, at most 1.1", whole / bare), whole <= 1.1 * bare});
    }

    // Its sockets are made elsewhere.
    static Child moved(Child vmm, const std::string& from, const std::string& to) {
        for (std::string& word : vmm.argv) {
            for (std::size_t at = word.find(from); at != std::string::npos; at = word.find(from, at + to.size())) {
                word.replace(at, from.size(), to);
            }
        }
        return vmm;
    }

    // The VMM's command line of a machine that was applied; its sockets are made elsewhere, so that both can run.
    Child bare_command(const std::string& runtime) {
        apply("first", true);
        const Child vmm = launch_of("first").children.back();
        stop("first");
        return moved(vmm, project_runtime_dir(cli.runtime(), "first") + "/web", runtime);
    }
};

int run() {
    Bench bench;
    bench.cli.write("www/index.html", "hello\n");
    bench.cli.write("microvm.toml", hello);
    const std::string runtime = bench.cli.dir() + "/bare";
    std::filesystem::create_directories(runtime);
    const Child vmm = bench.bare_command(runtime);
    bench.apply_to_qmp(vmm, runtime + "/qmp.sock");
    bench.apply_to_init(vmm, runtime + "/agent.sock");
    bench.supervisor_memory();
    bench.specs_to_bare(runtime);

    std::vector<std::vector<std::string>> rows{{"WHAT | BASELINE", "OURS", "BASELINE", "BOUND"}};
    bool held = true;
    for (const Result& result : bench.results) {
        rows.push_back({result.what, result.ours, result.baseline, (result.held ? "" : "OVER: ") + result.verdict});
        held = held && result.held;
    }
    fmt::print("{}", render_table(rows, false));
    return held ? 0 : 1;
}

} // namespace

} // namespace microvmc

int main() {
    return microvmc::run();
}
