#include "testkit/load.h"

#include "compiler/decode.h"
#include "compiler/diagnostic_codes.h"
#include "compiler/include.h"
#include "compiler/show.h"
#include "compiler/text.h"
#include "compiler/values.h"
#include "testkit/matrix.h"
#include "testkit/scratch.h"
#include "testkit/spec_schema.h"
#include "testkit/steps.h"
#include "testkit/substitution.h"
#include "testkit/variants.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>
#include <tuple>

namespace microvmc::testkit {

namespace {

constexpr std::size_t max_bytes = std::size_t{256} << 20U; // of the texts of all points together

/// Diagnostics of many cases: what is wrong in each of them alike is said once.
class Collected {
public:
    explicit Collected(Diagnostics& all) : all_(all) {}

    void add(Diagnostics one, const Substitution& substitution) {
        one.add_notes([&](const Diagnostic& diagnostic) { return substitution.notes(diagnostic.span); });
        // What becomes of a reference that isn't replaced is wrong in its place as well, and of no interest.
        std::set<Span> unreplaced;
        for (const Diagnostic& each : one.all()) {
            if (each.code == codes::unknown_reference) { unreplaced.insert(each.span); }
        }
        for (const Diagnostic& each : one.all()) {
            if (each.code != codes::unknown_reference && unreplaced.contains(each.span)) { continue; }
            // Some notes more than once: sorting makes one of them, and keeps what the notes say of the cases.
            if (++seen_[{each.code, each.span, each.message}] > most_alike) { continue; }
            Diagnostic& made = each.severity == Severity::error ? all_.error(each.code, each.span, each.message)
                                                                : all_.warning(each.code, each.span, each.message);
            made.notes = each.notes;
            made.help = each.help;
            made.inherited = each.inherited;
        }
        for (const Span& span : one.masked()) {
            if (masked_.insert(span).second) { all_.mask(span); }
        }
    }

private:
    static constexpr int most_alike = 4;
    Diagnostics& all_;
    std::map<std::tuple<std::string, Span, std::string>, int> seen_;
    std::set<Span> masked_;
};

class Loader {
public:
    Loader(std::span<const Traits> traits, std::span<const HypervisorVersion> versions, Diagnostics& diagnostics,
           MergedMachines* merged)
        : traits_(traits), versions_(versions), diagnostics_(diagnostics), merged_(merged) {}

    Specs load(std::vector<SourceFile> machines, std::vector<SourceFile> specs, const IncludeReader& read) {
        specs_.sources.files = std::move(machines);
        below_ = parse_all(specs_.sources, read, diagnostics_);
        for (const Document& document : below_) { below_values_ += count_values(document.root); }
        for (const SourceFile& file : specs_.sources.files) { below_bytes_ += file.text.size(); }
        for (SourceFile& file : specs) {
            const auto index = static_cast<std::uint32_t>(specs_.sources.files.size());
            specs_.sources.files.push_back(std::move(file));
            if (const auto document = parse(specs_.sources, index, diagnostics_)) { spec(*document); }
        }
        diagnostics_.sort();
        if (diagnostics_.has_errors()) { specs_.cases.clear(); }
        return std::move(specs_);
    }

private:
    void spec(const Document& document) {
        const Table& root = *document.root.table();
        const std::string name = spec_name(specs_.sources.files[document.file].path);
        const Span file{document.file, {}, {}};
        Diagnostics wrong;
        const std::optional<Matrix> matrix = read_matrix(root, traits_, wrong);
        const std::vector<OptionalPart> parts = read_optional(root, wrong);
        if (!matrix || wrong.has_errors()) {
            Collected(diagnostics_).add(std::move(wrong), Substitution({}, {}, diagnostics_));
            return;
        }
        if (root.find("step") == nullptr) {
            diagnostics_.error(codes::missing_key, file, "there is no [[step]] in it").help =
                "a step says what is done and what is expected: [[step]] guest = \"true\"";
        }
        const std::vector<Point> all = points(*matrix);
        if (all.empty()) {
            const Member* exclude = root.find("exclude");
            diagnostics_.error(codes::no_cases, exclude->key_span, "`exclude` leaves nothing of the matrix");
            return;
        }
        Node own = document.root;
        Node machines = document.root;
        const auto keep = [](Node& node, bool of_machines) {
            std::erase_if(node.table()->members, [&](const Member& member) {
                const bool of_matrix = member.key == "matrix" || member.key == "exclude" || member.key == "optional";
                return of_matrix || is_machine_key(member.key) != of_machines;
            });
        };
        keep(own, false);
        keep(machines, true);
        const std::vector<Variant> wanted = variants(parts, root, traits_, versions_);
        std::size_t values = count_values(own) + count_values(machines);
        for (const OptionalPart& part : parts) { values += count_values(part.fragment); }
        if (!afford(all.size() * wanted.size(), values, *matrix, document)) { return; }
        Collected collected(diagnostics_);
        const bool apart = mentions_scratch(document.root);
        for (const Point& point : all) {
            for (const Variant& variant : wanted) {
                if (diagnostics_.left_out() != 0) { return; }
                Diagnostics here;
                Substitution substitution(*matrix, point, here);
                Case made = one(*matrix, point, own, machines, parts, variant, document.file, substitution, here);
                made.spec = name;
                made.apart = apart || !made.prepare.empty() || !made.cleanup.empty();
                collected.add(std::move(here), substitution);
                made_bytes_ += substitution.made();
                if (made_bytes_ > Substitution::most_made) {
                    diagnostics_.error(codes::too_many, file, "what its axes are put into becomes more than 16 MiB");
                    return;
                }
                const bool runs = wanted.size() == 1 || (!variant.hypervisors.empty() && !made.steps.empty());
                if (runs) { specs_.cases.push_back(std::move(made)); }
            }
        }
    }

