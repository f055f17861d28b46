#include "runtime/launch.h"

namespace microvmc {

NLOHMANN_JSON_SERIALIZE_ENUM(AgentChannel::Kind, {
                                                     {AgentChannel::Kind::none, "none"},
                                                     {AgentChannel::Kind::unix_stream, "unix-stream"},
                                                 })
NLOHMANN_JSON_SERIALIZE_ENUM(End::Kind, {
                                            {End::Kind::exited, "exited"},
                                            {End::Kind::poweroff, "poweroff"},
                                            {End::Kind::reboot, "reboot"},
                                            {End::Kind::panic, "panic"},
                                            {End::Kind::vmm_crash, "vmm-crash"},
                                            {End::Kind::killed, "killed"},
                                            {End::Kind::timed_out, "timed-out"},
                                            {End::Kind::start_failed, "start-failed"},
                                        })
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Child, role, argv, console, await_socket)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(AgentChannel, kind, socket)

namespace {
// One list for both directions, so that neither can forget a field.
template <typename Json, typename L, typename Visit> void visit_fields(Json& json, L& launch, Visit visit) {
    visit(json["version"], launch.version);
    visit(json["project"], launch.project);
    visit(json["vm"], launch.vm);
    visit(json["children"], launch.children);
    visit(json["agent"], launch.agent);
    visit(json["ready_kind"], launch.ready_kind);
    visit(json["ready_text"], launch.ready_text);
    visit(json["ready_status"], launch.ready_status);
    visit(json["startup_timeout_ms"], launch.startup_timeout_ms);
    visit(json["shutdown_timeout_ms"], launch.shutdown_timeout_ms);
    visit(json["runtime_dir"], launch.runtime_dir);
    visit(json["console_log"], launch.console_log);
    visit(json["vmm_log"], launch.vmm_log);
    visit(json["end_file"], launch.end_file);
    visit(json["plan"], launch.plan);
}
} // namespace

void to_json(nlohmann::json& json, const Launch& launch) {
    visit_fields(json, launch, [](nlohmann::json& field, const auto& value) { field = value; });
}

void from_json(const nlohmann::json& json, Launch& launch) {
    nlohmann::json copy = json;
    visit_fields(copy, launch, [](nlohmann::json& field, auto& value) { field.get_to(value); });
}

void to_json(nlohmann::json& json, const End& end) {
    json = {{"kind", end.kind}, {"status", end.status}, {"detail", end.detail}};
}

void from_json(const nlohmann::json& json, End& end) {
    json.at("kind").get_to(end.kind);
    json.at("status").get_to(end.status);
    json.at("detail").get_to(end.detail);
}

} // namespace microvmc
