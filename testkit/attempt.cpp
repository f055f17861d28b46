#include "testkit/attempt.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/machine.h"
#include "runtime/process.h"
#include "testkit/net.h"
#include "testkit/substitution.h"
#include "testkit/typing.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace microvmc::testkit {

using std::chrono::milliseconds;

namespace {

constexpr std::size_t answer_limit = std::size_t{256} << 20U; ///< bytes
constexpr std::size_t described_limit = 100;
constexpr milliseconds host_command_time{120'000};

std::string shortened(std::string text) {
    text = printable(text);
    if (text.size() <= described_limit) { return text; }
    text.resize(described_limit);
    return text.append("...");
}

milliseconds left_until(Clock::time_point deadline) {
    return std::max(std::chrono::ceil<milliseconds>(deadline - Clock::now()), milliseconds(1));
}

Attempt failed(Outcome outcome, std::string message, bool again = true) {
    return {.answer = {}, .verdict = {outcome, std::move(message)}, .again = again};
}

Attempt too_late(Clock::time_point begin) {
    const auto took = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin);
    return failed(Outcome::hang, fmt::format("nothing within {}", format_duration(milliseconds(took).count())));
}

/// Environment of commands: axes and captures, then what the step says.
std::map<std::string, std::string> environment(const Step& step, const Scene& scene) {
    std::map<std::string, std::string> env = environment_of(scene.variables);
    const Lookup lookup = lookup_in(scene.variables, scene.machines.plan());
    for (const auto& [name, text] : step.env) { env[name] = filled(text, lookup); }
    return env;
}

/// A shell puts in by itself what there is.
std::vector<std::string> all_filled(const std::vector<Text>& words, const Lookup& lookup) {
    const bool by_shell = is_shell(words.front().value);
    std::vector<std::string> argv;
    for (const Text& word : words) { argv.push_back(by_shell ? word.value : filled(word, lookup)); }
    return argv;
}

Attempt answered(const Ran& ran, Clock::time_point begin) {
    if (ran.timed_out) { return too_late(begin); }
    if (ran.truncated) { return failed(Outcome::wrong, fmt::format("it said more than {} bytes", answer_limit)); }
    Answer answer;
    answer.bytes = ran.out;
    answer.status = ran.status;
    answer.said = last_words(ran);
    return {.answer = std::move(answer), .verdict = {}};
}

/// A command in the guest. When it can't be run because the machine ended, that is what happened.
Attempt run_in_guest(const std::string& name, const ExecRequest& request, const Scene& scene,
                     Clock::time_point deadline) {
    const auto begin = Clock::now();
    try {
        return answered(run_in_machine(scene.machines.vm(name).runtime_dir, request,
                                       {.input = {}, .timeout = left_until(deadline), .output_limit = answer_limit}),
                        begin);
    } catch (const TimeoutError& error) {
        return failed(Outcome::hang, printable(error.what()));
    } catch (const Error& error) {
        if (auto verdict = scene.machines.ended_or_back(name)) {
            return {.answer = {}, .verdict = std::move(*verdict), .again = false};
        }
        return failed(Outcome::error, printable(error.what()));
    }
}

Attempt from_net(NetAnswer net, int success) {
    if (net.timed_out) { return failed(Outcome::hang, net.problem); }
    if (!net.status) { return failed(Outcome::wrong, net.problem); }
    Answer answer;
    answer.bytes = std::move(net.bytes);
    answer.status = net.status;
    answer.success = success;
    return {.answer = std::move(answer), .verdict = {}};
}

Attempt done(const Verdict& verdict) {
    if (verdict.outcome == Outcome::passed) { return {.answer = Answer{}, .verdict = {}}; }
    return {.answer = {}, .verdict = verdict, .again = false};
}

std::string_view name_of(VmStep::Verb verb) {
    switch (verb) {
    case VmStep::Verb::start: return "start";
    case VmStep::Verb::stop: return "stop";
    case VmStep::Verb::kill: return "kill";
    case VmStep::Verb::restart: return "restart";
    case VmStep::Verb::reboot: return "reboot";
    case VmStep::Verb::wait: return "wait";
    case VmStep::Verb::pause: return "pause";
    case VmStep::Verb::resume: return "resume";
    case VmStep::Verb::snapshot: return "snapshot";
    case VmStep::Verb::restore: return "restore";
    case VmStep::Verb::autostart: return "autostart";
    case VmStep::Verb::balloon: return "balloon";
    }
    return {};
}

std::string_view name_of(StatsStep::What what) {
    switch (what) {
    case StatsStep::What::resident: return "resident";
    case StatsStep::What::balloon: return "balloon";
    }
    return {};
}

std::string_view name_of(End::Kind kind) {
    switch (kind) {
    case End::Kind::exited: return "exited";
    case End::Kind::poweroff: return "poweroff";
    case End::Kind::reboot: return "reboot";
    case End::Kind::panic: return "panic";
    case End::Kind::vmm_crash: return "vmm-crash";
    case End::Kind::killed: return "killed";
    case End::Kind::timed_out: return "timed-out";
    case End::Kind::start_failed: return "start-failed";
    case End::Kind::helper_crash: return "helper-crash";
    }
    return {};
}

Attempt wait_for_end(const std::string& name, const Scene& scene, Clock::time_point deadline) {
    std::optional<End> end;
    const Verdict verdict = scene.machines.wait(name, deadline, end);
    if (!end) { return {.answer = {}, .verdict = verdict, .again = false}; }
    Answer answer;
    answer.bytes = name_of(end->kind);
    answer.said = printable(describe(*end));
    if (end->kind == End::Kind::exited) { answer.status = end->status; }
    return {.answer = std::move(answer), .verdict = {}};
}

Attempt act(const VmStep& vm, const std::string& name, const Scene& scene, Clock::time_point deadline) {
    Machines& machines = scene.machines;
    switch (vm.verb) {
    case VmStep::Verb::start: return done(machines.start(name, scene.timeline, deadline));
    case VmStep::Verb::stop: return done(machines.stop(name, scene.timeline, deadline));
    case VmStep::Verb::kill: return done(machines.kill(name));
    case VmStep::Verb::restart: {
        const Verdict stopped = machines.stop(name, scene.timeline, deadline);
        if (stopped.outcome != Outcome::passed) { return done(stopped); }
        return done(machines.start(name, scene.timeline, deadline));
    }
    case VmStep::Verb::reboot: return done(machines.reboot(name, deadline));
    case VmStep::Verb::wait: return wait_for_end(name, scene, deadline);
    case VmStep::Verb::pause: return done(machines.pause(name));
    case VmStep::Verb::resume: return done(machines.resume(name));
    case VmStep::Verb::snapshot: return done(machines.snapshot(name));
    case VmStep::Verb::restore: return done(machines.restore(name, scene.timeline, deadline));
    case VmStep::Verb::autostart: return done(machines.autostart(name, scene.timeline, deadline));
    case VmStep::Verb::balloon: {
        const Lookup lookup = lookup_in(scene.variables, machines.plan());
        const std::string size = vm.balloon ? filled(*vm.balloon, lookup) : std::string();
        std::string problem;
        const auto number = parse_number(size);
        const auto mib = number ? number : parse_size(size, problem);
        if (!mib) { throw Error(fmt::format("{} is no size for a balloon", in_quotes(size))); }
        return done(machines.balloon(name, static_cast<std::uint64_t>(*mib), deadline));
    }
    }
    return {};
}

std::string_view name_of(ChangeKind kind) {
    switch (kind) {
    case ChangeKind::none: return "none";
    case ChangeKind::create: return "create";
    case ChangeKind::start: return "start";
    case ChangeKind::in_place: return "in-place";
    case ChangeKind::restart: return "restart";
    case ChangeKind::stop: return "stop";
    case ChangeKind::update: return "update";
    case ChangeKind::destroy: return "destroy";
    }
    return {};
}

Attempt change(const Config& config, const Scene& scene, Clock::time_point deadline) {
    Changes changes;
    const Verdict verdict = scene.machines.apply(
        [&](const Observed& observed, HostFacts& facts) { return scene.replan(config, observed, facts); }, changes,
        scene.timeline, deadline);
    if (verdict.outcome != Outcome::passed) { return {.answer = {}, .verdict = verdict, .again = false}; }
    Answer answer;
    for (const VmChange& each : changes.vms) { answer.bytes += fmt::format("{} {}\n", each.vm, name_of(each.kind)); }
    return {.answer = std::move(answer), .verdict = {}};
}

template <typename... F> struct Overloaded : F... { using F::operator()...; };
template <typename... F> Overloaded(F...) -> Overloaded<F...>; // clang 14 deduces none by itself

} // namespace

