#include "compiler/diagnostic_codes.h"
#include "compiler/draft.h"
#include "compiler/file_system.h"
#include "compiler/text.h"

#include <algorithm>
#include <deque>
#include <fmt/format.h>
#include <map>
#include <unordered_map>

namespace microvmc::resolving {

namespace {

/// A file that volumes use, by whatever name.
struct Use {
    const VolumePlan& volume;
    Span span;
    Span size_span;
    bool as_backing = false;

    [[nodiscard]] const std::string& path() const { return as_backing ? volume.backing : volume.image; }
    [[nodiscard]] const std::string& format() const { return as_backing ? volume.backing_format : volume.format; }
    /// A copy is made once; what a qcow2 image lies over must stay as it is.
    [[nodiscard]] bool writes() const { return !as_backing && !volume.read_only; }
};

/// The same for all names of a file.
std::string identity_of(const Inputs& in, const std::string& path) {
    const PathFacts* facts = path_facts(in.facts, path);
    return facts == nullptr || facts->inode == 0 ? path : fmt::format("{}:{}", facts->device, facts->inode);
}

void clash(const Inputs& in, const Use& use, const Use& other) {
    const std::string path = printable(use.path());
    if (use.writes() || other.writes()) {
        const bool lies_over = use.as_backing || other.as_backing;
        auto& diagnostic = in.diagnostics.error(
            codes::duplicate_image, use.span,
            path + (lies_over ? " is written, and another image lies over it" : " is used twice, and written"));
        diagnostic.notes.push_back({other.span, "the other is here"});
        diagnostic.help = lies_over ? "what an image lies over must stay as it is: set read-only = true, or start from "
                                      "a copy of it"
                                    : "give each its own image, or set read-only = true in both";
    } else if (use.format() != other.format()) {
        auto& diagnostic =
            in.diagnostics.error(codes::duplicate_image, use.span,
                                 fmt::format("{} is {} here and {} elsewhere", path, use.format(), other.format()));
        diagnostic.notes.push_back({other.span, "the other is here"});
        diagnostic.help = "it has one format";
    }
}

/// Each file's users must get on with each other. One diagnostic a user.
class Uses {
public:
    explicit Uses(const Inputs& in) : in_(in) {}

