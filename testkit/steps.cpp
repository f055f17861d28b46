#include "testkit/steps.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/text.h"
#include "compiler/values.h"
#include "testkit/pattern.h"
#include "testkit/references.h"
#include "testkit/scratch.h"
#include "testkit/substitution.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <map>

namespace microvmc::testkit {

namespace {

constexpr std::int64_t step_timeout_ms = 60'000;
constexpr std::int64_t long_step_timeout_ms = 180'000; // what boots, stops, or reads an image
constexpr std::int64_t most_typed = std::int64_t{16} << 20U;

/// What a kind of step gives.
struct Gives {
    bool answer = false;
    bool status = false;
    bool on_machine = false; ///< it is about one
};

using What = decltype(Step::what);

Gives gives(const What& what) {
    struct Visit {
        Gives operator()(const GuestStep&) const { return {true, true, true}; }
        Gives operator()(const HostStep&) const { return {true, true, false}; }
        Gives operator()(const HttpStep&) const { return {true, true, false}; }
        Gives operator()(const TcpStep&) const { return {true, true, false}; }
        Gives operator()(const UdpStep&) const { return {true, true, false}; }
        Gives operator()(const PingStep&) const { return {false, true, true}; }
        Gives operator()(const ConsoleStep&) const { return {true, false, true}; }
        Gives operator()(const VmStep& step) const {
            const bool waits = step.verb == VmStep::Verb::wait;
            return {waits, waits, true};
        }
        Gives operator()(const VolumeStep&) const { return {true, false, true}; }
        Gives operator()(const StatsStep&) const { return {true, false, true}; }
        Gives operator()(const ApplyStep&) const { return {true, false, false}; }
    };
    return std::visit(Visit{}, what);
}

std::optional<VmStep::Verb> verb_of(std::string_view word) {
    using Verb = VmStep::Verb;
    constexpr std::array<std::pair<std::string_view, Verb>, 11> verbs = {{{"start", Verb::start},
                                                                          {"stop", Verb::stop},
                                                                          {"kill", Verb::kill},
                                                                          {"restart", Verb::restart},
                                                                          {"reboot", Verb::reboot},
                                                                          {"wait", Verb::wait},
                                                                          {"pause", Verb::pause},
                                                                          {"resume", Verb::resume},
                                                                          {"snapshot", Verb::snapshot},
                                                                          {"restore", Verb::restore},
                                                                          {"autostart", Verb::autostart}}};
    const auto* found = std::ranges::find(verbs, word, &std::pair<std::string_view, Verb>::first);
    return found == verbs.end() ? std::nullopt : std::optional(found->second);
}

/// What a machine is doing when a step's turn comes.
enum class State { unknown, up, paused, down };

class Maker {
public:
    Maker(const Config& machines, const std::set<std::string>& axes, Diagnostics& diagnostics)
        : machines_(machines), axes_(axes), diagnostics_(diagnostics) {
        begin(machines);
    }

    MadeSteps make(const SpecConfig& spec) {
        MadeSteps made;
        made.prepare = commands(spec.prepare);
        made.cleanup = commands(spec.cleanup);
        made.steps = steps(spec);
        return made;
    }

private:
    std::vector<Step> steps(const SpecConfig& spec) {
        for (const StepConfig& step : spec.steps) {
            for (const auto& [name, expression] : step.capture) { all_captures_.insert(name.value); }
        }
        std::vector<Step> steps;
        steps.reserve(spec.steps.size());
        for (const StepConfig& config : spec.steps) {
            if (auto step = make(config)) { steps.push_back(std::move(*step)); }
        }
        return steps;
    }

    /// Of commands that run while there is no plan.
    std::vector<HostStep> commands(const std::vector<Strings>& said) {
        std::vector<HostStep> made;
        for (const Strings& argv : said) {
            HostStep& command = made.emplace_back();
            for (const auto& argument : argv) {
                for (const Reference& reference : find_references(argument.value)) {
                    if (!is_plan_reference(reference.name)) { continue; }
                    error(codes::unknown_reference, argument.span,
                          fmt::format("`${{{}}}`: there is no plan then", printable(reference.name)));
                }
                command.argv.push_back(is_shell(argv.front().value) ? argument : text(argument));
            }
        }
        return made;
    }

