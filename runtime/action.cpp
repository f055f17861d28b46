#include "runtime/action.h"

#include "compiler/text.h"
#include "runtime/volume.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <variant>

namespace microvmc {

namespace {

using nlohmann::json;

const char* text_of(KernelImage image) {
    switch (image) {
    case KernelImage::bzimage: return "bzimage";
    case KernelImage::elf: return "elf";
    case KernelImage::unknown: return "unknown";
    }
    return "";
}

json lines_of(const std::string& text) {
    json lines = json::array();
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return lines;
}

struct Line {
    std::string operator()(const MakeDirectory& action) const { return fmt::format("make directory {}", action.path); }
    std::string operator()(const WriteFile& action) const { return fmt::format("write {}", action.path); }
    std::string operator()(const PinKernel& action) const {
        return fmt::format("pin kernel {} in {}", action.kernel.source, action.kernel.pin);
    }
    std::string operator()(const BuildInitramfs& action) const {
        return fmt::format("build initramfs {}", action.output);
    }
    std::string operator()(const ReadCredentials& action) const {
        std::vector<std::string> names;
        for (const CredentialPlan& each : action.credentials) { names.push_back(each.name); }
        return fmt::format("read the credentials of {}: {}", action.vm, fmt::join(names, ", "));
    }
    std::string operator()(const BuildRoot& action) const {
        return fmt::format("make a root of {} as {}, unless it is there", printable(action.source), action.fs_type);
    }
    std::string operator()(const BuildCloudInit& action) const {
        return fmt::format("make the disk for cloud-init {}", action.output);
    }
    std::string operator()(const BuildShareImage& action) const {
        return fmt::format("make an image of {} as it is now", printable(action.source));
    }
    std::string operator()(const CreateVolume& action) const {
        const VolumePlan& volume = action.volume;
        return fmt::format("create volume {} ({}MiB {}{}), unless it is there", volume.image, volume.size_mib,
                           volume.fs_type, volume.format == "raw" ? "" : " in " + volume.format);
    }
    std::string operator()(const GrowVolume& action) const {
        return fmt::format("grow volume {} to {}MiB", action.image, action.size_mib);
    }
    std::string operator()(const GrowRunningVolume& action) const {
        return fmt::format("grow volume {} to {}MiB while {} runs", action.image, action.size_mib, action.vm);
    }
    std::string operator()(const DeleteVolume& action) const { return fmt::format("delete volume {}", action.image); }
    std::string operator()(const EnsureNetwork& action) const {
        return fmt::format("bring up network {} on bridge {}", action.up.network.name, action.up.network.bridge);
    }
    std::string operator()(const MakeTap& action) const {
        const std::string& on = action.tap.link.empty() ? action.bridge : action.tap.link;
        return fmt::format("make {} {}{}{}{}", action.tap.link.empty() ? "tap" : "macvtap", action.tap.name,
                           on.empty() ? "" : " on ", on,
                           action.rate_mib == 0 ? "" : fmt::format(", {}MiB a second at most", action.rate_mib));
    }
    std::string operator()(const ReleaseNetwork& action) const {
        return fmt::format("remove bridge {} when nobody is left on it", action.bridge);
    }
    std::string operator()(const CopyFile& action) const {
        return fmt::format("copy {} to {}", action.from, action.to);
    }
    std::string operator()(const SwapFiles& action) const {
        return fmt::format("put {} in place of {}", action.other, action.path);
    }
    std::string operator()(const ResizeMemory& action) const {
        return fmt::format("change the memory of {} from {}MiB to {}MiB", action.vm, action.before_mib, action.mib);
    }
    std::string operator()(const AmendMachine& action) const {
        return fmt::format("tell the supervisor of {} what it does at a reboot and at the end", action.vm);
    }
    std::string operator()(const StartMachine& action) const {
        return action.load.empty() ? fmt::format("start {}", action.launch.vm)
                                   : fmt::format("start {} from {}", action.launch.vm, action.load);
    }
    std::string operator()(const AwaitReady& action) const {
        return fmt::format("wait until {} is ready ({}s at most)", action.vm, action.timeout_ms / 1000);
    }
    std::string operator()(const StopMachine& action) const {
        return fmt::format("stop {} (killed after {}s)", action.vm, action.timeout_ms / 1000);
    }
    std::string operator()(const RemoveTree& action) const {
        return fmt::format("remove {} and what is in it", action.path);
    }
    std::string operator()(const RemoveFile& action) const { return fmt::format("remove {}", action.path); }
    std::string operator()(const RemoveDirectory& action) const {
        return fmt::format("remove directory {} if it is empty", action.path);
    }
};

struct Value {
    json operator()(const MakeDirectory& action) const {
        return {{"action", "make-directory"}, {"path", action.path}, {"mode", fmt::format("{:04o}", action.mode)}};
    }
    json operator()(const WriteFile& action) const {
        // A record is JSON, and reads better as such.
        json content = json::parse(action.content, nullptr, false);
        if (content.is_discarded()) { content = action.content; }
        return {{"action", "write-file"},
                {"path", action.path},
                {"mode", fmt::format("{:04o}", action.mode)},
                {"content", std::move(content)}};
    }
    json operator()(const PinKernel& action) const {
        const KernelPlan& kernel = action.kernel;
        return {{"action", "pin-kernel"},    {"source", kernel.source},        {"release", kernel.release},
                {"modules", kernel.modules}, {"image", text_of(kernel.image)}, {"pin", kernel.pin}};
    }
    json operator()(const BuildInitramfs& action) const {
        // Fields end with a NUL, which JSON shows as \u0000; a list of them is easier on the eye.
        json spec = json::array();
        for (std::size_t at = 0; at < action.spec.size();) {
            const std::size_t end = action.spec.find('\0', at);
            spec.push_back(action.spec.substr(at, end - at));
            at = end == std::string::npos ? action.spec.size() : end + 1;
        }
        json text{{"action", "build-initramfs"}, {"key", action.key},
                  {"output", action.output},     {"busybox", action.busybox},
                  {"init", action.init},         {"modules-dir", action.modules_dir},
                  {"modules", action.modules},   {"file-systems", action.file_systems},
                  {"spec", std::move(spec)}};
        if (!action.initrd.empty()) { text["initrd"] = action.initrd; }
        return text;
    }
    json operator()(const ReadCredentials& action) const {
        json sources = json::object(); // never the secrets
        for (const CredentialPlan& each : action.credentials) {
            sources[each.name] = !each.file.empty()  ? json{{"file", each.file}}
                                 : !each.env.empty() ? json{{"env", each.env}}
                                                     : json{{"command", each.command}};
        }
        return {{"action", "read-credentials"}, {"vm", action.vm}, {"credentials", std::move(sources)}};
    }
    json operator()(const BuildRoot& action) const {
        return {{"action", "build-root"}, {"source", action.source}, {"fs-type", action.fs_type},
                {"arch", action.arch},    {"uuid", action.uuid},     {"output", action.output}};
    }
    json operator()(const BuildShareImage& action) const {
        return {{"action", "build-share-image"}, {"source", action.source}, {"output", action.output}};
    }
    json operator()(const BuildCloudInit& action) const {
        return {{"action", "build-cloud-init"},
                {"user-data", action.source.user_data},
                {"meta-data", action.source.meta_data},
                {"network-config", action.source.network_config},
                {"instance-id", action.source.instance_id},
                {"hostname", action.hostname},
                {"output", action.output}};
    }
    json operator()(const CreateVolume& action) const {
        const VolumePlan& volume = action.volume;
        return {{"action", "create-volume"},
                {"name", volume.name},
                {"image", volume.image},
                {"size-mib", volume.size_mib},
                {"fs-type", volume.fs_type},
                {"format", volume.format},
                {"commands", volume_commands(action, "RAW", "IMAGE")}};
    }
    json operator()(const GrowVolume& action) const {
        return {{"action", "grow-volume"},
                {"image", action.image},
                {"format", action.format},
                {"size-mib", action.size_mib}};
    }
    json operator()(const GrowRunningVolume& action) const {
        return {{"action", "grow-running-volume"}, {"vm", action.vm},     {"control", action.control},
                {"number", action.number},         {"disk", action.disk}, {"image", action.image},
                {"size-mib", action.size_mib}};
    }
    json operator()(const DeleteVolume& action) const { return {{"action", "delete-volume"}, {"image", action.image}}; }
    json operator()(const EnsureNetwork& action) const {
        return {{"action", "ensure-network"},
                {"network", action.up.network.name},
                {"bridge", action.up.network.bridge},
                {"runtime-dir", action.up.runtime_dir},
                {"addresses", gateway_addresses(action.up.network)},
                {"firewall", lines_of(firewall_text(action.up))},
                {"dnsmasq", lines_of(action.up.dnsmasq.empty() ? "" : dnsmasq_config(action.up))}};
    }
    json operator()(const MakeTap& action) const {
        json value{{"action", "make-tap"},      {"tap", action.tap.name},  {"queues", action.tap.queues},
                   {"machine", action.machine}, {"bridge", action.bridge}, {"mtu", action.mtu}};
        if (!action.tap.link.empty()) {
            value.update({{"link", action.tap.link}, {"mode", action.mode}, {"mac", action.mac}});
        }
        if (action.rate_mib != 0) { value["rate-mib"] = action.rate_mib; }
        if (!action.owner.empty()) { value["owner"] = action.owner; }
        return value;
    }
    json operator()(const ReleaseNetwork& action) const {
        return {{"action", "release-network"}, {"bridge", action.bridge}, {"runtime-dir", action.runtime_dir}};
    }
    json operator()(const CopyFile& action) const {
        return {{"action", "copy-file"}, {"from", action.from}, {"to", action.to}};
    }
    json operator()(const SwapFiles& action) const {
        return {{"action", "swap-files"}, {"path", action.path}, {"other", action.other}};
    }
    json operator()(const ResizeMemory& action) const {
        return {{"action", "resize-memory"},
                {"vm", action.vm},
                {"runtime-dir", action.runtime_dir},
                {"before-mib", action.before_mib},
                {"mib", action.mib}};
    }
    json operator()(const AmendMachine& action) const {
        return {{"action", "amend-machine"},
                {"vm", action.vm},
                {"runtime-dir", action.runtime_dir},
                {"before", action.before},
                {"after", action.after}};
    }
    json operator()(const StartMachine& action) const {
        json value{{"action", "start-machine"}, {"control", action.control}, {"launch", action.launch}};
        if (!action.load.empty()) { value["load"] = action.load; }
        return value;
    }
    json operator()(const AwaitReady& action) const {
        return {{"action", "await-ready"},
                {"vm", action.vm},
                {"runtime-dir", action.runtime_dir},
                {"timeout-ms", action.timeout_ms}};
    }
    json operator()(const StopMachine& action) const {
        return {{"action", "stop-machine"},
                {"vm", action.vm},
                {"runtime-dir", action.runtime_dir},
                {"timeout-ms", action.timeout_ms}};
    }
    json operator()(const RemoveTree& action) const { return {{"action", "remove-tree"}, {"path", action.path}}; }
    json operator()(const RemoveFile& action) const { return {{"action", "remove-file"}, {"path", action.path}}; }
    json operator()(const RemoveDirectory& action) const {
        return {{"action", "remove-directory"}, {"path", action.path}};
    }
};

} // namespace

std::string describe(const Action& action) {
    return std::visit(Line{}, action);
}

json to_json_value(const Action& action) {
    return std::visit(Value{}, action);
}

} // namespace microvmc
