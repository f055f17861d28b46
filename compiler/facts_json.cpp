#include "compiler/facts_json.h"

#include "compiler/json_enum.h"
#include "compiler/json_fields.h"
#include "compiler/json_shape.h"
#include "compiler/json_text.h"

namespace microvmc {

namespace {

constexpr Words<KvmState, 4> kvm_states{{{KvmState::works, "works"},
                                         {KvmState::missing, "missing"},
                                         {KvmState::forbidden, "forbidden"},
                                         {KvmState::incomplete, "incomplete"}}};
constexpr Words<KernelImage, 3> images{
    {{KernelImage::bzimage, "bzimage"}, {KernelImage::elf, "elf"}, {KernelImage::unknown, "unknown"}}};
constexpr Words<Compression, 6> compressions{{{Compression::none, "none"},
                                              {Compression::gzip, "gzip"},
                                              {Compression::xz, "xz"},
                                              {Compression::zstd, "zstd"},
                                              {Compression::lz4_legacy, "lz4-legacy"},
                                              {Compression::other, "other"}}};
constexpr Words<PathFacts::Kind, 5> kinds{{{PathFacts::Kind::missing, "missing"},
                                           {PathFacts::Kind::file, "file"},
                                           {PathFacts::Kind::directory, "directory"},
                                           {PathFacts::Kind::block_device, "block-device"},
                                           {PathFacts::Kind::other, "other"}}};

const auto identity_fields = std::tuple{field("device", &FileIdentity::device), field("inode", &FileIdentity::inode),
                                        field("mtime-ns", &FileIdentity::mtime_ns), field("size", &FileIdentity::size)};
const auto kvm_fields = std::tuple{field("state", &KvmFacts::state), field("reason", &KvmFacts::reason),
                                   sparse("nested-state", &KvmFacts::nested_state)};
const auto tool_fields = std::tuple{field("path", &ToolFacts::path), field("version", &ToolFacts::version),
                                    field("identity", &ToolFacts::identity)};
const auto kernel_fields = std::tuple{field("path", &KernelFacts::path),
                                      field("release", &KernelFacts::release),
                                      field("modules", &KernelFacts::modules),
                                      field("image", &KernelFacts::image),
                                      field("compression", &KernelFacts::compression),
                                      sparse("file-systems", &KernelFacts::file_systems),
                                      sparse("options", &KernelFacts::options),
                                      field("readable", &KernelFacts::readable),
                                      field("identity", &KernelFacts::identity),
                                      field("pinned-from", &KernelFacts::pinned_from)};
const auto image_fields =
    std::tuple{field("format", &ImageFacts::format), field("size", &ImageFacts::size),
               sparse("backing", &ImageFacts::backing), sparse("backing-format", &ImageFacts::backing_format)};
const auto path_fields = std::tuple{field("kind", &PathFacts::kind),
                                    field("readable", &PathFacts::readable),
                                    field("writable", &PathFacts::writable),
                                    field("size", &PathFacts::size),
                                    sparse("allocated", &PathFacts::allocated),
                                    sparse("device", &PathFacts::device),
                                    sparse("inode", &PathFacts::inode),
                                    sparse("room", &PathFacts::room),
                                    sparse("mode", &PathFacts::mode),
                                    sparse("owner", &PathFacts::owner),
                                    sparse("group", &PathFacts::group),
                                    sparse("image", &PathFacts::image),
                                    sparse("used-by", &PathFacts::used_by),
                                    sparse("is-written", &PathFacts::is_written),
                                    sparse("identity", &PathFacts::identity)};
const auto oci_fields =
    std::tuple{field("command", &OciFacts::command), field("env", &OciFacts::env), field("workdir", &OciFacts::workdir),
               sparse("user", &OciFacts::user), sparse("problem", &OciFacts::problem)};
const auto host_device_fields =
    std::tuple{field("present", &HostDeviceFacts::present), field("driver", &HostDeviceFacts::driver),
               field("iommu-group", &HostDeviceFacts::iommu_group), field("accessible", &HostDeviceFacts::accessible)};
const auto user_fields = std::tuple{field("uid", &UserFacts::uid), field("groups", &UserFacts::groups)};
const auto huge_page_fields = std::tuple{field("total", &HugePageFacts::total), field("free", &HugePageFacts::free)};
const auto host_fields = std::tuple{field("version", &HostFacts::version),
                                    field("hostname", &HostFacts::hostname),
                                    field("arch", &HostFacts::arch),
                                    field("uid", &HostFacts::uid),
                                    sparse("gid", &HostFacts::gid),
                                    sparse("namespaces", &HostFacts::namespaces),
                                    field("state-dir", &HostFacts::state_dir),
                                    field("runtime-dir", &HostFacts::runtime_dir),
                                    field("cpus", &HostFacts::cpus),
                                    field("memory-mib", &HostFacts::memory_mib),
                                    field("tsc-khz", &HostFacts::tsc_khz),
                                    field("kvm", &HostFacts::kvm),
                                    field("tools", &HostFacts::tools),
                                    field("kernels", &HostFacts::kernels),
                                    field("pinned", &HostFacts::pinned),
                                    field("guest-init", &HostFacts::guest_init),
                                    field("paths", &HostFacts::paths),
                                    field("named-kernels", &HostFacts::named_kernels),
                                    sparse("kernel-configs", &HostFacts::kernel_configs),
                                    sparse("oci-images", &HostFacts::oci_images),
                                    sparse("huge-pages", &HostFacts::huge_pages),
                                    sparse("default-huge-page", &HostFacts::default_huge_page),
                                    sparse("cgroup-controllers", &HostFacts::cgroup_controllers),
                                    sparse("host-devices", &HostFacts::host_devices),
                                    sparse("users", &HostFacts::users)};

} // namespace

void to_json(nlohmann::json& json, const KvmState& state) {
    json = word_of(state, kvm_states);
}
void from_json(const nlohmann::json& json, KvmState& state) {
    state = from_word(json, kvm_states);
}
void to_json(nlohmann::json& json, const KernelImage& image) {
    json = word_of(image, images);
}
void from_json(const nlohmann::json& json, KernelImage& image) {
    image = from_word(json, images);
}
void to_json(nlohmann::json& json, const Compression& compression) {
    json = word_of(compression, compressions);
}
void from_json(const nlohmann::json& json, Compression& compression) {
    compression = from_word(json, compressions);
}
void to_json(nlohmann::json& json, const PathFacts::Kind& kind) {
    json = word_of(kind, kinds);
}
void from_json(const nlohmann::json& json, PathFacts::Kind& kind) {
    kind = from_word(json, kinds);
}

void to_json(nlohmann::json& json, const FileIdentity& identity) {
    write_fields(json, identity, identity_fields);
}
void from_json(const nlohmann::json& json, FileIdentity& identity) {
    read_fields(json, identity, identity_fields);
}
void to_json(nlohmann::json& json, const KvmFacts& kvm) {
    write_fields(json, kvm, kvm_fields);
}
void from_json(const nlohmann::json& json, KvmFacts& kvm) {
    read_fields(json, kvm, kvm_fields);
}
void to_json(nlohmann::json& json, const ToolFacts& tool) {
    write_fields(json, tool, tool_fields);
}
void from_json(const nlohmann::json& json, ToolFacts& tool) {
    read_fields(json, tool, tool_fields);
}
void to_json(nlohmann::json& json, const KernelFacts& kernel) {
    write_fields(json, kernel, kernel_fields);
}
void from_json(const nlohmann::json& json, KernelFacts& kernel) {
    read_fields(json, kernel, kernel_fields);
}
void to_json(nlohmann::json& json, const ImageFacts& image) {
    write_fields(json, image, image_fields);
}
void from_json(const nlohmann::json& json, ImageFacts& image) {
    read_fields(json, image, image_fields);
}
void to_json(nlohmann::json& json, const PathFacts& path) {
    write_fields(json, path, path_fields);
}
void from_json(const nlohmann::json& json, PathFacts& path) {
    read_fields(json, path, path_fields);
}
void to_json(nlohmann::json& json, const OciFacts& image) {
    write_fields(json, image, oci_fields);
}
void from_json(const nlohmann::json& json, OciFacts& image) {
    read_fields(json, image, oci_fields);
}
void to_json(nlohmann::json& json, const HostDeviceFacts& device) {
    write_fields(json, device, host_device_fields);
}
void from_json(const nlohmann::json& json, HostDeviceFacts& device) {
    read_fields(json, device, host_device_fields);
}
void to_json(nlohmann::json& json, const UserFacts& user) {
    write_fields(json, user, user_fields);
}
void from_json(const nlohmann::json& json, UserFacts& user) {
    read_fields(json, user, user_fields);
}
void to_json(nlohmann::json& json, const HugePageFacts& pages) {
    write_fields(json, pages, huge_page_fields);
}
void from_json(const nlohmann::json& json, HugePageFacts& pages) {
    read_fields(json, pages, huge_page_fields);
}
void to_json(nlohmann::json& json, const HostFacts& facts) {
    write_fields(json, facts, host_fields);
}
void from_json(const nlohmann::json& json, HostFacts& facts) {
    read_fields(json, facts, host_fields);
}

void json_text(JsonText& out, const KernelImage& image) {
    out.string(word_of(image, images));
}
void json_text(JsonText& out, const FileIdentity& identity) {
    text_fields(out, identity, identity_fields);
}

nlohmann::ordered_json json_shape(JsonShapes& /*shapes*/, const KernelImage* /*type*/) {
    return JsonShapes::words(images);
}
nlohmann::ordered_json json_shape(JsonShapes& shapes, const FileIdentity* /*type*/) {
    return shapes.object<FileIdentity>("file-identity", identity_fields);
}

} // namespace microvmc