    Diagnostic& error(const char* code, Span span, std::string message) {
        return diagnostics_.error(code, span, std::move(message));
    }

    std::optional<Step> make(const StepConfig& config) {
        Step step;
        step.span = config.span;
        Span key;
        auto what = kind(config, step, key);
        if (!what) { return std::nullopt; } // decoding has said what is wrong
        step.what = std::move(*what);
        const Gives given = gives(step.what);
        machine(config, given, step, key);
        environment(config, step, key);
        expectations(config, given, key, step);
        if (config.within) { step.within_ms = config.within->value; }
        const bool slow = std::holds_alternative<VmStep>(step.what) || std::holds_alternative<VolumeStep>(step.what) ||
                          std::holds_alternative<ApplyStep>(step.what);
        step.timeout_ms = config.timeout ? config.timeout->value : slow ? long_step_timeout_ms : step_timeout_ms;
        state(step, key);
        captures(config, given, step);
        return step;
    }

    std::optional<What> kind(const StepConfig& config, Step& step, Span& key) {
        if (config.guest) {
            key = config.guest->span;
            return GuestStep{shell_text(*config.guest, step)};
        }
        if (!config.host.empty()) {
            key = config.host.front().span;
            HostStep host;
            for (const auto& argument : config.host) {
                host.argv.push_back(is_shell(config.host.front().value) ? shell_text(argument, step) : text(argument));
            }
            return host;
        }
        if (config.http) { return page(*config.http, key); }
        if (config.tcp) {
            auto socket = endpoint(*config.tcp, "tcp", key);
            return socket ? std::optional<What>(TcpStep{socket->first, socket->second}) : std::nullopt;
        }
        if (config.udp) {
            auto socket = endpoint(*config.udp, "udp", key);
            return socket ? std::optional<What>(UdpStep{socket->first, socket->second}) : std::nullopt;
        }
        if (config.ping) {
            key = config.ping->span;
            if (config.ping->value.empty()) { error(codes::bad_address, key, "`ping` is an address, not empty"); }
            return PingStep{text(*config.ping)};
        }
        if (config.console) { return console(*config.console, key); }
        if (config.vm) { return vm(*config.vm, key); }
        if (config.volume) {
            key = config.volume->span;
            if (!config.volume->name || !config.volume->path) {
                if (diagnostics_.has_errors()) { return std::nullopt; } // what is there may just be wrong
                error(codes::missing_key, key,
                      fmt::format("`volume` has no `{}`", config.volume->name ? "path" : "name"))
                    .help = "it is written volume = { name = \"data\", path = \"/file\" }";
                return std::nullopt;
            }
            return VolumeStep{text(*config.volume->name), text(*config.volume->path)};
        }
        if (config.stats) {
            key = config.stats->span;
            return StatsStep{config.stats->value == "balloon" ? StatsStep::What::balloon : StatsStep::What::resident};
        }
        if (config.apply) {
            key = config.span;
            return ApplyStep{config.apply};
        }
        return std::nullopt;
    }

    HttpStep page(const Located<std::string>& url, Span& key) {
        key = url.span;
        if (!url.value.starts_with("http://")) {
            error(codes::bad_address, key, fmt::format("`{}` is no address of a page", printable(url.value))).help =
                "it is written \"http://ADDRESS:PORT/PATH\"";
        }
        return HttpStep{text(url)};
    }

