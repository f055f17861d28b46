#include "compiler/diagnostic_codes.h"
#include "compiler/draft.h"
#include "compiler/text.h"
#include "compiler/unique.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <unordered_map>

namespace microvmc::resolving {

namespace {

/// Where an element of the plan was written: it is in the same place of the text's, as long as none was refused.
template <typename Plans, typename Configs>
const typename Configs::value_type* written(const Plans& plans, const Configs& configs, std::size_t index) {
    return plans.size() == configs.size() ? &configs[index] : nullptr;
}

/// What must differ within a machine; made once for all of them.
struct Own {
    explicit Own(Diagnostics& diagnostics)
        : mount_points(diagnostics, codes::duplicate_mount_point), tags(diagnostics, codes::duplicate_tag),
          serials(diagnostics, codes::duplicate_serial) {}

    Unique<std::string_view> mount_points;
    Unique<std::string_view> tags;
    Unique<std::string_view> serials;
};

void within_one(const Inputs& in, const Draft& draft, Own& own) {
    const VmConfig& config = *draft.config;
    const VmPlan& plan = draft.plan;
    auto& [mount_points, tags, serials] = own;
    mount_points.clear();
    tags.clear();
    serials.clear();
    if (plan.root.kind == RootPlan::Kind::image || !plan.root.image.empty()) {
        serials.add(root_serial, config.root->span, [] { return ""; });
    }
    if (!plan.root.tag.empty()) {
        tags.add(plan.root.tag, config.root ? config.root->span : config.name.span, [] { return ""; });
    }
    // Volumes and shares of the plan are those of the text, one by one.
    for (std::size_t i = 0; i < plan.volumes.size(); ++i) {
        const VolumePlan& volume = plan.volumes[i];
        const VolumeConfig& said = config.volumes[i];
        const Span span = said.mount_point ? said.mount_point->span : said.name.span;
        serials.add(volume.serial, said.serial ? said.serial->span : said.name.span, [&] {
            return fmt::format("two volumes of `{}` have the serial `{}`", plan.name, printable(volume.serial));
        });
        if (volume.mount_point.empty()) { continue; }
        mount_points.add(volume.mount_point, span,
                         [&] { return fmt::format("two things are mounted at {}", volume.mount_point); });
        if (volume.mount_point == "/") {
            in.diagnostics.error(codes::duplicate_mount_point, span, "a volume can't be mounted over the root");
        }
    }
    for (std::size_t i = 0; i < plan.shares.size(); ++i) {
        const SharePlan& share = plan.shares[i];
        const ShareConfig& said = config.shares[i];
        const Span span = said.mount_point ? said.mount_point->span : said.name.span;
        tags.add(share.tag, said.tag ? said.tag->span : said.name.span,
                 [&] { return fmt::format("two shares of `{}` have the tag `{}`", plan.name, printable(share.tag)); });
        if (share.mount_point.empty()) { continue; }
        mount_points.add(share.mount_point, span,
                         [&] { return fmt::format("two things are mounted at {}", share.mount_point); });
        if (share.mount_point == "/") {
            in.diagnostics.error(codes::duplicate_mount_point, span, "a share can't be mounted over the root").help =
                "root.host = true runs the guest on the host's own root";
        }
    }
}

/// Keys of `root` that its source has no use for, and what takes its writes.
void root_keys(const Inputs& in, const Draft& draft) {
    if (!draft.config->root) { return; }
    const RootConfig& said = *draft.config->root;
    const RootPlan& root = draft.plan.root;
    const auto refuse = [&](const Span& span, const std::string& message) -> Diagnostic& {
        return in.diagnostics.error(codes::conflicting_keys, span, message);
    };
    if (root.kind != RootPlan::Kind::image) {
        for (const auto& [key, span] : {std::pair{"format", said.format ? said.format->span : Span{}},
                                        {"partition", said.partition ? said.partition->span : Span{}},
                                        {"read-only", said.read_only.span}}) {
            if (span.known()) { refuse(span, fmt::format("`{}` is for root.image, and there is none", key)); }
        }
    }
    if (!said.overlay) { return; }
    const Span span = said.overlay->span;
    if (!root.read_only && root.overlay != "none") {
        refuse(span, "an image that is written has no overlay").help =
            "leave `overlay` out, or leave `read-only` out to keep the image as it is";
        return;
    }
    if (root.overlay == "tmpfs" || root.overlay == "none") { return; }
    const auto volume = std::ranges::find(draft.plan.volumes, root.overlay, &VolumePlan::name);
    if (volume == draft.plan.volumes.end()) { return; } // the text's own check says so
    if (volume->read_only) {
        refuse(span, fmt::format("volume `{}` is read-only and takes no writes", volume->name));
    } else if (volume->fs_type == "none" || volume->fs_type == "vfat") {
        // kernel: Documentation/filesystems/overlayfs.rst: the upper one needs extended attributes and d_type.
        refuse(span, fmt::format("volume `{}` has no file system that can take a root's writes", volume->name)).help =
            "ext4, xfs and btrfs can";
    }
}

/// What a disk's own loader boots has none of our init: nothing that needs that may be asked for.
void firmware_keys(const Inputs& in, const Draft& draft) {
    const VmConfig& config = *draft.config;
    const VmPlan& plan = draft.plan;
    if (plan.firmware.empty()) { return; }
    const auto refuse = [&](std::string_view key, const Span& span, std::string_view help = {}) {
        in.diagnostics
            .error(codes::conflicting_keys, span,
                   fmt::format("`{}` is not for a machine that boots by `firmware`", key))
            .help = help.empty() ? "its disk says what it runs; leave `firmware` out to have microvmc start it" : help;
    };
    const auto refuse_if = [&](std::string_view key, const auto& said) {
        if constexpr (requires { said.front().first; }) {
            if (!said.empty()) { refuse(key, said.front().first.span); }
        } else if constexpr (requires { said.front(); }) {
            if (!said.empty()) { refuse(key, said.front().span); }
        } else {
            if (said) { refuse(key, said->span); }
        }
    };
    if (config.kernel.span.known()) { refuse("kernel", config.kernel.span); }
    refuse_if("kernel-params", config.kernel_params);
    refuse_if("kernel-config", config.kernel_config);
    refuse_if("modules", config.modules);
    refuse_if("initrd", config.initrd);
    refuse_if("init", config.init);
    refuse_if("command", config.command);
    refuse_if("env", config.env);
    refuse_if("workdir", config.workdir);
    refuse_if("machine-id", config.machine_id);
    for (const CredentialConfig& each : config.credentials) {
        refuse("credentials", each.name.span, "give it to the guest by cloud-init's user-data");
    }
    for (const VolumeConfig& each : config.volumes) {
        if (each.mount_point) { refuse("mount-point", each.mount_point->span, "have cloud-init mount it"); }
    }
    for (const ShareConfig& each : config.shares) {
        refuse("shares", each.name.span, "have cloud-init copy what the guest needs");
    }
    if (config.root && plan.root.kind != RootPlan::Kind::image) {
        refuse("root", config.root->span, "name its disk with root.image, or make it a volume");
    } else if (plan.root.kind == RootPlan::Kind::image && plan.root.read_only) {
        in.diagnostics
            .error(codes::conflicting_keys, config.root->span, "what boots from a disk by its own loader writes to it")
            .help = "set root.read-only = false; a copy keeps the image as it was";
    } else if (plan.root.kind == RootPlan::Kind::initramfs && plan.volumes.empty()) {
        in.diagnostics.error(codes::missing_key, config.firmware->span, "there is no disk to boot from").help =
            "name one: root = { image = \"debian.qcow2\", format = \"qcow2\", read-only = false }";
    }
    switch (plan.ready.kind) {
    case ReadyPlan::Kind::init:
    case ReadyPlan::Kind::console: return;
    case ReadyPlan::Kind::tcp:
    case ReadyPlan::Kind::http:
    case ReadyPlan::Kind::command:
    case ReadyPlan::Kind::notify:
    case ReadyPlan::Kind::exit:
        refuse("ready", config.ready->span, "await a text on its console: ready.console = \"login:\"");
    }
}

void socket_length(const Inputs& in, const Draft& draft) {
    constexpr std::size_t most = 107; // sun_path of unix(7), less its NUL
    constexpr std::string_view name = "/control.sock";
    if (draft.plan.runtime_dir.size() + name.size() <= most) { return; }
    const std::string longest = fmt::format("{}{}", draft.plan.runtime_dir, name);
    in.diagnostics
        .error(codes::socket_too_long, draft.config->name.span,
               fmt::format("the socket's path would have {} bytes: {}", longest.size(), longest))
        .help =
        fmt::format("a Unix socket's path has at most {}; a shorter name of the project or the machine helps", most);
}

bool is_any(std::string_view address) {
    return address == "0.0.0.0" || address == "::";
}

/// Ports of the host: the same number clashes when the addresses are the same or one of them is all addresses.
class HostPorts {
public:
    explicit HostPorts(Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

    void add(const ForwardPlan& forward, const Span& span) {
        auto& others = taken_[fmt::format("{}/{}", forward.host_port, forward.proto)];
        for (const auto& [address, other] : others) {
            if (address != forward.host_address && !is_any(address) && !is_any(forward.host_address)) { continue; }
            auto& diagnostic = diagnostics_.error(
                codes::duplicate_host_port, span,
                fmt::format("port {}/{} of the host is taken twice", forward.host_port, forward.proto));
            diagnostic.notes.push_back({other, "the other is here"});
            diagnostic.help = "leave the host's port out of one to have it allocated: { guest.port = ... }";
            return;
        }
        others.emplace_back(forward.host_address, span);
    }

private:
    Diagnostics& diagnostics_;
    std::unordered_map<std::string, std::vector<std::pair<std::string, Span>>> taken_;
};

/// A share that its guest can write and that holds an image which another machine runs on.
void shares_with_images(const Inputs& in, const std::vector<Draft>& drafts) {
    const auto is_written = [](const SharePlan& share) { return !share.read_only && !share.source.empty(); };
    const auto writes = [&](const Draft& draft) { return std::ranges::any_of(draft.plan.shares, is_written); };
    if (std::ranges::none_of(drafts, writes)) { return; }
    std::map<std::string_view, const Draft*> images;
    for (const Draft& draft : drafts) {
        for (const VolumePlan& volume : draft.plan.volumes) { images.emplace(volume.image, &draft); }
    }
    for (const Draft& draft : drafts) {
        for (std::size_t i = 0; i < draft.plan.shares.size(); ++i) {
            const SharePlan& share = draft.plan.shares[i];
            if (!is_written(share)) { continue; }
            const std::string below = share.source == "/" ? share.source : share.source + "/";
            const auto image = images.lower_bound(below);
            if (image == images.end() || !image->first.starts_with(below)) { continue; }
            in.diagnostics
                .warning(codes::share_holds_image, draft.config->shares[i].name.span,
                         fmt::format("`{}` can write the image of a volume of `{}` through this share: {}",
                                     draft.plan.name, image->second->plan.name, image->first))
                .help = "set read-only = true, or share a directory without images";
        }
    }
}

} // namespace

void check(const Inputs& in, const std::vector<Draft>& drafts) {
    Unique<std::string_view> macs(in.diagnostics, codes::duplicate_mac);
    Own own(in.diagnostics);
    HostPorts ports(in.diagnostics);
    for (const Draft& draft : drafts) {
        const VmConfig& config = *draft.config;
        within_one(in, draft, own);
        root_keys(in, draft);
        firmware_keys(in, draft);
        socket_length(in, draft);
        for (std::size_t i = 0; i < draft.plan.interfaces.size(); ++i) {
            const InterfacePlan& interface = draft.plan.interfaces[i];
            const InterfaceConfig* said = written(draft.plan.interfaces, config.interfaces, i);
            macs.add(
                interface.mac,
                said == nullptr ? config.name.span
                : said->mac     ? said->mac->span
                                : said->name.span,
                [&] { return fmt::format("two interfaces have the MAC {}", interface.mac); },
                "leave `mac` out to have one derived");
            for (std::size_t j = 0; j < interface.forwards.size(); ++j) {
                if (interface.forwards[j].from == "guest") { continue; } // the host's port is another's
                const ForwardConfig* forward = written(interface.forwards, config.forward_ports, j);
                ports.add(interface.forwards[j], forward == nullptr ? config.name.span : forward->name.span);
            }
        }
    }
    images(in, drafts);
    shares_with_images(in, drafts);
}

} // namespace microvmc::resolving
