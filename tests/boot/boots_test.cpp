// The hello guest boots every time: two at a time, so that each competes for the processor. Under TCG a wrong clock
// hangs some of these boots and not others. MICROVMC_BOOTS says how many (50).

#include "tests/boot/cli.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <thread>

namespace microvmc::boot {

namespace {

constexpr const char* config = R"([vm.web]
mem = "256MiB"
command = ["httpd", "-f", "-p", "80", "-h", "/srv/www"]
volumes.data = { size = "64MiB", mount-point = "/data" }
shares.www = { source = "www", mount-point = "/srv/www", read-only = true }
forward-ports.web.guest.port = 80
ready.http = ":80/"
startup-timeout = 120
)";

int boots() {
    const char* text = std::getenv("MICROVMC_BOOTS");
    return text == nullptr ? 50 : std::atoi(text);
}

} // namespace

TEST(Boots, NoneOfManyHangs) {
    const Cli cli;
    cli.write("www/index.html", "hello\n");
    cli.write("microvm.toml", config);
    std::atomic<int> next{0};
    std::mutex mutex;
    std::string failures;
    double slowest = 0;
    const auto worker = [&] {
        for (int i = next++; i < boots(); i = next++) {
            const std::string project = fmt::format("boots-{}", i);
            const auto begin = std::chrono::steady_clock::now();
            const Ran applied = cli.run({"apply", "--yes", "-p", project, "microvm.toml"});
            const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
            const Ran destroyed = cli.run({"destroy", "--yes", "--with-volumes", "-p", project});
            const std::lock_guard guard(mutex);
            slowest = std::max(slowest, seconds);
            if (applied.status != 0 || destroyed.status != 0) {
                failures += fmt::format("boot {}: {}{}\n", i, applied.err, destroyed.err);
            }
        }
    };
    std::thread other(worker);
    worker();
    other.join();
    EXPECT_EQ(failures, "");
    EXPECT_TRUE(cli.processes().empty());
    std::cout << fmt::format("{} boots, two at a time, the slowest {:.1f} s\n", boots(), slowest);
}

} // namespace microvmc::boot