    void add(const Use& use) {
        auto& others = known_[identity_of(in_, use.path())];
        const auto clashes = [&use](const Use& other) {
            return use.writes() || other.writes() || use.format() != other.format();
        };
        // The first that writes it says most.
        auto other = std::ranges::find_if(others, [](const Use& each) { return each.writes(); });
        if (other == others.end()) { other = std::ranges::find_if(others, clashes); }
        if (other != others.end() && clashes(*other)) { clash(in_, use, *other); }
        others.push_back(use);
    }

private:
    const Inputs& in_;
    std::unordered_map<std::string, std::vector<Use>> known_;
};

/// An image that a machine uses which this plan has no say in.
void check_use(const Inputs& in, const Draft& draft, const Use& use) {
    const PathFacts* facts = path_facts(in.facts, use.path());
    if (facts == nullptr || facts->used_by.empty()) { return; }
    if (!use.writes() && !facts->is_written) { return; }
    // Machines of this project are compared by what they will be.
    if (facts->used_by.starts_with(in.project + "/")) { return; }
    in.diagnostics
        .error(codes::image_in_use, use.span,
               fmt::format("{} is used by {}, and `{}` {}", printable(use.path()), printable(facts->used_by),
                           draft.plan.name, use.writes() ? "would write it" : "would read it while it is written"))
        .help = "stop that one first, or give this one an image of its own";
}

/// What is to be written on one of the host's file systems.
struct Demand {
    const Use* use = nullptr; ///< the greatest
    std::uint64_t room_mib = 0;
    std::uint64_t at_once_mib = 0;    ///< when they are made
    std::uint64_t in_the_end_mib = 0; ///< when they are full
    std::uint64_t greatest_mib = 0;
};

/// What making the image writes at once, and what it may grow to beyond what it takes now.
std::pair<std::uint64_t, std::uint64_t> demand_of(const Inputs& in, const VolumePlan& volume, const PathFacts& facts) {
    if (facts.kind == PathFacts::Kind::missing) {
        const PathFacts* from = path_facts(in.facts, volume.backing);
        if (from != nullptr) {
            // A copy takes what the other takes, unless the file system shares it, which isn't known.
            return {volume.format == "qcow2" ? 1 : from->allocated >> 20U, volume.size_mib};
        }
        const FileSystemInfo* made = find_file_system(volume.fs_type);
        const std::uint64_t at_once = made == nullptr ? 1 : made->writes_mib + volume.size_mib / made->writes_one_in;
        return {std::min(at_once, volume.size_mib), volume.size_mib};
    }
    const std::uint64_t taken = facts.allocated >> 20U;
    return {0, volume.size_mib > taken ? volume.size_mib - taken : 0};
}

void check_room(const Inputs& in, const std::vector<std::pair<const Draft*, Use>>& uses) {
    std::map<std::uint64_t, Demand> demands; // by device
    for (const auto& [draft, use] : uses) {
        const PathFacts* facts = path_facts(in.facts, use.path());
        const bool counts = facts != nullptr && facts->device != 0 && use.writes() && use.volume.auto_create &&
                            facts->kind != PathFacts::Kind::block_device;
        if (!counts) { continue; }
        const auto [at_once, in_the_end] = demand_of(in, use.volume, *facts);
        Demand& demand = demands[facts->device];
        demand.room_mib = facts->room >> 20U;
        demand.at_once_mib += at_once;
        demand.in_the_end_mib += in_the_end;
        if (demand.use == nullptr || in_the_end > demand.greatest_mib) {
            demand.use = &use;
            demand.greatest_mib = in_the_end;
        }
    }
    for (const auto& [device, demand] : demands) {
        const Span& span = demand.use->size_span;

        const std::string where = printable(demand.use->path().substr(0, demand.use->path().rfind('/')));
        constexpr const char* remedy = "make them smaller, free some space, or put images elsewhere with `image`";
        if (demand.at_once_mib > demand.room_mib) {
            in.diagnostics
                .error(codes::no_room, span,
                       fmt::format("making the volumes takes {} at once, and {} has room for {}",
                                   format_size(demand.at_once_mib), where, format_size(demand.room_mib)))
                .help = remedy;
        } else if (demand.in_the_end_mib > demand.room_mib) {
            in.diagnostics
                .warning(codes::little_room, span,
                         fmt::format("the volumes may take another {}, and {} has room for {}",
                                     format_size(demand.in_the_end_mib), where, format_size(demand.room_mib)))
                .help = remedy;
        }
    }
}

} // namespace

void images(const Inputs& in, const std::vector<Draft>& drafts) {
    Uses known(in);
    std::vector<std::pair<const Draft*, Use>> uses;
    std::deque<VolumePlan> roots; // disks that roots are on
    for (const Draft& draft : drafts) {
        if (draft.plan.root.kind == RootPlan::Kind::image) {
            VolumePlan& disk = roots.emplace_back();
            disk.image = draft.plan.root.source;
            disk.format = draft.plan.root.format;
            disk.read_only = draft.plan.root.read_only;
            disk.auto_create = false;
            const Span& span = draft.config->root->image->span;
            uses.emplace_back(&draft, Use{disk, span, span});
        }
        for (std::size_t i = 0; i < draft.plan.volumes.size(); ++i) {
            const VolumePlan& volume = draft.plan.volumes[i];
            const VolumeConfig& said = draft.config->volumes[i];
            const Span& span = said.image ? said.image->span : said.name.span;
            uses.emplace_back(&draft, Use{volume, span, said.size ? said.size->span : span});
            if (!volume.backing.empty() && volume.format == "qcow2") {
                uses.emplace_back(&draft, Use{volume, said.backing->span, said.backing->span, true});
            }
        }
    }
    for (const auto& [draft, use] : uses) {
        known.add(use);
        check_use(in, *draft, use);
    }
    check_room(in, uses);
}

} // namespace microvmc::resolving
