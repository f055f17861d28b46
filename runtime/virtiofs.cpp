#include "runtime/virtiofs.h"

#include "compiler/id_map.h"

#include <fmt/format.h>

#include <limits>
#include <string_view>

namespace microvmc {

namespace {

void add_id_map(std::vector<std::string>& argv, std::string_view option, const std::string& map) {
    if (map.empty()) { return; }
    const auto add = [&](const std::string& rule) { argv.push_back(fmt::format("{}={}", option, rule)); };
    for (const IdRange& range : parse_id_map(map).value_or(std::vector<IdRange>{})) {
        if (range.all) {
            add(fmt::format("map:0:{}:1", range.host));
            add(fmt::format("squash-guest:1:{}:{}", range.host, std::numeric_limits<std::uint32_t>::max() - 1));
        } else {
            add(fmt::format("map:{}:{}:{}", range.guest, range.host, range.count));
        }
    }
}

std::vector<std::string> rust_options(const SharePlan& share) {
    std::vector<std::string> argv{"--shared-dir=" + share.source, "--sandbox=" + share.sandbox, "--log-level=warn"};
    if (share.read_only) { argv.emplace_back("--readonly"); }
    if (!share.cache.empty()) { argv.push_back("--cache=" + share.cache); }
    if (share.xattr) { argv.emplace_back("--xattr"); }
    if (share.posix_acl) { argv.emplace_back("--posix-acl"); }
    add_id_map(argv, "--translate-uid", share.uid_map);
    add_id_map(argv, "--translate-gid", share.gid_map);
    return argv;
}

std::string in_option_list(std::string_view text) {
    std::string quoted;
    for (const char c : text) {
        if (c == ',' || c == '\\') { quoted += '\\'; }
        quoted += c;
    }
    return quoted;
}

std::vector<std::string> qemu_options(const SharePlan& share) {
    std::vector<std::string> argv;
    const auto add = [&argv](std::string option) {
        argv.emplace_back("-o");
        argv.push_back(std::move(option));
    };
    add("source=" + in_option_list(share.source));
    add("sandbox=" + share.sandbox);
    add("log_level=warn");
    if (!share.cache.empty()) { add("cache=" + (share.cache == "never" ? "none" : share.cache)); }
    if (share.xattr || share.posix_acl) { add("xattr"); }
    if (share.posix_acl) { add("posix_acl"); }
    return argv;
}

} // namespace

std::string virtiofs_socket(const VmPlan& vm, const SharePlan& share, std::size_t number) {
    return share.socket.empty() ? fmt::format("{}/fs{}.sock", vm.runtime_dir, number) : share.socket;
}

Child virtiofs_server(const VmPlan& vm, const SharePlan& share, std::size_t number) {
    Child child;
    child.role = fmt::format("virtiofsd of the share {}", share.name);
    child.argv = {share.server};
    const bool rust = share.server_kind == "rust";
    const std::vector<std::string> options = rust ? rust_options(share) : qemu_options(share);
    child.argv.insert(child.argv.end(), options.begin(), options.end());
    child.argv.insert(child.argv.end(), share.extra_args.begin(), share.extra_args.end());
    child.listen = virtiofs_socket(vm, share, number);
    if (share.read_only && !rust) { child.read_only = {share.source}; }
    child.on_death = share.on_death == "stop" ? Child::OnDeath::stop : Child::OnDeath::restart;
    return child;
}

} // namespace microvmc