    /// Address and what is sent.
    std::optional<std::pair<Text, Text>> endpoint(const SocketStepConfig& config, std::string_view kind, Span& key) {
        key = config.span;
        if (!config.address) {
            if (!diagnostics_.has_errors()) {
                error(codes::missing_key, key, fmt::format("`{}` has no `address`", kind)).help =
                    fmt::format("it is written {} = \"127.0.0.1:8080\"", kind);
            }
            return std::nullopt;
        }
        const Located<std::string>& address = *config.address;
        key = address.span;
        const std::size_t colon = address.value.rfind(':');
        const auto port =
            colon == std::string::npos ? std::nullopt : parse_number(std::string_view(address.value).substr(colon + 1));
        const bool refers = !find_references(address.value).empty();
        if (!refers && (colon == 0 || !port || *port < 1 || *port > 65535)) {
            error(codes::bad_address, key, fmt::format("`{}` is no address and port", printable(address.value))).help =
                "it is written \"127.0.0.1:8080\" or \"[::1]:8080\"";
        }
        return std::pair(text(address), config.send ? text(*config.send) : Text{});
    }

    ConsoleStep console(const ConsoleStepConfig& config, Span& key) {
        key = config.span;
        ConsoleStep step;
        step.times = config.times.value;
        if (config.type) {
            step.type = text(*config.type);
            if (static_cast<std::int64_t>(config.type->value.size()) > most_typed / step.times) {
                error(codes::out_of_range, config.type->span, "more than 16 MiB are typed");
            }
        }
        return step;
    }

    std::optional<What> vm(const VmStepConfig& config, Span& key) {
        key = config.span;
        VmStep step;
        if (config.balloon) {
            step.verb = VmStep::Verb::balloon;
            step.balloon = Text{std::to_string(config.balloon->value), config.balloon->span};
            return step;
        }
        const auto verb = config.verb ? verb_of(config.verb->value) : std::nullopt;
        if (!verb) { return std::nullopt; }
        key = config.verb->span;
        step.verb = *verb;
        return step;
    }

    // --- machines

    /// What they do when all of them have become what their text says.
    void begin(const Config& machines) {
        for (const VmConfig& vm : machines.vms) {
            const bool ends = !vm.command.empty() || (vm.ready && vm.ready->exit);
            state_[vm.name.value] = !vm.enabled.value ? State::down : ends ? State::unknown : State::up;
        }
    }

    const VmConfig* find_vm(std::string_view name) const {
        const auto found =
            std::ranges::find_if(machines_.vms, [&](const VmConfig& vm) { return vm.name.value == name; });
        return found == machines_.vms.end() ? nullptr : &*found;
    }

    std::vector<std::string_view> vm_names() const {
        std::vector<std::string_view> names;
        for (const VmConfig& vm : machines_.vms) { names.push_back(vm.name.value); }
        return names;
    }

    void machine(const StepConfig& config, const Gives& given, Step& step, const Span& key) {
        if (config.on) {
            if (find_vm(config.on->value) == nullptr) {
                const std::vector<std::string_view> known = vm_names();
                auto& diagnostic = error(codes::unknown_vm, config.on->span,
                                         fmt::format("there is no VM `{}`", printable(config.on->value)));
                const std::string_view meant = nearest(config.on->value, known);
                diagnostic.help = !meant.empty()     ? fmt::format("did you mean `{}`?", meant)
                                  : known.size() < 9 ? fmt::format("there is {}", list_or(known))
                                                     : "";
                return;
            }
            step.on = config.on->value;
        } else if (machines_.vms.size() == 1) {
            step.on = machines_.vms.front().name.value;
        } else if (given.on_machine && !machines_.vms.empty()) {
            const std::vector<std::string_view> known = vm_names();
            error(codes::missing_key, key, "there are several VMs: which one is meant?").help =
                fmt::format("on = \"{}\"", known.front());
        }
        const VmConfig* vm = find_vm(step.on);
        if (vm == nullptr) { return; }
        if (const auto* volume = std::get_if<VolumeStep>(&step.what)) { check_volume(*vm, volume->volume); }
        if (std::holds_alternative<ConsoleStep>(step.what) && vm->console.value == "off") {
            error(codes::conflicting_keys, key, fmt::format("`{}` has no console", vm->name.value))
                .notes.push_back({vm->console.span, "it is off"});
        }
        const auto* verb = std::get_if<VmStep>(&step.what);
        if (verb != nullptr && verb->verb == VmStep::Verb::balloon && vm->balloon.value == "false") {
            error(codes::conflicting_keys, key, fmt::format("`{}` has no balloon", vm->name.value)).help =
                fmt::format("give it one: vm.{}.balloon = true", vm->name.value);
        }
    }