Lookup lookup_in(const Variables& variables, const Plan& plan) {
    return [&variables, &plan](std::string_view name) -> std::optional<std::string> {
        if (is_plan_reference(name)) { return plan_value(plan, name); }
        const auto found = variables.find(std::string(name));
        return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
}

std::map<std::string, std::string> environment_of(const Variables& variables) {
    std::map<std::string, std::string> env;
    for (const auto& [name, value] : variables) { env[variable_of(name)] = value; }
    return env;
}

Verdict run_on_host(const std::vector<HostStep>& commands, const Variables& variables, const std::string& directory) {
    const Lookup lookup = lookup_in(variables, {});
    for (const HostStep& command : commands) {
        try {
            const std::vector<std::string> argv = all_filled(command.argv, lookup);
            const Ran ran = run_program(argv, {.input = {},
                                               .cwd = directory,
                                               .timeout = host_command_time,
                                               .inherit = {},
                                               .env = environment_of(variables)});
            if (ran.status == 0 && !ran.timed_out) { continue; }
            const std::string how =
                ran.timed_out ? fmt::format("didn't end within {}", format_duration(host_command_time.count()))
                              : fmt::format("ended with status {}: {}", ran.status, last_words(ran));
            return {Outcome::error, fmt::format("{} {}", shortened(shell_quoted(argv)), printable(how))};
        } catch (const Error& error) { return {Outcome::error, printable(error.what())}; }
    }
    return {};
}

Attempt attempt(const Step& step, const Scene& scene, Clock::time_point deadline, bool first) {
    const Lookup lookup = lookup_in(scene.variables, scene.machines.plan());
    std::uint64_t number = 0;
    return std::visit(
        Overloaded{
            [&](const GuestStep& guest) {
                return run_in_guest(step.on,
                                    {.argv = {"sh", "-c", guest.command.value},
                                     .env = environment(step, scene),
                                     .workdir = {},
                                     .tty = false},
                                    scene, deadline);
            },
            [&](const HostStep& host) {
                const auto begin = Clock::now();
                try {
                    return answered(run_program(all_filled(host.argv, lookup), {.input = {},
                                                                                .cwd = scene.directory,
                                                                                .timeout = left_until(deadline),
                                                                                .inherit = {},
                                                                                .output_limit = answer_limit,
                                                                                .env = environment(step, scene)}),
                                    begin);
                } catch (const Error& error) { return failed(Outcome::error, printable(error.what()), false); }
            },
            [&](const HttpStep& http) {
                const Url url = parse_url(filled(http.url, lookup));
                return from_net(http_get(url, left_until(deadline), answer_limit), 200);
            },
            [&](const TcpStep& tcp) {
                NetAnswer net =
                    tcp_read(filled(tcp.address, lookup), filled(tcp.send, lookup), left_until(deadline), answer_limit);
                if (net.status || net.timed_out) { return from_net(std::move(net), 0); }
                Answer refused;
                refused.status = 1;
                refused.said = net.problem;
                return Attempt{.answer = std::move(refused), .verdict = {}};
            },
            [&](const UdpStep& udp) {
                return from_net(udp_ask(filled(udp.address, lookup), filled(udp.send, lookup), left_until(deadline)),
                                0);
            },
            [&](const PingStep& ping) {
                // It gives up by itself: that is an answer, too.
                const auto seconds = std::max<std::int64_t>(left_until(deadline).count() / 1000 - 1, 1);
                return run_in_guest(
                    step.on,
                    {.argv = {"ping", "-c", "1", "-W", std::to_string(seconds), filled(ping.address, lookup)},
                     .env = {},
                     .workdir = {},
                     .tty = false},
                    scene, deadline);
            },
            [&](const ConsoleStep& console) {
                if (!first) { return heard(step.on, scene); }
                return type(step.on, filled(console.type, lookup), console.times, scene, deadline);
            },
            [&](const VmStep& vm) { return act(vm, step.on, scene, deadline); },
            [&](const VolumeStep&) { return failed(Outcome::error, "volumes are read elsewhere", false); },
            [&](const StatsStep& stats) {
                const Verdict verdict = scene.machines.stats(step.on, stats.what, number);
                if (verdict.outcome != Outcome::passed) { return Attempt{.answer = {}, .verdict = verdict}; }
                Answer answer;
                answer.bytes = std::to_string(number);
                return Attempt{.answer = std::move(answer), .verdict = {}};
            },
            [&](const ApplyStep& apply) { return change(*apply.config, scene, deadline); },
        },
        step.what);
}

std::string describe(const Step& step) {
    const auto with = [](std::string_view kind, const std::string& text) {
        return fmt::format("{} {}", kind, shortened(text));
    };
    return std::visit(
        Overloaded{
            [&](const GuestStep& guest) { return with("guest", guest.command.value); },
            [&](const HostStep& host) {
                std::vector<std::string> words;
                for (const Text& word : host.argv) { words.push_back(word.value); }
                return with("host", shell_quoted(words));
            },
            [&](const HttpStep& http) { return with("http", http.url.value); },
            [&](const TcpStep& tcp) { return with("tcp", tcp.address.value); },
            [&](const UdpStep& udp) { return with("udp", udp.address.value); },
            [&](const PingStep& ping) { return with("ping", ping.address.value); },
            [&](const ConsoleStep& console) {
                return console.type.value.empty() ? std::string("console") : with("console", console.type.value);
            },
            [&](const VmStep& vm) { return fmt::format("{} {}", name_of(vm.verb), step.on); },
            [&](const VolumeStep& volume) {
                return with("volume", fmt::format("{} {}", volume.volume.value, volume.path.value));
            },
            [&](const StatsStep& stats) { return fmt::format("stats {} of {}", name_of(stats.what), step.on); },
            [&](const ApplyStep&) { return std::string("apply"); },
        },
        step.what);
}

} // namespace microvmc::testkit
