#include "runtime/machine.h"

#include "runtime/error.h"
#include "runtime/machine_connection.h"
#include "runtime/supervisor/program.h"

#include <cerrno>
#include <cstring>
#include <thread>

namespace microvmc {

namespace {

using namespace std::chrono_literals;
using machine::Answer;
using machine::Clock;

constexpr auto upgrade_time = 10s; ///< the supervisor tries the program for 3 s at most
constexpr auto while_others_ask = 500ms;
constexpr auto pause = 20ms;

} // namespace

UpgradeOutcome upgrade_supervisor(const std::string& runtime_dir, const std::string& program) {
    const auto installed = supervisor::program_identity(program);
    if (!installed) { throw Error("can't look at the supervisor " + program + ": " + std::strerror(errno)); }
    const auto status = machine_status(runtime_dir);
    if (!status) { return {}; }
    if (status->program == *installed) { return {UpgradeOutcome::Kind::current, {}}; }
    if (status->program.empty()) {
        return {UpgradeOutcome::Kind::later, "it is of a version that can't be replaced while its machine runs"};
    }
    // Whoever only asks for the status is gone in a moment.
    for (const auto deadline = Clock::now() + while_others_ask;;) {
        const Fd connection = machine::find_supervisor(runtime_dir);
        if (!connection) { return {}; }
        const Answer answer =
            machine::request(connection, {{"op", "reexec"}, {"program", program}}, Clock::now() + upgrade_time);
        switch (answer.kind) {
        case Answer::Kind::closed: throw Error("the machine's supervisor ended while it was replaced by " + program);
        case Answer::Kind::timed_out:
            throw TimeoutError("the machine's supervisor doesn't say whether it was replaced");
        case Answer::Kind::answered: break;
        }
        if (!answer.json.contains("later")) { return {UpgradeOutcome::Kind::upgraded, {}}; }
        if (Clock::now() >= deadline) { return {UpgradeOutcome::Kind::later, answer.json.value("later", "")}; }
        std::this_thread::sleep_for(pause);
    }
}

} // namespace microvmc
