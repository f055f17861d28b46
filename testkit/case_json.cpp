#include "testkit/case_json.h"

#include "testkit/needs.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace microvmc::testkit {

namespace {

using Json = nlohmann::ordered_json;

std::string_view verb_name(VmStep::Verb verb) {
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

std::string_view stats_name(StatsStep::What what) {
    switch (what) {
    case StatsStep::What::resident: return "resident";
    case StatsStep::What::balloon: return "balloon";
    }
    return {};
}

Json commands_json(const std::vector<HostStep>& commands) {
    Json json = Json::array();
    for (const HostStep& command : commands) {
        Json& argv = json.emplace_back(Json::array());
        for (const Text& word : command.argv) { argv.push_back(word.value); }
    }
    return json;
}

void add_what(Json& json, const Step& step) {
    struct Visit {
        Json& json;
        void operator()(const GuestStep& step) const { json["guest"] = step.command.value; }
        void operator()(const HostStep& step) const {
            for (const Text& argument : step.argv) { json["host"].push_back(argument.value); }
        }
        void operator()(const HttpStep& step) const { json["http"] = step.url.value; }
        void operator()(const TcpStep& step) const { socket("tcp", step.address, step.send); }
        void operator()(const UdpStep& step) const { socket("udp", step.address, step.send); }
        void operator()(const PingStep& step) const { json["ping"] = step.address.value; }
        void operator()(const ConsoleStep& step) const {
            json["console"] = {{"type", step.type.value}, {"times", step.times}};
        }
        void operator()(const VmStep& step) const {
            if (step.balloon) {
                json["vm"] = {{"balloon", step.balloon->value}};
            } else {
                json["vm"] = verb_name(step.verb);
            }
        }
        void operator()(const VolumeStep& step) const {
            json["volume"] = {{"name", step.volume.value}, {"path", step.path.value}};
        }
        void operator()(const StatsStep& step) const { json["stats"] = stats_name(step.what); }
        void operator()(const ApplyStep& step) const {
            for (const VmConfig& vm : step.config->vms) { json["apply"].push_back(vm.name.value); }
        }
        void socket(const char* kind, const Text& address, const Text& send) const {
            json[kind] = address.value;
            if (!send.value.empty()) { json[kind] = {{"address", address.value}, {"send", send.value}}; }
        }
    };
    std::visit(Visit{json}, step.what);
}

Json expect_json(const Expect& expect) {
    Json json = Json::object();
    const auto add = [&json](const char* key, const std::optional<Text>& value) {
        if (value) { json[key] = value->value; }
    };
    add("status", expect.status);
    add("equals", expect.equals);
    add("matches", expect.matches);
    add("min", expect.min);
    add("max", expect.max);
    add("sha256", expect.sha256);
    return json;
}

std::string place(const Span& span, const Sources& sources) {
    return fmt::format("{}:{}:{}", sources.files.at(span.file).path, span.begin.line, span.begin.column);
}

Json step_json(const Step& step, const Sources& sources) {
    Json json = Json::object();
    json["where"] = place(step.span, sources);
    add_what(json, step);
    if (!step.on.empty()) { json["on"] = step.on; }
    for (const auto& [name, value] : step.env) { json["env"][name] = value.value; }
    if (Json expect = expect_json(step.expect); !expect.empty()) { json["expect"] = std::move(expect); }
    for (const auto& [name, expression] : step.capture) { json["capture"][name.value] = expression.value; }
    if (step.within_ms) { json["within-ms"] = *step.within_ms; }
    json["timeout-ms"] = step.timeout_ms;
    return json;
}

Json exclusion_json(const Exclusion& exclusion) {
    Json json = Json::object();
    if (exclusion.hypervisor) { json["hypervisor"] = *exclusion.hypervisor; }
    if (exclusion.accel) { json["accel"] = *exclusion.accel; }
    if (exclusion.interpreted) { json["interpreted"] = *exclusion.interpreted; }
    return json;
}

} // namespace

Json case_json(const Case& which, const Sources& sources) {
    Json json;
    json["id"] = which.id();
    json["spec"] = which.spec;
    json["name"] = which.name;
    json["axes"] = Json::object();
    for (const auto& [axis, value] : which.axes) { json["axes"][axis] = value; }
    json["proves"] = which.proves;
    json["needs"] = Json::array();
    for (const Need& need : needs(which)) { json["needs"].push_back(need.capability); }
    json["timeout-ms"] = which.timeout_ms;
    if (which.isolated) { json["isolated"] = true; }
    if (which.apart) { json["apart"] = true; }
    if (!which.prepare.empty()) { json["prepare"] = commands_json(which.prepare); }
    if (!which.cleanup.empty()) { json["cleanup"] = commands_json(which.cleanup); }
    for (const Exclusion& each : which.not_on) { json["not-on"].push_back(exclusion_json(each)); }
    json["machines"] = Json::array();
    for (const VmConfig& vm : which.config.vms) { json["machines"].push_back(vm.name.value); }
    json["steps"] = Json::array();
    for (const Step& step : which.steps) { json["steps"].push_back(step_json(step, sources)); }
    return json;
}

} // namespace microvmc::testkit
