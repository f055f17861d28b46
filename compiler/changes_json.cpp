#include "compiler/diff.h"
#include "compiler/json_enum.h"
#include "compiler/json_fields.h"
#include "compiler/json_shape.h"
#include "compiler/json_text.h"

#include <fmt/format.h>

namespace microvmc {

namespace {

constexpr Words<ChangeKind, 8> kinds{{{ChangeKind::none, "none"},
                                      {ChangeKind::create, "create"},
                                      {ChangeKind::start, "start"},
                                      {ChangeKind::in_place, "in-place"},
                                      {ChangeKind::restart, "restart"},
                                      {ChangeKind::stop, "stop"},
                                      {ChangeKind::update, "update"},
                                      {ChangeKind::destroy, "destroy"}}};

const auto key_fields = std::tuple{field("key", &KeyChange::key),       field("before", &KeyChange::before),
                                   field("after", &KeyChange::after),   field("restart", &KeyChange::needs_restart),
                                   field("reason", &KeyChange::reason), sparse("at", &KeyChange::origin)};
const auto vm_fields = std::tuple{field("vm", &VmChange::vm), field("kind", &VmChange::kind),
                                  field("summary", &VmChange::summary), field("keys", &VmChange::keys)};

} // namespace

void json_text(JsonText& out, const ChangeKind& kind) {
    out.string(word_of(kind, kinds));
}
void json_text(JsonText& out, const Origin& origin) {
    out.string(fmt::format("{}:{}", origin.file, origin.line));
}
void json_text(JsonText& out, const KeyChange& change) {
    text_fields(out, change, key_fields);
}
void json_text(JsonText& out, const VmChange& change) {
    text_fields(out, change, vm_fields);
}

nlohmann::ordered_json json_shape(JsonShapes& /*shapes*/, const ChangeKind* /*type*/) {
    return JsonShapes::words(kinds);
}
nlohmann::ordered_json json_shape(JsonShapes& /*shapes*/, const Origin* /*type*/) {
    return {{"type", "string"}, {"pattern", ":[0-9]+$"}, {"description", "FILE:LINE"}};
}
nlohmann::ordered_json json_shape(JsonShapes& shapes, const KeyChange* /*type*/) {
    return shapes.object<KeyChange>("key-change", key_fields);
}
nlohmann::ordered_json json_shape(JsonShapes& shapes, const VmChange* /*type*/) {
    return shapes.object<VmChange>("change", vm_fields);
}

void to_json(nlohmann::json& json, const Changes& changes) {
    json = nlohmann::json::parse(to_json_text(changes));
}

std::string to_json_text(const Changes& changes) {
    return json_written([&](JsonText& out) { json_text(out, changes.vms); });
}

void write_json(const Plan& plan, const Changes& changes, const std::string& against, const TextSink& sink) {
    JsonText out(sink);
    out.begin('{');
    out.key("version");
    json_text(out, plan_version);
    out.key("plan");
    json_text(out, plan);
    out.key("changes");
    json_text(out, changes.vms);
    if (!against.empty()) {
        out.key("against");
        out.string(against);
    }
    out.end('}');
    out.finish();
}

} // namespace microvmc