    void check_volume(const VmConfig& vm, const Text& name) {
        if (!find_references(name.value).empty()) { return; }
        std::vector<std::string_view> known;
        for (const VolumeConfig& volume : vm.volumes) { known.push_back(volume.name.value); }
        if (std::ranges::find(known, name.value) != known.end()) { return; }
        auto& diagnostic = error(codes::unknown_volume, name.span,
                                 fmt::format("`{}` has no volume `{}`", vm.name.value, printable(name.value)));
        const std::string_view meant = nearest(name.value, known);
        if (!meant.empty()) { diagnostic.help = fmt::format("did you mean `{}`?", meant); }
    }

    /// Whether the machine does what the step needs, and what it does afterwards.
    void state(const Step& step, const Span& key) {
        if (const auto* apply = std::get_if<ApplyStep>(&step.what)) {
            begin(*apply->config);
            return;
        }
        const auto found = state_.find(step.on);
        if (found == state_.end()) { return; }
        State& now = found->second;
        const auto refuse = [&](std::string_view what, std::string_view help) {
            error(codes::wrong_state, key, fmt::format("`{}` {} here", step.on, what)).help = help;
        };
        constexpr std::string_view start_it = "start it before: vm = \"start\"";
        constexpr std::string_view stop_it = "stop it before: vm = \"stop\"; or await its own end: vm = \"wait\"";
        if (std::holds_alternative<VolumeStep>(step.what)) {
            if (now == State::up || now == State::paused) { refuse("runs", stop_it); }
            return;
        }
        const auto* vm = std::get_if<VmStep>(&step.what);
        if (vm == nullptr) {
            if (!gives(step.what).on_machine) { return; }
            if (now == State::down && !std::holds_alternative<ConsoleStep>(step.what)) {
                refuse("doesn't run", start_it);
            } else if (now == State::paused) {
                refuse("is paused", "let it go on before: vm = \"resume\"");
            }
            return;
        }
        using Verb = VmStep::Verb;
        const Verb verb = vm->verb;
        switch (verb) {
        case Verb::start:
        case Verb::autostart:
            if (now == State::up || now == State::paused) { refuse("runs", stop_it); }
            break;
        case Verb::restore: break;
        case Verb::resume:
            if (now == State::up || now == State::down) { refuse("isn't paused", "pause it before: vm = \"pause\""); }
            break;
        case Verb::stop:
        case Verb::kill:
        case Verb::restart:
        case Verb::reboot:
        case Verb::wait:
        case Verb::pause:
        case Verb::snapshot:
        case Verb::balloon:
            if (now == State::down) { refuse("doesn't run", start_it); }
            break;
        }
        switch (verb) {
        case Verb::start:
        case Verb::autostart:
        case Verb::restart:
        case Verb::reboot:
        case Verb::resume:
        case Verb::restore: now = State::up; break;
        case Verb::stop:
        case Verb::kill:
        case Verb::wait: now = State::down; break;
        case Verb::pause: now = State::paused; break;
        case Verb::snapshot:
        case Verb::balloon: break;
        }
    }

    // --- texts

    bool is_known(std::string_view name) const {
        return axes_.contains(std::string(name)) || is_captured(name) || name == scratch_name;
    }
    bool is_captured(std::string_view name) const { return captured_.contains(std::string(name)); }