    /// The hypervisors that another variant is for.
    void leave_to_others(const Variant& variant, Case& made) const {
        for (const Traits& each : traits_) {
            if (std::ranges::find(variant.hypervisors, each.name) != variant.hypervisors.end()) { continue; }
            made.not_on.push_back({.hypervisor = std::string(each.name), .accel = {}, .interpreted = {}});
        }
    }

    /// Whether so many points of a spec may be made.
    bool afford(std::size_t count, std::size_t values, const Matrix& matrix, const Document& document) {
        for (const Axis& axis : matrix.axes) {
            std::size_t most = 0;
            for (const AxisValue& value : axis.values) {
                if (value.fragment) { most = std::max(most, count_values(*value.fragment)); }
            }
            values += most;
        }
        values += below_values_;
        const std::size_t bytes = below_bytes_ + specs_.sources.files[document.file].text.size();
        const Member* said = document.root.table()->find("matrix");
        const Span span = said == nullptr ? Span{document.file, {}, {}} : said->key_span;
        cases_ += count;
        values_ += values * count;
        bytes_ += bytes * count;
        if (cases_ > max_cases) {
            diagnostics_.error(codes::too_many, span,
                               fmt::format("with this spec there are more than {} cases", max_cases));
        } else if (values_ > max_values || bytes_ > max_bytes) {
            diagnostics_.error(codes::too_many, span, "with this spec, the cases together are too large").help =
                "a smaller matrix, or fewer values outside of it, helps";
        } else {
            return true;
        }
        return false;
    }

    Case one(const Matrix& matrix, const Point& point, Node own, Node machines, const std::vector<OptionalPart>& parts,
             const Variant& variant, std::uint32_t file, Substitution& substitution, Diagnostics& here) {
        Case made;
        made.name = case_name(matrix, point);
        made.not_on = not_on(matrix, point);
        if (!variant.hypervisors.empty()) { leave_to_others(variant, made); }
        std::vector<Document> layers = below_;
        substitution.machines(machines);
        layers.push_back({file, std::move(machines)});
        std::set<std::string> axes;
        for (std::size_t i = 0; i < point.size(); ++i) {
            const AxisValue& value = matrix.axes[i].values[point[i]];
            made.axes.emplace_back(matrix.axes[i].name, value.text);
            axes.insert(matrix.axes[i].name);
            if (!value.fragment) { continue; }
            Node fragment = *value.fragment;
            substitution.machines(fragment);
            layers.push_back({file, std::move(fragment)});
        }
        for (const OptionalPart& part : parts) {
            if (!variant.has.contains(part.capability)) { continue; }
            made.proves.push_back(part.capability);
            Node fragment = part.fragment;
            substitution.machines(fragment);
            layers.push_back({file, std::move(fragment)});
        }
        const Merged merged = merge(layers, here);
        made.config = decode(merged, specs_.sources, traits_, here);
        if (merged_ != nullptr) { merged_->push_back(merged.root); }

        drop_steps(*own.table(), variant.has);
        substitution.spec(own);
        SpecConfig spec = prototype<SpecConfig>();
        decode(own, schema_of<SpecConfig>(), &spec, specs_.sources, traits_, here);
        changes(own, std::move(layers), file, substitution, spec, here);
        for (const auto& capability : spec.proves) { prove(capability, made, here); }
        for (const StepConfig& step : spec.steps) {
            for (const auto& capability : step.needs) { prove(capability, made, here); }
        }
        made.timeout_ms = spec.timeout.value;
        made.isolated = spec.isolated.value;
        MadeSteps steps = make_steps(spec, made.config, axes, here);
        made.steps = std::move(steps.steps);
        made.prepare = std::move(steps.prepare);
        made.cleanup = std::move(steps.cleanup);
        return made;
    }

