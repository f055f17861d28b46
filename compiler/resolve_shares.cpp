#include "compiler/diagnostic_codes.h"
#include "compiler/draft.h"
#include "compiler/id_map.h"
#include "compiler/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>

namespace microvmc::resolving {

namespace {

constexpr std::size_t nine_p_tag_limit = 31; // qemu: hw/9pfs/9p.h, MAX_TAG_LEN

// The first of Rust's virtiofsd that enforces read-only and maps ids by itself (--readonly, --translate-uid).
constexpr std::pair<std::int64_t, std::int64_t> first_driven{1, 13};
// The one that came with QEMU from 5.0 to 7.2 has QEMU's version; Rust's counts from 1.0.
constexpr std::int64_t first_of_qemu = 5;

// Where it lies: on PATH, or where distributions put it: the last is QEMU's.
constexpr std::array<const char*, 4> server_names{"virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd",
                                                  "/usr/lib/qemu/virtiofsd"};

constexpr std::array<std::string_view, 4> rust_caches{"auto", "always", "never", "metadata"};
constexpr std::array<std::string_view, 3> qemu_caches{"auto", "always", "never"};
// linux: Documentation/filesystems/9p.rst; the words that all kernels since 3.0 have.
constexpr std::array<std::string_view, 4> nine_p_caches{"none", "mmap", "loose", "fscache"};

struct Server {
    const ToolFacts* tool = nullptr; ///< null: the hypervisor itself
    bool rust = false;
};

std::pair<std::int64_t, std::int64_t> version_of(std::string_view text) {
    const std::size_t dot = std::min(text.find('.'), text.size());
    const std::string_view rest = text.substr(std::min(dot + 1, text.size()));
    return {parse_number(text.substr(0, dot)).value_or(0),
            parse_number(rest.substr(0, std::min(rest.find('.'), rest.size()))).value_or(0)};
}

/// The server that is taken; none: `why` says why not.
std::optional<Server> find_server(const HostFacts& facts, std::string& why) {
    std::optional<Server> qemus;
    why = "no virtiofsd is installed";
    for (const char* name : server_names) {
        const auto tool = facts.tools.find(name);
        if (tool == facts.tools.end()) { continue; }
        const auto version = version_of(tool->second.version);
        if (version.first >= first_of_qemu) {
            if (facts.uid == 0) {
                if (!qemus) { qemus = Server{&tool->second, false}; }
            } else {
                why = fmt::format("{} came with QEMU and is for root alone", tool->second.path);
            }
        } else if (version >= first_driven) {
            return Server{&tool->second, true};
        } else if (version.first == 0) {
            why = fmt::format("{} doesn't say its version", tool->second.path);
        } else {
            why = fmt::format("{} is {}, older than {}.{}", tool->second.path, tool->second.version, first_driven.first,
                              first_driven.second);
        }
    }
    return qemus;
}

/// What a kernel that isn't known has is found out by its guest.
bool kernel_lacks(const Inputs& in, const Draft& draft, std::string_view file_system) {
    const KernelFacts* kernel = draft.has_kernel ? find_kernel(in.facts, draft.plan.kernel) : nullptr;
    return kernel != nullptr && !kernel->modules.empty() &&
           std::ranges::find(kernel->file_systems, file_system) == kernel->file_systems.end();
}

bool is_one_of(std::string_view word, std::span<const std::string_view> words) {
    return std::ranges::find(words, word) != words.end();
}

/// Whether an ordinary user's server can do what the map says: it has no other ids than its own.
bool within_own(const std::string& map, std::uint32_t own) {
    if (map.empty()) { return true; }
    const auto ranges = parse_id_map(map).value_or(std::vector<IdRange>{});
    return std::ranges::all_of(ranges, [own](const IdRange& range) { return range.host == own && range.count == 1; });
}

/// What the server's kind can't do; empty: it can all.
std::string against_server(const Inputs& in, const SharePlan& share, const Server& server) {
    const bool maps = !share.uid_map.empty() || !share.gid_map.empty();
    if (!server.rust) {
        if (maps) { return fmt::format("{} came with QEMU and maps no ids", server.tool->path); }
        if (!share.cache.empty() && !is_one_of(share.cache, qemu_caches)) {
            return fmt::format("{} came with QEMU and has no cache mode {}", server.tool->path, printable(share.cache));
        }
        return {};
    }
    const bool user = in.facts.uid != 0;
    if (share.posix_acl && (user || maps)) {
        return user ? "the ids of an ordinary user's share are mapped, and POSIX ACLs have ids in them"
                    : "ids are mapped, and POSIX ACLs have ids in them";
    }
    if (user && !(within_own(share.uid_map, in.facts.uid) && within_own(share.gid_map, in.facts.gid))) {
        return "an ordinary user's server has no ids but its own";
    }
    return {};
}

/// Whether the machine runs with its share so: it isn't restarted because a virtiofsd was installed meanwhile.
bool is_now(const Draft& draft, const std::string& name, std::string_view proto, std::string_view server_kind) {
    const VmPlan* running = running_plan(draft.observed);
    return running != nullptr && std::ranges::any_of(running->shares, [&](const SharePlan& now) {
               return now.name == name && now.proto == proto && now.server_kind == server_kind;
           });
}

/// What the hypervisor can't do when it serves the share itself; empty: it can all.
std::string against_own(const Inputs& in, const Traits& traits, const SharePlan& share, std::string_view why) {
    const auto not_own = [&](std::string_view what) {
        return fmt::format("{}, and {} itself {}", why, traits.title, what);
    };
    if (!share.uid_map.empty() || !share.gid_map.empty()) { return not_own("maps no ids"); }
    if (!share.extra_args.empty()) { return not_own("takes no `extra-args`"); }
    if (!share.cache.empty() && !is_one_of(share.cache, qemu_caches)) {
        return not_own(fmt::format("has no cache mode {}", printable(share.cache)));
    }
    if (share.posix_acl && in.facts.uid != 0) { return not_own("has no ids but yours, which POSIX ACLs have in them"); }
    return {};
}

std::string no_virtiofs(const Inputs& in, const Draft& draft, const Traits& traits, const SharePlan& share,
                        std::optional<Server>& server) {
    const Capability& capability = traits.capability("share.virtiofs");
    if (capability.support == Support::unsupported) {
        return fmt::format("not with {}{}", traits.title,
                           capability.why.empty() ? "" : fmt::format(": {}", capability.why));
    }
    if (!share.security_model.empty()) { return "`security-model` is 9p's"; }
    if (kernel_lacks(in, draft, "virtiofs")) { return "the guest's kernel has none"; }
    if (!share.cache.empty() && !is_one_of(share.cache, rust_caches)) {
        return fmt::format("it has no cache mode `{}`, but {}", printable(share.cache), list_or(rust_caches));
    }
    if (!share.socket.empty()) {
        return share.read_only ? "a server that runs already can't be made to refuse writes" : "";
    }
    std::string why;
    server = find_server(in.facts, why);
    if (traits.own_virtiofs) {
        if (server) { why = fmt::format("{} came with QEMU", server->tool->path); }
        std::string against = against_own(in, traits, share, why);
        const bool stays = against.empty() && is_now(draft, share.name, "virtiofs", "own");
        if (!server || !server->rust || stays) {
            server = Server{};
            return against;
        }
    }
    return server ? against_server(in, share, *server) : why;
}

std::string no_9p(const Inputs& in, const Draft& draft, const Traits& traits, const SharePlan& share) {
    const Capability& capability = traits.capability("share.9p");
    if (capability.support == Support::unsupported) {
        return fmt::format("not with {}{}", traits.title,
                           capability.why.empty() ? "" : fmt::format(": {}", capability.why));
    }
    const std::array<std::pair<bool, const char*>, 4> of_virtiofs{{{!share.socket.empty(), "socket"},
                                                                   {!share.extra_args.empty(), "extra-args"},
                                                                   {!share.uid_map.empty(), "uid-map"},
                                                                   {!share.gid_map.empty(), "gid-map"}}};
    for (const auto& [given, key] : of_virtiofs) {
        if (given) { return fmt::format("`{}` is for virtiofs' server", key); }
    }
    if (kernel_lacks(in, draft, "9p")) { return "the guest's kernel has none"; }
    if (!share.cache.empty() && !is_one_of(share.cache, nine_p_caches)) {
        return fmt::format("it has no cache mode `{}`, but {}", printable(share.cache), list_or(nine_p_caches));
    }
    if (share.tag.size() > nine_p_tag_limit) { return fmt::format("its tags have {} bytes at most", nine_p_tag_limit); }
    return {};
}

std::string no_image(const Traits& traits, const SharePlan& share) {
    const Capability& capability = traits.capability("share.image");
    if (capability.support == Support::unsupported) { return "it takes no image of one"; }
    if (!share.read_only) { return "the guest can't write an image"; }
    if (!share.cache.empty() || share.posix_acl || share.xattr || !share.socket.empty() || !share.extra_args.empty() ||
        !share.uid_map.empty() || !share.gid_map.empty() || !share.security_model.empty()) {
        return "an image has no server to be told about";
    }
    return {};
}

void by_server(const Inputs& in, const std::optional<Server>& server, ShareWay& way) {
    way.proto = "virtiofs";
    if (!server) { return; }
    if (server->tool == nullptr) {
        way.server_kind = "own";
        return;
    }
    way.server = server->tool->path;
    way.server_kind = server->rust ? "rust" : "qemu";
    way.sandbox = in.facts.namespaces ? "namespace" : in.facts.uid == 0 ? "chroot" : "none";
}

/// Whether a user may read a directory; what isn't known, he may.
bool may_read(const HostFacts& facts, const std::string& name, const std::string& path) {
    const auto user = facts.users.find(name);
    const PathFacts* directory = path_facts(facts, path);
    if (user == facts.users.end() || directory == nullptr || directory->mode == 0) { return true; }
    const auto& [uid, groups] = user->second;
    const bool of_group = std::ranges::find(groups, directory->group) != groups.end();
    const unsigned shift = uid == directory->owner ? 6 : of_group ? 3 : 0;
    constexpr unsigned read_and_enter = 05;
    return uid == 0 || ((directory->mode >> shift) & read_and_enter) == read_and_enter;
}

std::string server_text(const HostFacts& facts, const Traits& traits, const ShareWay& way) {
    if (way.server_kind == "own") { return fmt::format("{} serves it itself", traits.title); }
    if (way.server.empty()) { return "by a server that runs already"; }
    const auto tool =
        std::ranges::find_if(facts.tools, [&way](const auto& each) { return each.second.path == way.server; });
    return fmt::format("virtiofsd {} is installed", tool == facts.tools.end() ? "" : tool->second.version);
}

} // namespace

ShareWay share_way(const Inputs& in, const Draft& draft, const Traits& traits, std::size_t index) {
    const SharePlan& share = draft.plan.shares[index];
    const std::string& said = draft.config->shares[index].proto.value;
    ShareWay way;
    std::optional<Server> server;
    if (said == "9p") {
        way.proto = said;
        way.problem = no_9p(in, draft, traits, share);
    } else if (said == "virtiofs") {
        way.problem = no_virtiofs(in, draft, traits, share, server);
        by_server(in, server, way);
    } else {
        const std::string against_9p = no_9p(in, draft, traits, share);
        const std::string against_virtiofs = no_virtiofs(in, draft, traits, share, server);
        if (against_9p.empty() && (!against_virtiofs.empty() || is_now(draft, share.name, "9p", ""))) {
            way.proto = "9p";
            way.reason = against_virtiofs.empty() ? "as it has now" : "not virtiofs: " + against_virtiofs;
        } else if (against_virtiofs.empty()) {
            by_server(in, server, way);
            way.reason = server_text(in.facts, traits, way);
        } else if (traits.capability("share.image").support != Support::unsupported) {
            way.proto = "image";
            way.reason = fmt::format("{} has no shares: what is in it when the machine starts", traits.title);
            way.problem = no_image(traits, share);
            if (!share.read_only) {
                way.help = "set read-only = true: the guest sees it as it was when the machine started";
            }
        } else {
            way.problem = fmt::format("not over virtiofs ({}), nor over 9p ({})", against_virtiofs, against_9p);
        }
    }
    if (way.problem.empty()) { return way; }
    if (way.proto == "image") {
        way.problem = fmt::format("share `{}` can't be had but as an image: {}", share.name, way.problem);
        return way;
    }
    way.problem = said == "auto" ? fmt::format("share `{}` can't be had: {}", share.name, way.problem)
                                 : fmt::format("share `{}` can't be had over {}: {}", share.name, said, way.problem);
    std::string why;
    const auto found = find_server(in.facts, why);
    const bool missed = !found || (traits.own_virtiofs && !found->rust);
    if (missed && way.problem.find(found ? found->tool->path : why) != std::string::npos) {
        way.help = "Rust's virtiofsd, 1.13 or later, runs as any user (apt install virtiofsd, or cargo install "
                   "virtiofsd)";
    }
    return way;
}

void take_way(const ShareWay& way, SharePlan& share) {
    share.proto = way.proto;
    share.proto_reason = way.reason;
    share.server = way.server;
    share.server_kind = way.server_kind;
    share.sandbox = way.sandbox;
}

void finish_share(const Inputs& in, Draft& draft, std::size_t index) {
    SharePlan& share = draft.plan.shares[index];
    take_way(share_way(in, draft, *draft.traits, index), share);
    const bool user = in.facts.uid != 0;
    const auto say = [&share](const char* what) {
        share.proto_reason += (share.proto_reason.empty() ? "" : "; ") + std::string(what);
    };
    if (share.proto == "9p" && share.security_model.empty()) {
        // The hypervisor serves it. An ordinary user can give files to nobody; where ACLs are kept, owners have to be,
        // too.
        const bool as_root = !user && draft.plan.vmm_user.empty();
        share.security_model = as_root ? "passthrough" : share.posix_acl ? "mapped-xattr" : "none";
        if (share.security_model == "none" && !share.read_only) {
            say(user ? "what the guest writes is yours" : "what the guest writes is the hypervisor's user's");
        }
    }
    if (share.proto == "9p" && !may_read(in.facts, draft.plan.vmm_user, share.source)) {
        in.diagnostics
            .error(codes::host_lacks, draft.config->shares[index].name.span,
                   fmt::format("`{}`, who runs the hypervisor, may not read {}", printable(draft.plan.vmm_user),
                               printable(share.source)))
            .help = "over 9p the hypervisor serves it itself; let that user read it, or share it over virtiofs";
    }
    const bool own = share.server_kind == "own";
    if ((share.server.empty() && !own) || !user) { return; }
    const auto to_ours = [own](std::uint32_t id) { return own ? fmt::format("0:{}:1", id) : fmt::format("*:{}", id); };
    if (share.uid_map.empty()) { share.uid_map = to_ours(in.facts.uid); }
    if (share.gid_map.empty()) { share.gid_map = to_ours(in.facts.gid); }
    if (!share.read_only) { say("what the guest writes is yours"); }
    if (share.sandbox == "none") { say("its server isn't confined, this user may make no namespaces"); }
}

} // namespace microvmc::resolving
