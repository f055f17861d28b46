#include "compiler/diagnostic_codes.h"
#include "compiler/draft.h"
#include "compiler/text.h"
#include "compiler/unique.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

namespace microvmc::resolving {

namespace {

/// depends-on as a graph. A name of a `count` is a node of its own, so that N machines that await M others are N + M
/// edges.
class Dependencies {
public:
    explicit Dependencies(const Inputs& in) : in_(in) {
        for (const VmConfig& vm : in.config.vms) { add(vm.name.value); }
        for (std::size_t i = 0; i < in.config.vms.size(); ++i) {
            const std::string& group = in.config.vms[i].group;
            if (!group.empty()) { nodes_[add(group)].members.push_back(i); }
        }
    }

    void check() {
        const auto& vms = in_.config.vms;
        for (std::size_t i = 0; i < vms.size(); ++i) {
            for (const auto& name : vms[i].depends_on) {
                const auto found = by_name_.find(name.value);
                if (found == by_name_.end()) {
                    unknown(name);
                } else {
                    nodes_[i].names.push_back({found->second, name.span});
                }
            }
        }
        for (std::size_t i = 0; i < nodes_.size(); ++i) { walk(i); }
    }

private:
    enum class State { new_one, on_the_way, done };
    struct Edge {
        std::size_t to;
        Span span;
    };
    struct Node {
        std::string_view name;
        std::vector<Edge> names;          ///< what it awaits
        std::vector<std::size_t> members; ///< a group's
        State state = State::new_one;
    };
    struct Step {
        std::size_t node;
        std::size_t next = 0; ///< index into names, then members
    };

    std::size_t add(std::string_view name) {
        const auto [at, fresh] = by_name_.emplace(name, nodes_.size());
        if (fresh) { nodes_.push_back({name, {}, {}, State::new_one}); }
        return at->second;
    }

    void unknown(const Located<std::string>& name) {
        auto& diagnostic =
            in_.diagnostics.error(codes::unknown_vm, name.span, fmt::format("there is no VM `{}`", name.value));
        if (in_.diagnostics.left_out() != 0) { return; }
        std::vector<std::string_view> names;
        for (const Node& node : nodes_) { names.push_back(node.name); }
        const std::string_view meant = nearest(name.value, names);
        if (!meant.empty()) { diagnostic.help = fmt::format("did you mean `{}`?", meant); }
    }

    /// Depth first, with a stack of its own: a chain may be as long as the project.
    void walk(std::size_t start) {
        if (nodes_[start].state != State::new_one) { return; }
        std::vector<Step> way{{start}};
        nodes_[start].state = State::on_the_way;
        Span said; // the last name on the way here
        while (!way.empty()) {
            Step& step = way.back();
            Node& node = nodes_[step.node];
            const std::size_t index = step.next++;
            if (index >= node.names.size() + node.members.size()) {
                node.state = State::done;
                way.pop_back();
                continue;
            }
            const bool named = index < node.names.size();
            const std::size_t next = named ? node.names[index].to : node.members[index - node.names.size()];
            if (named) { said = node.names[index].span; }
            switch (nodes_[next].state) {
            case State::done: break;
            case State::new_one:
                nodes_[next].state = State::on_the_way;
                way.push_back({next});
                break;
            case State::on_the_way: circle(way, next, said); break;
            }
        }
    }

    void circle(const std::vector<Step>& way, std::size_t first, const Span& span) {
        if (!reported_.insert(span).second) { return; } // through each machine of a `count`
        constexpr std::ptrdiff_t shown = 8;
        std::string names;
        const auto from = std::ranges::find(way, first, &Step::node);
        for (auto at = from; at != way.end(); ++at) {
            if (at - from == shown) {
                names += "... -> ";
                break;
            }
            names += fmt::format("{} -> ", nodes_[at->node].name);
        }
        in_.diagnostics.error(codes::dependency_cycle, span,
                              fmt::format("machines wait for each other: {}{}", names, nodes_[first].name));
    }