    /// The machines after each `apply`, which goes over those before it.
    void changes(const Node& own, std::vector<Document> layers, std::uint32_t file, Substitution& substitution,
                 SpecConfig& spec, Diagnostics& here) {
        const Member* member = own.table()->find("step");
        const Array* steps = member == nullptr ? nullptr : member->value.array();
        if (steps == nullptr || steps->items.size() != spec.steps.size()) { return; }
        for (std::size_t i = 0; i < spec.steps.size(); ++i) {
            const Table* step = steps->items[i].table();
            const Member* said = step == nullptr ? nullptr : step->find("apply");
            if (said == nullptr) { continue; }
            if (!is_fragment(said->value, here)) { return; }
            Node fragment = said->value;
            substitution.machines(fragment);
            layers.push_back({file, std::move(fragment)});
            if (here.has_errors()) { return; } // it would say them again
            spec.steps[i].apply =
                std::make_shared<const Config>(decode(merge(layers, here), specs_.sources, traits_, here));
        }
    }

    static bool is_fragment(const Node& node, Diagnostics& here) {
        const Table* table = node.table();
        if (table == nullptr || table->members.empty()) {
            here.error(codes::wrong_type, node.span, "`apply` is a table of machines' keys").help =
                "it is written apply.vm.NAME.mem = \"1GiB\"";
            return false;
        }
        bool good = true;
        for (const Member& member : table->members) {
            if (is_machine_key(member.key)) { continue; }
            here.error(codes::unknown_key, member.key_span,
                       fmt::format("`{}` is no key of machines", printable(member.key)))
                .help = "there is defaults, template, network or vm";
            good = false;
        }
        return good;
    }

    static void prove(const Located<std::string>& capability, Case& made, Diagnostics& here) {
        if (!find_capability(capability.value).empty()) {
            if (std::ranges::find(made.proves, capability.value) == made.proves.end()) {
                made.proves.push_back(capability.value);
            }
            return;
        }
        no_capability(capability.value, capability.span, here);
    }

    std::string spec_name(const std::string& path) {
        std::string stem = path.substr(path.rfind('/') + 1);
        if (stem.ends_with(".toml")) { stem.resize(stem.size() - 5); }
        std::string name = is_name(stem) ? stem : slug(stem);
        if (name.empty()) { name = "spec"; }
        std::string candidate = name;
        for (int i = 2; !names_.insert(candidate).second; ++i) { candidate = fmt::format("{}-{}", name, i); }
        return candidate;
    }

    std::span<const Traits> traits_;
    std::span<const HypervisorVersion> versions_;
    Diagnostics& diagnostics_;
    MergedMachines* merged_;
    Specs specs_;
    std::vector<Document> below_; ///< the machines' files
    std::size_t below_values_ = 0;
    std::size_t below_bytes_ = 0;
    std::size_t cases_ = 0;
    std::size_t values_ = 0;
    std::size_t bytes_ = 0;
    std::size_t made_bytes_ = 0;
    std::set<std::string> names_;
};

} // namespace

Specs load(std::vector<SourceFile> machines, std::vector<SourceFile> specs, std::span<const Traits> traits,
           const IncludeReader& read, Diagnostics& diagnostics, MergedMachines* merged,
           std::span<const HypervisorVersion> versions) {
    return Loader(traits, versions, diagnostics, merged).load(std::move(machines), std::move(specs), read);
}

Specs load(std::vector<SourceFile> machines, std::vector<SourceFile> specs, std::span<const Traits> traits,
           const IncludeReader& read, Diagnostics& diagnostics, std::span<const HypervisorVersion> versions) {
    return load(std::move(machines), std::move(specs), traits, read, diagnostics, nullptr, versions);
}

SourceFile command_spec(const std::vector<std::string>& argv, const std::string& on, const std::string& directory) {
    std::string text = on.empty() ? "[vm.guest]\n" : "";
    text += fmt::format("[[step]]\nguest = {}\n", toml_string(shell_quoted(argv)));
    if (!on.empty()) { text += fmt::format("on = {}\n", toml_string(on)); }
    return {"command", directory, std::move(text)};
}

} // namespace microvmc::testkit
