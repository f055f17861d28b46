#include "compiler/render.h"

#include "compiler/plan_keys.h"
#include "compiler/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <sstream>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace microvmc {

namespace {

struct Look {
    char symbol;
    const char* colour; ///< SGR
};

Look look_of(ChangeKind kind) {
    switch (kind) {
    case ChangeKind::none: return {' ', "0"};
    case ChangeKind::create: return {'+', "32"};
    case ChangeKind::start: return {'>', "32"};
    case ChangeKind::in_place:
    case ChangeKind::update: return {'~', "33"};
    case ChangeKind::restart: return {'!', "35"};
    case ChangeKind::stop:
    case ChangeKind::destroy: return {'-', "31"};
    }
    return {' ', "0"};
}

// A line in the making: name, what happens to it, where that was written, why.
struct Row {
    std::string name;
    std::string text;
    std::string origin;
    std::string reason;
    char symbol = 0; ///< of its own; 0: its machine's
};

std::string origin_text(const Origin& origin) {
    return origin.line == 0 ? std::string() : fmt::format("{}:{}", printable(origin.file), origin.line);
}

// What a new machine will be: every thing that was decided, one line a thing.
std::vector<Row> description(const VmPlan& vm) {
    std::vector<Row> rows;
    const auto at = [&vm](const std::string& key) { return origin_text(vm.origins.find(key)); };
    rows.push_back({"hypervisor",
                    vm.hypervisor + (vm.program_version.empty() ? ", version unknown" : " " + vm.program_version),
                    at("hypervisor"), vm.hypervisor_reason});
    if (vm.program_version.empty() && vm.origins.contains("program")) {
        rows.back().reason += "; a plan doesn't run the file's program to ask it";
    }
    if (!vm.machine.empty()) { rows.push_back({"machine", vm.machine, {}, vm.machine_reason}); }
    rows.push_back({"accel", vm.accel, at("accel"), vm.accel_reason});
    const std::vector<PlanKey> keys = plan_keys(vm);
    const auto add = [&](std::initializer_list<std::string_view> names) {
        for (const std::string_view name : names) {
            const auto key = std::ranges::find(keys, name, &PlanKey::key);
            const std::string head(name.substr(0, name.find('.')));
            if (key != keys.end()) { rows.push_back({key->key, key->text, at(head), {}}); }
        }
    };
    add({"cpu", "vcpu", "mem", "mem-max", "hugepages", "balloon"});
    if (vm.firmware.empty()) {
        rows.push_back({"kernel", printable(vm.kernel.source), at("kernel"),
                        fmt::format("{}: {}", vm.kernel.image == KernelImage::elf ? "as ELF" : "as bzImage",
                                    vm.kernel.image_reason)});
    }
    add({"kernel-config", "initrd", "firmware"});
    if (vm.root.kind != RootPlan::Kind::initramfs) { add({"root"}); }
    add({"cloud-init.user-data", "cloud-init.meta-data", "cloud-init.network-config", "init", "machine-id"});
    if (!vm.command.empty()) { rows.push_back({"command", shell_quoted(vm.command), at("command"), {}}); }
    for (const PlanElement& element : plan_elements(vm)) {
        rows.push_back({element.name, element.text, at(element.name), element.more});
    }
    for (const InterfacePlan& interface : vm.interfaces) {
        for (const ForwardPlan& forward : interface.forwards) {
            rows.push_back(
                {"forward-ports." + forward.name, forward_text(forward), at("forward-ports." + forward.name), {}});
        }
    }
    add({"vsock.cid", "console", "graphics", "ready", "depends-on", "restart", "autostart", "limits.cpu", "limits.mem",
         "limits.pids", "limits.io-read", "limits.io-write", "vmm-user"});
    return rows;
}

// What went from a list and what came to it.
std::string list_change(const std::string& before, const std::string& after) {
    const auto words = [](const std::string& text) {
        std::vector<std::string> found;
        std::istringstream in(text);
        for (std::string word; in >> word;) { found.push_back(word); }
        return found;
    };
    const std::vector<std::string> was = words(before);
    const std::vector<std::string> is = words(after);
    std::vector<std::string> parts;
    for (const std::string& word : was) {
        if (std::ranges::find(is, word) == is.end()) { parts.push_back("without " + word); }
    }
    for (const std::string& word : is) {
        if (std::ranges::find(was, word) == was.end()) { parts.push_back("with " + word); }
    }
    return parts.empty() ? fmt::format("{} -> {}", before, after) : fmt::format("{}", fmt::join(parts, ", "));
}

std::string change_text(const VmChange& change, const KeyChange& key) {
    if (change.kind == ChangeKind::destroy || key.after.empty()) {
        return change.kind == ChangeKind::destroy ? key.before : fmt::format("{}, gone", key.before);
    }
    if (key.before.empty()) { return key.after; }
    if (key.key == "kernel-params") { return list_change(key.before, key.after); }
    const bool arrows = key.after.find(" -> ") != std::string::npos;
    return fmt::format("{} {} {}", key.before, arrows ? "=>" : "->", key.after);
}

std::vector<Row> key_rows(const VmChange& change) {
    std::vector<Row> rows;
    for (const KeyChange& key : change.keys) {
        // In a restart, the keys that force it stand out from those that don't.
        const bool along = change.kind == ChangeKind::restart && !key.needs_restart;
        rows.push_back({key.key, change_text(change, key), origin_text(key.origin), key.reason, along ? '~' : '\0'});
    }
    return rows;
}

std::size_t widest(const std::vector<Row>& rows, std::string Row::*member) {
    std::size_t width = 0;
    for (const Row& row : rows) { width = std::max(width, display_width(row.*member)); }
    return width;
}

std::string padded(const std::string& text, std::size_t width) {
    const std::size_t has = display_width(text);
    return has >= width ? text : text + std::string(width - has, ' ');
}

// One column must not push the others off the screen.
constexpr std::size_t widest_text = 44;

std::string render_rows(char symbol, const std::vector<Row>& rows, unsigned width) {
    const std::size_t names = widest(rows, &Row::name);
    const std::size_t texts = std::min(widest(rows, &Row::text), widest_text);
    const std::size_t origins = widest(rows, &Row::origin);
    // Symbol and indentation, name, text, origin, and a reason of some use.
    const bool with_origins = 4 + names + 2 + texts + 2 + origins + 2 + 20 <= width;
    std::string out;
    for (const Row& row : rows) {
        std::string line = fmt::format("{}   {}  {}", row.symbol == 0 ? symbol : row.symbol, padded(row.name, names),
                                       padded(row.text, texts));
        if (with_origins && origins != 0) { line += "  " + padded(row.origin, origins); }
        if (!row.reason.empty()) { line += "  " + row.reason; }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

std::string coloured(const std::string& lines, const char* colour, bool on) {
    return on ? fmt::format("\x1b[{}m{}\x1b[0m", colour, lines) : lines;
}

// Whether two machines go through the same, so that one description does for both.
bool same_change(const VmChange& a, const VmChange& b) {
    return a.kind == b.kind && a.kind != ChangeKind::create && a.kind != ChangeKind::destroy &&
           a.summary == b.summary && std::ranges::equal(a.keys, b.keys, [](const KeyChange& x, const KeyChange& y) {
               return x.key == y.key && x.before == y.before && x.after == y.after && x.reason == y.reason &&
                      x.origin == y.origin;
           });
}

// `names`: of the machines that change as `change` does.
std::string render_vm(const VmChange& change, const std::vector<std::string_view>& names, const VmPlan* vm, bool colour,
                      unsigned width) {
    const Look look = look_of(change.kind);
    const std::string origin = vm == nullptr ? std::string() : origin_text(vm->origins.find(""));
    std::string head = fmt::format("{} {}  {}", look.symbol, fmt::join(names, " "), change.summary);
    if (change.kind == ChangeKind::restart && names.size() > 1) { head += ", one by one, each awaited ready"; }
    if (!origin.empty()) { head += "  " + origin; }
    // A new machine has no changes of keys: all of it is new.
    const bool fresh = change.kind == ChangeKind::create || (change.kind == ChangeKind::update && change.keys.empty());
    const bool described = vm != nullptr && fresh;
    return coloured(head, look.colour, colour) + "\n" +
           render_rows(look.symbol, described ? description(*vm) : key_rows(change), width) + "\n";
}

// What the plan runs on the host that isn't the hypervisor found on PATH.
std::string host_text(const Plan& plan, const Changes& changes) {
    std::vector<std::array<std::string, 3>> rows; // machine, what, argv
    std::unordered_set<std::string_view> concerned;
    for (const VmChange& change : changes.vms) {
        if (change.kind != ChangeKind::none) { concerned.insert(change.vm); }
    }
    for (const VmPlan& vm : plan.vms) {
        if (!concerned.contains(vm.name)) { continue; }
        if (vm.origins.contains("program")) { rows.push_back({vm.name, "program", printable(vm.program)}); }
        const auto add = [&](std::string what, const std::vector<std::string>& argv) {
            if (!argv.empty()) { rows.push_back({vm.name, std::move(what), shell_quoted(argv)}); }
        };
        add("extra-args", vm.extra_args);
        for (const SharePlan& share : vm.shares) {
            add(fmt::format("shares.{}.extra-args", share.name), share.extra_args);
        }
        for (const CredentialPlan& each : vm.credentials) { add("credentials." + each.name, each.command); }
        for (const auto& argv : vm.pre_start) { add("pre-start", argv); }
        for (const auto& argv : vm.post_stop) { add("post-stop", argv); }
    }
    if (rows.empty()) { return {}; }
    std::size_t names = 0;
    std::size_t kinds = 0;
    for (const auto& row : rows) {
        names = std::max(names, display_width(row[0]));
        kinds = std::max(kinds, display_width(row[1]));
    }
    std::string text = "On this host, as the file says:\n";
    for (const auto& row : rows) {
        text += fmt::format("    {}  {}  {}\n", padded(row[0], names), padded(row[1], kinds), row[2]);
    }
    return text + "\n";
}

// The networks that machines of the plan join.
std::string networks_text(const Plan& plan, const Changes& changes) {
    if (plan.networks.empty() || changes.empty()) { return {}; }
    std::size_t names = 0;
    for (const NetworkPlan& network : plan.networks) { names = std::max(names, network.name.size()); }
    std::string text = "Networks:\n";
    for (const NetworkPlan& network : plan.networks) {
        text += fmt::format("    {}  {}\n", padded(network.name, names), network_text(network));
    }
    return text + "\n";
}

std::string counts(const Changes& changes) {
    std::map<ChangeKind, int> by_kind;
    for (const VmChange& change : changes.vms) { ++by_kind[change.kind]; }
    std::vector<std::string> words;
    const auto add = [&](ChangeKind kind, const char* word) {
        if (by_kind[kind] != 0) { words.push_back(fmt::format("{} {}", by_kind[kind], word)); }
    };
    add(ChangeKind::create, "create");
    add(ChangeKind::start, "start");
    add(ChangeKind::in_place, "in place");
    add(ChangeKind::update, "recorded");
    add(ChangeKind::restart, "restart");
    add(ChangeKind::stop, "stop");
    add(ChangeKind::destroy, "destroy");
    return fmt::format("{}", fmt::join(words, ", "));
}

} // namespace

std::string render_text(const Plan& plan, const Changes& changes, bool colour, unsigned width) {
    std::string out = fmt::format("{} on {} ({})\n\n", plan.project, printable(plan.host), plan.host_summary);
    std::unordered_map<std::string_view, const VmPlan*> plans;
    for (const VmPlan& vm : plan.vms) { plans.emplace(vm.name, &vm); }
    for (std::size_t i = 0; i < changes.vms.size();) {
        const VmChange& change = changes.vms[i];
        std::vector<std::string_view> names{change.vm};
        for (++i; i < changes.vms.size() && same_change(change, changes.vms[i]); ++i) {
            names.push_back(changes.vms[i].vm);
        }
        if (change.kind == ChangeKind::none) { continue; }
        const auto vm = plans.find(change.vm);
        out += render_vm(change, names, vm == plans.end() ? nullptr : vm->second, colour, width);
    }
    out += networks_text(plan, changes);
    out += host_text(plan, changes);
    out += changes.empty() ? "Nothing to do.\n" : fmt::format("Plan: {}. No data deleted.\n", counts(changes));
    return out;
}

} // namespace microvmc