    const Inputs& in_;
    std::vector<Node> nodes_;
    std::unordered_map<std::string_view, std::size_t> by_name_;
    std::set<Span> reported_;
};

void memory(const Inputs& in, const VmConfig& vm) {
    const auto mib = [](std::int64_t size) { return format_size(static_cast<std::uint64_t>(size)); };
    const auto order = [&](const Opt<std::int64_t>& key, std::string_view name, bool wrong, std::string_view how) {
        if (!key || !wrong) { return; }
        auto& diagnostic = in.diagnostics.error(
            codes::memory_order, key->span,
            fmt::format("`{}` is {} `mem`: {} and {}", name, how, mib(key->value), mib(vm.mem.value)));
        if (vm.mem.span.known()) { diagnostic.notes.push_back({vm.mem.span, "`mem` is here"}); }
    };
    order(vm.mem_max, "mem-max", vm.mem_max && vm.mem_max->value < vm.mem.value, "less than");
    order(vm.balloon_floor, "balloon-floor", vm.balloon_floor && vm.balloon_floor->value > vm.mem.value, "more than");
    order(vm.initial_balloon_mem, "initial-balloon-mem",
          vm.initial_balloon_mem && vm.initial_balloon_mem->value >= vm.mem.value, "not less than");
    if (vm.balloon.value != "false") { return; }
    const auto needs_balloon = [&](const Span& span, std::string_view name) {
        in.diagnostics
            .error(codes::conflicting_keys, span, fmt::format("`{}` is for a balloon, and there is none", name))
            .help = "set balloon = true";
    };
    if (vm.balloon_floor) { needs_balloon(vm.balloon_floor->span, "balloon-floor"); }
    if (vm.initial_balloon_mem) { needs_balloon(vm.initial_balloon_mem->span, "initial-balloon-mem"); }
    if (vm.deflate_on_oom.value) { needs_balloon(vm.deflate_on_oom.span, "deflate-on-oom"); }
    if (vm.free_page_reporting.value) { needs_balloon(vm.free_page_reporting.span, "free-page-reporting"); }
}

/// An interface's name on Linux: dev_valid_name() of net/core/dev.c, IFNAMSIZ.
bool is_interface_name(std::string_view name) {
    return !name.empty() && name.size() <= 15 && name != "." && name != ".." && std::ranges::all_of(name, [](char c) {
        return static_cast<unsigned char>(c) > 0x20 && c != 0x7F && c != '/' && c != ':';
    });
}

void check_interface(const Inputs& in, const InterfaceConfig& interface) {
    for (const auto& [name, key] :
         {std::pair{&interface.id, "id"}, std::pair{&interface.bridge, "bridge"}, std::pair{&interface.link, "link"}}) {
        if (*name && !is_interface_name((*name)->value)) {
            in.diagnostics
                .error(codes::bad_name, (*name)->span,
                       fmt::format("`{}` is no name of an interface", printable((*name)->value)))
                .help = fmt::format("`{}` has at most 15 characters, without spaces, / and :", key);
        }
    }
    const Located<std::string>* first = nullptr;
    for (const auto* each : {&interface.network, &interface.bridge, &interface.link}) {
        if (!*each) { continue; }
        if (first != nullptr) {
            in.diagnostics.error(codes::one_of, (*each)->span, "an interface joins one thing, and here are two")
                .notes.push_back({first->span, "the other is here"});
            break;
        }
        first = &**each;
        const std::string_view fits = each == &interface.link ? "macvtap" : "tap";
        if (interface.type && interface.type->value != fits &&
            !(interface.type->value == "bridge" && each == &interface.bridge)) {
            in.diagnostics
                .error(codes::conflicting_keys, interface.type->span,
                       fmt::format("an interface of type {} can't join this", interface.type->value))
                .notes.push_back({first->span, fmt::format("which takes one of type {}", fits)});
        }
    }
    if (!interface.network) { return; }
    const auto is_meant = [&](const NetworkConfig& network) { return network.name.value == interface.network->value; };
    if (std::ranges::any_of(in.config.networks, is_meant)) { return; }
    std::vector<std::string_view> names;
    for (const NetworkConfig& network : in.config.networks) { names.push_back(network.name.value); }
    auto& diagnostic = in.diagnostics.error(codes::unknown_network, interface.network->span,
                                            fmt::format("there is no network `{}`", interface.network->value));
    const std::string_view meant = nearest(interface.network->value, names);
    diagnostic.help = meant.empty() ? fmt::format("add a table [network.{}]", interface.network->value)
                                    : fmt::format("did you mean `{}`?", meant);
}

void check_overlay(const Inputs& in, const VmConfig& vm) {
    if (!vm.root || !vm.root->overlay) { return; }
    const auto& overlay = *vm.root->overlay;
    if (overlay.value == "tmpfs" || overlay.value == "none") { return; }
    std::vector<std::string_view> known{"tmpfs", "none"};
    for (const VolumeConfig& volume : vm.volumes) { known.push_back(volume.name.value); }
    if (std::ranges::find(known, overlay.value) != known.end()) { return; }
    auto& diagnostic = in.diagnostics.error(codes::unknown_volume, overlay.span,
                                            fmt::format("there is no volume `{}`", printable(overlay.value)));
    const std::string_view meant = nearest(overlay.value, known);
    diagnostic.help = meant.empty() ? "an overlay is tmpfs, none or a volume of this machine"
                                    : fmt::format("did you mean `{}`?", meant);
}

} // namespace

void check_text(const Inputs& in) {
    Unique<std::string_view> ids(in.diagnostics, codes::duplicate_interface_id);
    Unique<std::string_view> cids(in.diagnostics, codes::duplicate_cid);
    const auto add = [](Unique<std::string_view>& taken, const Located<std::string>& key, std::string_view what) {
        taken.add(key.value, key.span,
                  [&] { return fmt::format("{} `{}` is taken twice", what, printable(key.value)); });
    };
    for (const VmConfig& vm : in.config.vms) {
        memory(in, vm);
        check_overlay(in, vm);
        for (const InterfaceConfig& interface : vm.interfaces) {
            check_interface(in, interface);
            if (interface.id) { add(ids, *interface.id, "the name"); }
        }
        if (vm.vsock && vm.vsock->cid && vm.vsock->cid->value != "auto") { add(cids, *vm.vsock->cid, "the CID"); }
    }
    const auto awaits = [](const VmConfig& vm) { return !vm.depends_on.empty(); };
    if (std::ranges::any_of(in.config.vms, awaits)) { Dependencies(in).check(); }
}

} // namespace microvmc::resolving
