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
    struct Image {
        Span span;
        bool written = false;
    };
    std::unordered_map<std::string_view, Image> images;
    images.reserve(drafts.size());
    for (const Draft& draft : drafts) {
        const VmConfig& config = *draft.config;
        within_one(in, draft, own);
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
        for (std::size_t i = 0; i < draft.plan.volumes.size(); ++i) {
            const VolumePlan& volume = draft.plan.volumes[i];
            const VolumeConfig& said = config.volumes[i];
            const Span span = said.image ? said.image->span : said.name.span;
            const auto [at, fresh] = images.emplace(volume.image, Image{span, !volume.read_only});
            if (fresh || (!at->second.written && volume.read_only)) { continue; }
            auto& diagnostic = in.diagnostics.error(codes::duplicate_image, span,
                                                    fmt::format("{} is used twice, and written", volume.image));
            diagnostic.notes.push_back({at->second.span, "the other is here"});
            diagnostic.help = "give each its own image, or set read-only = true in both";
            at->second.written = at->second.written || !volume.read_only;
        }
    }
    shares_with_images(in, drafts);
}

} // namespace microvmc::resolving