    const Text& text(const Text& said) {
        const std::vector<Reference> references = find_references(said.value);
        if (references.size() > max_references) {
            too_many_references(said.span);
            return said;
        }
        for (const Reference& reference : references) {
            if (!reference.closed) {
                error(codes::unknown_reference, said.span, "a `${` has no `}`");
            } else if (is_plan_reference(reference.name)) {
                check_plan(reference.name, said.span);
            } else if (!is_known(reference.name)) {
                unknown(reference.name, said.span);
            }
        }
        return said;
    }

    void too_many_references(const Span& span) {
        error(codes::too_many, span, fmt::format("there are more than {} references in this text", max_references));
    }

    void check_plan(std::string_view name, const Span& span) {
        if (!checked_.insert({span, std::string(name)}).second) { return; }
        if (auto problem = check_plan_reference(machines_, name)) {
            error(codes::unknown_reference, span, fmt::format("`${{{}}}`: {}", printable(name), problem->message))
                .help = std::move(problem->help);
        }
    }

    void unknown(std::string_view name, const Span& span) {
        if (all_captures_.contains(std::string(name))) {
            error(codes::unknown_reference, span, fmt::format("`${{{}}}` isn't captured yet", name)).help =
                "a step refers to what steps before it captured";
            return;
        }
        auto& diagnostic =
            error(codes::unknown_reference, span,
                  fmt::format("`${{{}}}` is neither an axis nor captured by a step before", printable(name)));
        std::vector<std::string_view> known(axes_.begin(), axes_.end());
        known.insert(known.end(), captured_.begin(), captured_.end());
        const std::string_view meant = nearest(name, known);
        if (!meant.empty()) {
            diagnostic.help = fmt::format("did you mean `${{{}}}`?", meant);
        } else if (find_vm(name.substr(0, name.find('.'))) != nullptr) {
            diagnostic.help = fmt::format("a value of a machine's plan is written `${{vm.{}}}`", printable(name));
        }
    }

    /// For a shell, which reads `${x}` itself: values of a plan come by variables, whose names have no dots.
    Text shell_text(const Text& said, Step& step) {
        constexpr std::string_view opening = "${vm.";
        Text made{{}, said.span};
        std::size_t done = 0;
        std::size_t count = 0;
        const std::string& whole = said.value;
        for (std::size_t at = whole.find(opening); at != std::string::npos; at = whole.find(opening, at + 1)) {
            const std::size_t close = whole.find('}', at);
            if (close == std::string::npos) {
                error(codes::unknown_reference, said.span, "a `${` has no `}`");
                break;
            }
            if (++count > max_references) {
                too_many_references(said.span);
                break;
            }
            const std::string name = whole.substr(at + 2, close - at - 2);
            check_plan(name, said.span);
            const std::string variable = variable_of(name);
            if (std::ranges::find(step.env, variable, &std::pair<std::string, Text>::first) == step.env.end()) {
                step.env.emplace_back(variable, Text{fmt::format("${{{}}}", name), said.span});
            }
            made.value += whole.substr(done, at - done);
            made.value += fmt::format("${{{}}}", variable);
            done = close + 1;
        }
        made.value += whole.substr(done);
        return made;
    }

    void environment(const StepConfig& config, Step& step, const Span& key) {
        if (config.env.empty()) { return; }
        if (!std::holds_alternative<GuestStep>(step.what) && !std::holds_alternative<HostStep>(step.what)) {
            error(codes::conflicting_keys, config.env.front().first.span, "only `guest` and `host` have an environment")
                .notes.push_back({key, "this step is neither"});
            return;
        }
        for (const auto& [name, value] : config.env) {
            const auto letter = [](char c) {
                return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
            };
            if (!std::ranges::all_of(name.value, letter) || (name.value.front() >= '0' && name.value.front() <= '9')) {
                error(codes::bad_name, name.span, fmt::format("`{}` is no name of a variable", printable(name.value)));
                continue;
            }
            step.env.emplace_back(name.value, text(value));
        }
    }

    // --- answers

    void needs_answer(bool there, const Span& span, std::string_view key, std::string_view noun) {
        if (!there) { error(codes::no_answer, span, fmt::format("this step gives no {} for `{}`", noun, key)); }
    }

