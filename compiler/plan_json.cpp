#include "compiler/plan.h"

#include "compiler/diff.h"
#include "compiler/facts_json.h"
#include "compiler/json_enum.h"
#include "compiler/json_fields.h"
#include "compiler/json_shape.h"
#include "compiler/json_text.h"
#include "compiler/plan_schema.h"
#include "compiler/text.h"

#include <fmt/format.h>

#include <limits>

namespace microvmc {

namespace {

constexpr Words<ReadyPlan::Kind, 7> ready_kinds{{{ReadyPlan::Kind::init, "init"},
                                                 {ReadyPlan::Kind::tcp, "tcp"},
                                                 {ReadyPlan::Kind::http, "http"},
                                                 {ReadyPlan::Kind::console, "console"},
                                                 {ReadyPlan::Kind::command, "command"},
                                                 {ReadyPlan::Kind::notify, "notify"},
                                                 {ReadyPlan::Kind::exit, "exit"}}};
constexpr Words<RootPlan::Kind, 7> root_kinds{{{RootPlan::Kind::initramfs, "initramfs"},
                                               {RootPlan::Kind::share, "share"},
                                               {RootPlan::Kind::image, "image"},
                                               {RootPlan::Kind::dir, "dir"},
                                               {RootPlan::Kind::tar, "tar"},
                                               {RootPlan::Kind::oci, "oci"},
                                               {RootPlan::Kind::store, "store"}}};
constexpr Words<BalloonPlan::Mode, 3> balloon_modes{
    {{BalloonPlan::Mode::off, "off"}, {BalloonPlan::Mode::on, "on"}, {BalloonPlan::Mode::automatic, "auto"}}};

const auto kernel_fields =
    std::tuple{field("source", &KernelPlan::source),     field("release", &KernelPlan::release),
               field("identity", &KernelPlan::identity), field("pin", &KernelPlan::pin),
               field("modules", &KernelPlan::modules),   sparse("config", &KernelPlan::config),
               sparse("initrd", &KernelPlan::initrd),    sparse("initrd-identity", &KernelPlan::initrd_identity),
               field("image", &KernelPlan::image),       field("image-reason", &KernelPlan::image_reason),
               field("params", &KernelPlan::params)};
const auto volume_fields = std::tuple{field("name", &VolumePlan::name),
                                      field("image", &VolumePlan::image),
                                      field("size-mib", &VolumePlan::size_mib),
                                      field("fs-type", &VolumePlan::fs_type),
                                      sparse("format", &VolumePlan::format),
                                      field("label", &VolumePlan::label),
                                      field("serial", &VolumePlan::serial),
                                      field("uuid", &VolumePlan::uuid),
                                      sparse("mount-point", &VolumePlan::mount_point),
                                      sparse("mount-options", &VolumePlan::mount_options),
                                      sparse("read-only", &VolumePlan::read_only),
                                      sparse("direct", &VolumePlan::direct),
                                      sparse("cache", &VolumePlan::cache),
                                      sparse("discard", &VolumePlan::discard),
                                      sparse("auto-create", &VolumePlan::auto_create),
                                      sparse("mkfs-args", &VolumePlan::mkfs_args),
                                      sparse("backing", &VolumePlan::backing),
                                      sparse("backing-format", &VolumePlan::backing_format),
                                      sparse("protect", &VolumePlan::protect)};
const auto share_fields = std::tuple{field("name", &SharePlan::name),
                                     field("source", &SharePlan::source),
                                     field("mount-point", &SharePlan::mount_point),
                                     field("tag", &SharePlan::tag),
                                     field("proto", &SharePlan::proto),
                                     sparse("proto-reason", &SharePlan::proto_reason),
                                     sparse("security-model", &SharePlan::security_model),
                                     sparse("server", &SharePlan::server),
                                     sparse("server-kind", &SharePlan::server_kind),
                                     sparse("sandbox", &SharePlan::sandbox),
                                     sparse("read-only", &SharePlan::read_only),
                                     sparse("cache", &SharePlan::cache),
                                     sparse("posix-acl", &SharePlan::posix_acl),
                                     sparse("xattr", &SharePlan::xattr),
                                     sparse("dax", &SharePlan::dax),
                                     sparse("uid-map", &SharePlan::uid_map),
                                     sparse("gid-map", &SharePlan::gid_map),
                                     sparse("on-death", &SharePlan::on_death),
                                     sparse("socket", &SharePlan::socket),
                                     sparse("extra-args", &SharePlan::extra_args)};
const auto forward_fields = std::tuple{field("name", &ForwardPlan::name),
                                       sparse("from", &ForwardPlan::from),
                                       field("proto", &ForwardPlan::proto),
                                       field("host-address", &ForwardPlan::host_address),
                                       field("host-port", &ForwardPlan::host_port),
                                       sparse("guest-address", &ForwardPlan::guest_address),
                                       field("guest-port", &ForwardPlan::guest_port),
                                       sparse("relay", &ForwardPlan::relay)};
const auto interface_fields = std::tuple{field("name", &InterfacePlan::name),
                                         field("type", &InterfacePlan::type),
                                         sparse("network", &InterfacePlan::network),
                                         sparse("bridge", &InterfacePlan::bridge),
                                         sparse("link", &InterfacePlan::link),
                                         sparse("id", &InterfacePlan::id),
                                         field("mac", &InterfacePlan::mac),
                                         field("addresses", &InterfacePlan::addresses),
                                         sparse("gateway", &InterfacePlan::gateway),
                                         sparse("dns", &InterfacePlan::dns),
                                         sparse("mode", &InterfacePlan::mode),
                                         sparse("vhost", &InterfacePlan::vhost),
                                         sparse("queues", &InterfacePlan::queues),
                                         sparse("mtu", &InterfacePlan::mtu),
                                         sparse("rate-mib", &InterfacePlan::rate_mib),
                                         sparse("managed", &InterfacePlan::managed),
                                         sparse("allow-spoofing", &InterfacePlan::allow_spoofing),
                                         sparse("forwards", &InterfacePlan::forwards)};
const auto host_device_fields =
    std::tuple{field("name", &HostDevicePlan::name), field("bus", &HostDevicePlan::bus),
               field("path", &HostDevicePlan::path), sparse("iommu-group", &HostDevicePlan::iommu_group)};
const auto ready_fields = std::tuple{field("kind", &ReadyPlan::kind),        sparse("port", &ReadyPlan::port),
                                     sparse("path", &ReadyPlan::path),       sparse("text", &ReadyPlan::text),
                                     sparse("command", &ReadyPlan::command), sparse("status", &ReadyPlan::status)};
const auto root_fields = std::tuple{field("kind", &RootPlan::kind),
                                    field("source", &RootPlan::source),
                                    field("tag", &RootPlan::tag),
                                    field("overlay", &RootPlan::overlay),
                                    sparse("fs-type", &RootPlan::fs_type),
                                    sparse("image", &RootPlan::image),
                                    sparse("uuid", &RootPlan::uuid),
                                    sparse("arch", &RootPlan::arch),
                                    sparse("format", &RootPlan::format),
                                    sparse("partition", &RootPlan::partition),
                                    sparse("read-only", &RootPlan::read_only)};
const auto balloon_fields =
    std::tuple{field("mode", &BalloonPlan::mode), sparse("floor-mib", &BalloonPlan::floor_mib),
               sparse("initial-mib", &BalloonPlan::initial_mib), sparse("deflate-on-oom", &BalloonPlan::deflate_on_oom),
               sparse("free-page-reporting", &BalloonPlan::free_page_reporting)};
const auto cloud_init_fields = std::tuple{
    sparse("user-data", &CloudInitPlan::user_data), sparse("meta-data", &CloudInitPlan::meta_data),
    sparse("network-config", &CloudInitPlan::network_config), sparse("instance-id", &CloudInitPlan::instance_id)};
const auto graphics_fields =
    std::tuple{field("backend", &GraphicsPlan::backend), sparse("address", &GraphicsPlan::address),
               sparse("port", &GraphicsPlan::port), sparse("socket", &GraphicsPlan::socket)};
const auto credential_fields =
    std::tuple{field("name", &CredentialPlan::name), sparse("file", &CredentialPlan::file),
               sparse("env", &CredentialPlan::env), sparse("command", &CredentialPlan::command)};
const auto restart_fields = std::tuple{field("policy", &RestartPlan::policy), field("delay-ms", &RestartPlan::delay_ms),
                                       field("limit", &RestartPlan::limit)};
const auto limits_fields = std::tuple{
    sparse("cpu", &LimitsPlan::cpu), sparse("mem-mib", &LimitsPlan::mem_mib), sparse("pids", &LimitsPlan::pids),
    sparse("io-read-mib", &LimitsPlan::io_read_mib), sparse("io-write-mib", &LimitsPlan::io_write_mib)};
const auto network_fields = std::tuple{field("name", &NetworkPlan::name),       field("mode", &NetworkPlan::mode),
                                       field("subnets", &NetworkPlan::subnets), field("bridge", &NetworkPlan::bridge),
                                       field("managed", &NetworkPlan::managed), sparse("uplink", &NetworkPlan::uplink),
                                       field("dhcp", &NetworkPlan::dhcp),       field("dns", &NetworkPlan::dns),
                                       field("domain", &NetworkPlan::domain),   sparse("mtu", &NetworkPlan::mtu)};
const auto vm_fields = std::tuple{field("name", &VmPlan::name),
                                  field("enabled", &VmPlan::enabled),
                                  field("hypervisor", &VmPlan::hypervisor),
                                  field("hypervisor-reason", &VmPlan::hypervisor_reason),
                                  field("program", &VmPlan::program),
                                  field("program-version", &VmPlan::program_version),
                                  field("machine", &VmPlan::machine),
                                  sparse("machine-reason", &VmPlan::machine_reason),
                                  field("accel", &VmPlan::accel),
                                  sparse("accel-reason", &VmPlan::accel_reason),
                                  sparse("extra-args", &VmPlan::extra_args),
                                  sparse("options", &VmPlan::options),
                                  field("arch", &VmPlan::arch),
                                  sparse("cpu", &VmPlan::cpu),
                                  field("vcpu", &VmPlan::vcpu),
                                  field("mem-mib", &VmPlan::mem_mib),
                                  sparse("mem-max-mib", &VmPlan::mem_max_mib),
                                  sparse("mem-boot-mib", &VmPlan::mem_boot_mib),
                                  sparse("hugepages", &VmPlan::hugepages),
                                  sparse("balloon", &VmPlan::balloon),
                                  field("kernel", &VmPlan::kernel),
                                  sparse("firmware", &VmPlan::firmware),
                                  field("root", &VmPlan::root),
                                  sparse("cloud-init", &VmPlan::cloud_init),
                                  sparse("init", &VmPlan::init),
                                  field("hostname", &VmPlan::hostname),
                                  sparse("machine-id", &VmPlan::machine_id),
                                  sparse("command", &VmPlan::command),
                                  sparse("env", &VmPlan::env),
                                  sparse("workdir", &VmPlan::workdir),
                                  sparse("volumes", &VmPlan::volumes),
                                  sparse("shares", &VmPlan::shares),
                                  sparse("interfaces", &VmPlan::interfaces),
                                  sparse("devices", &VmPlan::host_devices),
                                  sparse("vsock-cid", &VmPlan::vsock_cid),
                                  sparse("console", &VmPlan::console),
                                  sparse("graphics", &VmPlan::graphics),
                                  sparse("credentials", &VmPlan::credentials),
                                  field("ready", &VmPlan::ready),
                                  sparse("depends-on", &VmPlan::depends_on),
                                  sparse("restart", &VmPlan::restart),
                                  sparse("autostart", &VmPlan::autostart),
                                  field("startup-timeout-ms", &VmPlan::startup_timeout_ms),
                                  field("shutdown-timeout-ms", &VmPlan::shutdown_timeout_ms),
                                  sparse("limits", &VmPlan::limits),
                                  sparse("vmm-user", &VmPlan::vmm_user),
                                  sparse("pre-start", &VmPlan::pre_start),
                                  sparse("post-stop", &VmPlan::post_stop),
                                  sparse("in-place", &VmPlan::in_place),
                                  field("state-dir", &VmPlan::state_dir),
                                  field("runtime-dir", &VmPlan::runtime_dir),
                                  sparse("origins", &VmPlan::origins)};
const auto source_fields = std::tuple{field("path", &SourceDigest::path), field("digest", &SourceDigest::digest),
                                      field("included", &SourceDigest::included)};
const auto digest_fields = std::tuple{field("sources", &PlanDigests::sources), field("facts", &PlanDigests::facts),
                                      field("observed", &PlanDigests::observed)};
const auto plan_fields = std::tuple{field("version", &Plan::version),
                                    field("project", &Plan::project),
                                    field("project-state-dir", &Plan::project_state_dir),
                                    field("project-runtime-dir", &Plan::project_runtime_dir),
                                    field("host", &Plan::host),
                                    field("arch", &Plan::arch),
                                    field("host-summary", &Plan::host_summary),
                                    field("digests", &Plan::digests),
                                    sparse("networks", &Plan::networks),
                                    field("vms", &Plan::vms)};

} // namespace

void to_json(nlohmann::json& json, const ReadyPlan::Kind& kind) {
    json = word_of(kind, ready_kinds);
}
void from_json(const nlohmann::json& json, ReadyPlan::Kind& kind) {
    kind = from_word(json, ready_kinds);
}
void to_json(nlohmann::json& json, const RootPlan::Kind& kind) {
    json = word_of(kind, root_kinds);
}
void from_json(const nlohmann::json& json, RootPlan::Kind& kind) {
    kind = from_word(json, root_kinds);
}
void to_json(nlohmann::json& json, const Origins& origins) {
    json = nlohmann::json::object();
    for (const auto& each : origins.entries()) {
        json[each.key] = fmt::format("{}:{}:{}", origins.file(each), each.line, each.column);
    }
}
void from_json(const nlohmann::json& json, Origins& origins) {
    origins = {};
    for (const auto& member : json.get_ref<const nlohmann::json::object_t&>()) {
        const auto& text = member.second.get_ref<const std::string&>();
        const auto column = text.rfind(':');
        const auto line = column == std::string::npos || column == 0 ? std::string::npos : text.rfind(':', column - 1);
        const auto number = [&](std::size_t from, std::size_t to) {
            const auto said =
                line == std::string::npos ? std::nullopt : parse_number(std::string_view(text).substr(from, to - from));
            if (!said || *said > std::numeric_limits<std::uint32_t>::max()) {
                throw nlohmann::json::other_error::create(505, "no FILE:LINE:COLUMN: " + text, &member.second);
            }
            return static_cast<std::uint32_t>(*said);
        };
        const std::uint32_t at_line = number(line + 1, column);
        origins.add(member.first, std::string_view(text).substr(0, line), at_line, number(column + 1, text.size()));
    }
}
void to_json(nlohmann::json& json, const KernelPlan& kernel) {
    write_fields(json, kernel, kernel_fields);
}
void from_json(const nlohmann::json& json, KernelPlan& kernel) {
    read_fields(json, kernel, kernel_fields);
}
void to_json(nlohmann::json& json, const VolumePlan& volume) {
    write_fields(json, volume, volume_fields);
}
void from_json(const nlohmann::json& json, VolumePlan& volume) {
    read_fields(json, volume, volume_fields);
}
void to_json(nlohmann::json& json, const SharePlan& share) {
    write_fields(json, share, share_fields);
}
void from_json(const nlohmann::json& json, SharePlan& share) {
    read_fields(json, share, share_fields);
}
void to_json(nlohmann::json& json, const ForwardPlan& forward) {
    write_fields(json, forward, forward_fields);
}
void from_json(const nlohmann::json& json, ForwardPlan& forward) {
    read_fields(json, forward, forward_fields);
}
void to_json(nlohmann::json& json, const InterfacePlan& interface) {
    write_fields(json, interface, interface_fields);
}
void from_json(const nlohmann::json& json, InterfacePlan& interface) {
    read_fields(json, interface, interface_fields);
}
void to_json(nlohmann::json& json, const ReadyPlan& ready) {
    write_fields(json, ready, ready_fields);
}
void from_json(const nlohmann::json& json, ReadyPlan& ready) {
    read_fields(json, ready, ready_fields);
}
void to_json(nlohmann::json& json, const RootPlan& root) {
    write_fields(json, root, root_fields);
}
void from_json(const nlohmann::json& json, RootPlan& root) {
    read_fields(json, root, root_fields);
}
void to_json(nlohmann::json& json, const BalloonPlan::Mode& kind) {
    json = word_of(kind, balloon_modes);
}
void from_json(const nlohmann::json& json, BalloonPlan::Mode& kind) {
    kind = from_word(json, balloon_modes);
}
void to_json(nlohmann::json& json, const HostDevicePlan& object) {
    write_fields(json, object, host_device_fields);
}
void from_json(const nlohmann::json& json, HostDevicePlan& object) {
    read_fields(json, object, host_device_fields);
}
void to_json(nlohmann::json& json, const BalloonPlan& object) {
    write_fields(json, object, balloon_fields);
}
void from_json(const nlohmann::json& json, BalloonPlan& object) {
    read_fields(json, object, balloon_fields);
}
void to_json(nlohmann::json& json, const CloudInitPlan& object) {
    write_fields(json, object, cloud_init_fields);
}
void from_json(const nlohmann::json& json, CloudInitPlan& object) {
    read_fields(json, object, cloud_init_fields);
}
void to_json(nlohmann::json& json, const GraphicsPlan& object) {
    write_fields(json, object, graphics_fields);
}
void from_json(const nlohmann::json& json, GraphicsPlan& object) {
    read_fields(json, object, graphics_fields);
}
void to_json(nlohmann::json& json, const CredentialPlan& object) {
    write_fields(json, object, credential_fields);
}
void from_json(const nlohmann::json& json, CredentialPlan& object) {
    read_fields(json, object, credential_fields);
}
void to_json(nlohmann::json& json, const RestartPlan& object) {
    write_fields(json, object, restart_fields);
}
void from_json(const nlohmann::json& json, RestartPlan& object) {
    read_fields(json, object, restart_fields);
}
void to_json(nlohmann::json& json, const LimitsPlan& object) {
    write_fields(json, object, limits_fields);
}
void from_json(const nlohmann::json& json, LimitsPlan& object) {
    read_fields(json, object, limits_fields);
}
void to_json(nlohmann::json& json, const NetworkPlan& object) {
    write_fields(json, object, network_fields);
}
void from_json(const nlohmann::json& json, NetworkPlan& object) {
    read_fields(json, object, network_fields);
}
void to_json(nlohmann::json& json, const SourceDigest& source) {
    write_fields(json, source, source_fields);
}
void from_json(const nlohmann::json& json, SourceDigest& source) {
    read_fields(json, source, source_fields);
}
void to_json(nlohmann::json& json, const PlanDigests& digests) {
    write_fields(json, digests, digest_fields);
}
void from_json(const nlohmann::json& json, PlanDigests& digests) {
    read_fields(json, digests, digest_fields);
}
void to_json(nlohmann::json& json, const VmPlan& vm) {
    write_fields(json, vm, vm_fields);
}
void from_json(const nlohmann::json& json, VmPlan& vm) {
    read_fields(json, vm, vm_fields);
}
void to_json(nlohmann::json& json, const Plan& plan) {
    write_fields(json, plan, plan_fields);
}

void from_json(const nlohmann::json& json, Plan& plan) {
    int version = 0;
    read_value(json.at("version"), version);
    if (version != plan_version) {
        throw nlohmann::json::other_error::create(
            504, "a plan of version " + std::to_string(version) + ", this program has " + std::to_string(plan_version),
            &json);
    }
    read_fields(json, plan, plan_fields);
}

void json_text(JsonText& out, const ReadyPlan::Kind& kind) {
    out.string(word_of(kind, ready_kinds));
}
void json_text(JsonText& out, const RootPlan::Kind& kind) {
    out.string(word_of(kind, root_kinds));
}
void json_text(JsonText& out, const Origins& origins) {
    out.begin('{');
    for (const auto& each : origins.entries()) {
        out.key(each.key);
        out.quote();
        out.part(origins.file(each));
        out.part(":");
        out.number(std::uint64_t{each.line});
        out.part(":");
        out.number(std::uint64_t{each.column});
        out.quote();
    }
    out.end('}');
}
void json_text(JsonText& out, const KernelPlan& object) {
    text_fields(out, object, kernel_fields);
}
void json_text(JsonText& out, const VolumePlan& object) {
    text_fields(out, object, volume_fields);
}
void json_text(JsonText& out, const SharePlan& object) {
    text_fields(out, object, share_fields);
}
void json_text(JsonText& out, const ForwardPlan& object) {
    text_fields(out, object, forward_fields);
}
void json_text(JsonText& out, const InterfacePlan& object) {
    text_fields(out, object, interface_fields);
}
void json_text(JsonText& out, const ReadyPlan& object) {
    text_fields(out, object, ready_fields);
}
void json_text(JsonText& out, const RootPlan& object) {
    text_fields(out, object, root_fields);
}
void json_text(JsonText& out, const BalloonPlan::Mode& kind) {
    out.string(word_of(kind, balloon_modes));
}
void json_text(JsonText& out, const HostDevicePlan& object) {
    text_fields(out, object, host_device_fields);
}
void json_text(JsonText& out, const BalloonPlan& object) {
    text_fields(out, object, balloon_fields);
}
void json_text(JsonText& out, const CloudInitPlan& object) {
    text_fields(out, object, cloud_init_fields);
}
void json_text(JsonText& out, const GraphicsPlan& object) {
    text_fields(out, object, graphics_fields);
}
void json_text(JsonText& out, const CredentialPlan& object) {
    text_fields(out, object, credential_fields);
}
void json_text(JsonText& out, const RestartPlan& object) {
    text_fields(out, object, restart_fields);
}
void json_text(JsonText& out, const LimitsPlan& object) {
    text_fields(out, object, limits_fields);
}
void json_text(JsonText& out, const NetworkPlan& object) {
    text_fields(out, object, network_fields);
}
void json_text(JsonText& out, const SourceDigest& object) {
    text_fields(out, object, source_fields);
}
void json_text(JsonText& out, const PlanDigests& object) {
    text_fields(out, object, digest_fields);
}
void json_text(JsonText& out, const VmPlan& object) {
    text_fields(out, object, vm_fields);
}
void json_text(JsonText& out, const Plan& object) {
    text_fields(out, object, plan_fields);
}

std::string to_json_text(const Plan& plan) {
    return json_written([&](JsonText& out) { json_text(out, plan); });
}

// For the JSON Schema: a new struct of the plan needs its line here.
using Shape = JsonShapes::Json;

Shape json_shape(JsonShapes& /*shapes*/, const ReadyPlan::Kind* /*type*/) {
    return JsonShapes::words(ready_kinds);
}
Shape json_shape(JsonShapes& /*shapes*/, const RootPlan::Kind* /*type*/) {
    return JsonShapes::words(root_kinds);
}
Shape json_shape(JsonShapes& /*shapes*/, const BalloonPlan::Mode* /*type*/) {
    return JsonShapes::words(balloon_modes);
}
Shape json_shape(JsonShapes& /*shapes*/, const Origins* /*type*/) {
    return {{"type", "object"},
            {"additionalProperties",
             {{"type", "string"}, {"pattern", ":[0-9]+:[0-9]+$"}, {"description", "FILE:LINE:COLUMN"}}}};
}
Shape json_shape(JsonShapes& shapes, const KernelPlan* /*type*/) {
    return shapes.object<KernelPlan>("kernel", kernel_fields);
}
Shape json_shape(JsonShapes& shapes, const VolumePlan* /*type*/) {
    return shapes.object<VolumePlan>("volume", volume_fields);
}
Shape json_shape(JsonShapes& shapes, const SharePlan* /*type*/) {
    return shapes.object<SharePlan>("share", share_fields);
}
Shape json_shape(JsonShapes& shapes, const ForwardPlan* /*type*/) {
    return shapes.object<ForwardPlan>("forward", forward_fields);
}
Shape json_shape(JsonShapes& shapes, const InterfacePlan* /*type*/) {
    return shapes.object<InterfacePlan>("interface", interface_fields);
}
Shape json_shape(JsonShapes& shapes, const ReadyPlan* /*type*/) {
    return shapes.object<ReadyPlan>("ready", ready_fields);
}
Shape json_shape(JsonShapes& shapes, const RootPlan* /*type*/) {
    return shapes.object<RootPlan>("root", root_fields);
}
Shape json_shape(JsonShapes& shapes, const HostDevicePlan* /*type*/) {
    return shapes.object<HostDevicePlan>("device", host_device_fields);
}
Shape json_shape(JsonShapes& shapes, const BalloonPlan* /*type*/) {
    return shapes.object<BalloonPlan>("balloon", balloon_fields);
}
Shape json_shape(JsonShapes& shapes, const CloudInitPlan* /*type*/) {
    return shapes.object<CloudInitPlan>("cloud-init", cloud_init_fields);
}
Shape json_shape(JsonShapes& shapes, const GraphicsPlan* /*type*/) {
    return shapes.object<GraphicsPlan>("graphics", graphics_fields);
}
Shape json_shape(JsonShapes& shapes, const CredentialPlan* /*type*/) {
    return shapes.object<CredentialPlan>("credential", credential_fields);
}
Shape json_shape(JsonShapes& shapes, const RestartPlan* /*type*/) {
    return shapes.object<RestartPlan>("restart", restart_fields);
}
Shape json_shape(JsonShapes& shapes, const LimitsPlan* /*type*/) {
    return shapes.object<LimitsPlan>("limits", limits_fields);
}
Shape json_shape(JsonShapes& shapes, const NetworkPlan* /*type*/) {
    return shapes.object<NetworkPlan>("network", network_fields);
}
Shape json_shape(JsonShapes& shapes, const SourceDigest* /*type*/) {
    return shapes.object<SourceDigest>("source", source_fields);
}
Shape json_shape(JsonShapes& shapes, const PlanDigests* /*type*/) {
    return shapes.object<PlanDigests>("digests", digest_fields);
}
Shape json_shape(JsonShapes& shapes, const VmPlan* /*type*/) {
    return shapes.object<VmPlan>("vm", vm_fields);
}

std::string plan_json_schema() {
    JsonShapes shapes;
    const Shape reference = shapes.object<Plan>("plan", plan_fields);
    const Shape changes = json_shape(shapes, static_cast<const std::vector<VmChange>*>(nullptr));
    Shape definitions = shapes.definitions();
    definitions["plan"]["properties"]["version"] = {{"enum", Shape::array({plan_version})}};
    const Shape printed{
        {"type", "object"},
        {"required", {"version", "plan", "changes"}},
        {"properties",
         {{"version", {{"enum", Shape::array({plan_version})}}},
          {"plan", reference},
          {"changes", changes},
          {"against", {{"type", "string"}, {"description", "What was compared with; absent: what runs"}}}}},
        {"additionalProperties", false}};
    const Shape schema{{"$schema", "http://json-schema.org/draft-07/schema#"},
                       {"title", "microvmc plan"},
                       {"description",
                        "What `microvmc plan --out` saves, and what `plan --json` prints. Sizes are MiB, durations "
                        "milliseconds, paths absolute. A change of meaning raises the version."},
                       {"anyOf", {reference, printed}},
                       {"definitions", definitions}};
    return schema.dump(2) + "\n";
}

} // namespace microvmc
