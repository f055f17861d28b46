#include "testkit/reading.h"

#include "compiler/text.h"
#include "runtime/error.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <variant>

namespace microvmc::testkit {

namespace {

const VolumePlan& volume_of(const Plan& plan, const std::string& vm, const std::string& name) {
    for (const VmPlan& each : plan.vms) {
        if (each.name != vm) { continue; }
        const auto volume = std::ranges::find(each.volumes, name, &VolumePlan::name);
        if (volume != each.volumes.end()) { return *volume; }
    }
    throw Error(fmt::format("{} has no volume {}", vm, printable(name)));
}

Verdict judge_file(const Step& step, const FileAnswer& file, Variables& variables, const Plan& plan) {
    if (!file.content) { return {file.unable ? Outcome::skipped : Outcome::wrong, printable(file.problem)}; }
    Answer answer;
    answer.bytes = *file.content;
    return judge(step, answer, variables, plan);
}

} // namespace

std::vector<FileRequest> requests_of(const Suspended& suspended, const Case& which) {
    const Lookup lookup = lookup_in(suspended.state.variables, suspended.job.plan);
    std::vector<FileRequest> requests;
    for (std::size_t i = suspended.state.next; i < which.steps.size(); ++i) {
        const auto* wanted = std::get_if<VolumeStep>(&which.steps[i].what);
        if (wanted == nullptr) { break; }
        try {
            const VolumePlan& volume = volume_of(suspended.job.plan, which.steps[i].on, filled(wanted->volume, lookup));
            requests.push_back({.image = volume.image,
                                .format = volume.format,
                                .fs_type = volume.fs_type,
                                .path = filled(wanted->path, lookup)});
        } catch (const Error&) {
            if (requests.empty()) { throw; }
            break;
        }
    }
    return requests;
}

std::optional<Carried> take_answers(Suspended& suspended, const Case& which, const std::vector<FileAnswer>& answers) {
    CaseState& state = suspended.state;
    for (const FileAnswer& file : answers) {
        const Step& step = which.steps[state.next];
        const std::string prefix = step_prefix(state.next);
        state.timeline.push_back({state.elapsed_ms, fmt::format("{}{}, read by {}", prefix, describe(step), file.how)});
        Verdict verdict;
        try {
            verdict = judge_file(step, file, state.variables, suspended.job.plan);
        } catch (const Error& error) { verdict = {Outcome::error, printable(error.what())}; }
        if (verdict.outcome != Outcome::passed) {
            state.timeline.push_back({state.elapsed_ms, verdict.message});
            verdict.message.insert(0, prefix);
            return Carried{Carried::Kind::finished, std::move(verdict), step.span};
        }
        ++state.next;
    }
    if (state.next < which.steps.size()) { return std::nullopt; }
    state.timeline.push_back({state.elapsed_ms, "passed"});
    return Carried{};
}

std::string to_bytes(const std::vector<FileAnswer>& answers) {
    nlohmann::json json = nlohmann::json::array();
    for (const FileAnswer& answer : answers) {
        nlohmann::json each = {{"problem", answer.problem}, {"unable", answer.unable}, {"how", answer.how}};
        if (answer.content) {
            each["content"] = nlohmann::json::binary({answer.content->begin(), answer.content->end()});
        }
        json.push_back(std::move(each));
    }
    std::string bytes;
    nlohmann::json::to_cbor(json, bytes);
    return bytes;
}

std::vector<FileAnswer> answers_from(const std::string& bytes) {
    try {
        std::vector<FileAnswer> answers;
        for (const nlohmann::json& each : nlohmann::json::from_cbor(bytes)) {
            FileAnswer& answer = answers.emplace_back();
            each.at("problem").get_to(answer.problem);
            each.at("unable").get_to(answer.unable);
            each.at("how").get_to(answer.how);
            if (!each.contains("content")) { continue; }
            const auto& content = each.at("content").get_binary();
            answer.content.emplace(content.begin(), content.end());
        }
        return answers;
    } catch (const nlohmann::json::exception& error) {
        throw Error(fmt::format("the process that reads images ended early: {}", error.what()));
    }
}

} // namespace microvmc::testkit