    void expectations(const StepConfig& config, const Gives& given, const Span& /*key*/, Step& step) {
        if (!config.expect) { return; }
        const ExpectConfig& said = *config.expect;
        const auto take = [&](const Opt<std::string>& from, std::optional<Text>& to, std::string_view key, bool there,
                              std::string_view noun) {
            if (!from) { return false; }
            needs_answer(there, from->span, key, noun);
            to = text(*from);
            return find_references(from->value).empty();
        };
        Expect& expect = step.expect;
        if (take(said.status, expect.status, "status", given.status, "status") && !parse_number(said.status->value)) {
            error(codes::wrong_type, said.status->span, "`status` is an integer of at least 0");
        }
        take(said.equals, expect.equals, "equals", given.answer, "answer");
        if (take(said.min, expect.min, "min", given.answer, "answer")) { check_number(*said.min, "min"); }
        if (take(said.max, expect.max, "max", given.answer, "answer")) { check_number(*said.max, "max"); }
        if (take(said.sha256, expect.sha256, "sha256", given.answer, "answer") &&
            (said.sha256->value.size() != 64 ||
             said.sha256->value.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)) {
            error(codes::bad_text, said.sha256->span, "`sha256` is 64 hexadecimal digits");
        }
        if (said.matches) {
            needs_answer(given.answer, said.matches->span, "matches", "answer");
            expect.matches = pattern(*said.matches);
        }
    }

    void check_number(const Located<std::string>& said, std::string_view key) {
        double number = 0;
        const char* end = said.value.data() + said.value.size();
        const auto read = std::from_chars(said.value.data(), end, number);
        if (read.ec != std::errc{} || read.ptr != end) {
            error(codes::wrong_type, said.span, fmt::format("`{}` is a number", key));
        }
    }

    Text pattern(const Text& said) {
        text(said);
        const std::vector<Reference> references = find_references(said.value);
        if (std::ranges::any_of(references, [](const Reference& each) { return !each.closed; })) { return said; }
        // What isn't known yet stands for a literal text.
        const std::string tried =
            substitute_pattern(said.value, [](std::string_view) { return std::optional<std::string>("x"); });
        std::string problem;
        if (!Pattern::compile(tried, problem)) {
            error(codes::bad_pattern, said.span, fmt::format("this is no regular expression: {}", printable(problem)));
        }
        return said;
    }

    void captures(const StepConfig& config, const Gives& given, Step& step) {
        for (const auto& [name, expression] : config.capture) {
            needs_answer(given.answer, name.span, "capture", "answer");
            std::string dashed = name.value;
            std::ranges::replace(dashed, '_', '-');
            if (!is_name(dashed) || name.value.find('-') != std::string::npos || name.value == "vm" ||
                name.value == scratch_name) {
                error(codes::bad_name, name.span, fmt::format("`{}` is no name of a capture", printable(name.value)))
                    .help =
                    "a name begins with a letter and has at most 31 of a-z, 0-9 and _; it becomes an environment "
                    "variable";
            } else if (axes_.contains(name.value)) {
                error(codes::duplicate_name, name.span, fmt::format("`{}` is an axis already", name.value));
            }
            step.capture.emplace_back(name, pattern(expression));
        }
        for (const auto& [name, expression] : step.capture) { captured_.insert(name.value); }
    }

    const Config& machines_;
    const std::set<std::string>& axes_;
    Diagnostics& diagnostics_;
    std::map<std::string, State> state_;
    std::set<std::pair<Span, std::string>> checked_; ///< what was said once of a text
    std::set<std::string> captured_;
    std::set<std::string> all_captures_;
};

} // namespace

MadeSteps make_steps(const SpecConfig& spec, const Config& machines, const std::set<std::string>& axes,
                     Diagnostics& diagnostics) {
    return Maker(machines, axes, diagnostics).make(spec);
}

} // namespace microvmc::testkit
