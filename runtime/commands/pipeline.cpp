#include "runtime/commands/pipeline.h"

#include "runtime/backend.h"
#include "runtime/commands/include_reader.h"
#include "runtime/commands/inputs.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/heap.h"
#include "runtime/observe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace microvmc {

namespace {

HostFacts facts_from_file(const std::string& path) {
    const std::optional<std::string> text = read_file(path);
    if (!text) { throw Error(fmt::format("no such file: {}", path), "microvmc doctor --json makes one"); }
    try {
        return nlohmann::json::parse(*text).get<HostFacts>();
    } catch (const nlohmann::json::exception& error) {
        throw Error(fmt::format("{}: not a host's facts: {}", path, error.what()), "microvmc doctor --json makes them");
    }
}

HostFacts facts_for(const Pipeline& pipeline, const Session& session) {
    if (!session.facts_file.empty()) { return facts_from_file(session.facts_file); }
    return host_facts(asked_by(*pipeline.config, directories().state, pipeline.project));
}

bool is_in(const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
}

// A name that is nowhere is the user's mistake.
void refuse_unknown(const Changes& changes, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        if (std::ranges::find(changes.vms, name, &VmChange::vm) != changes.vms.end()) { continue; }
        std::vector<std::string> all;
        for (const VmChange& change : changes.vms) { all.push_back(change.vm); }
        throw no_machine(name, all);
    }
}

// Those named, and those that they depend on.
std::vector<std::string> with_dependencies(const Plan& plan, std::vector<std::string> names) {
    for (std::size_t i = 0; i < names.size(); ++i) {
        const auto vm = std::ranges::find(plan.vms, names[i], &VmPlan::name);
        if (vm == plan.vms.end()) { continue; }
        for (const std::string& name : vm->depends_on) {
            if (!is_in(names, name)) { names.push_back(name); }
        }
    }
    return names;
}

// Keeps the changes of the machines that were named, and the starts of those that they depend on.
void keep_only(Changes& changes, const Plan& plan, const std::vector<std::string>& names) {
    if (names.empty()) { return; }
    const std::vector<std::string> needed = with_dependencies(plan, names);
    std::erase_if(changes.vms, [&](const VmChange& change) {
        const bool starts = change.kind == ChangeKind::create || change.kind == ChangeKind::start;
        return !is_in(names, change.vm) && !(starts && is_in(needed, change.vm));
    });
}

} // namespace

FactsRequest asked_by(const Config& config, const std::string& state_dir, const std::string& project) {
    FactsRequest asked;
    asked.paths = paths_to_probe(config, state_dir, project);
    asked.kernels = kernels_to_probe(config);
    asked.kernel_configs = kernel_configs_to_probe(config);
    asked.oci_images = oci_images_to_probe(config);
    asked.root_sources = root_sources_to_probe(config);
    asked.devices = devices_to_probe(config);
    asked.users = users_to_probe(config);
    return asked;
}

HostFacts host_facts(FactsRequest request) {
    const Directories where = directories();
    prepare_directories(where);
    request.state_dir = where.state;
    request.runtime_dir = where.runtime;
    request.programs = {"mke2fs",
                        "mkfs.xfs",
                        "mkfs.btrfs",
                        "mkfs.vfat",
                        "qemu-img",
                        "busybox",
                        "dnsmasq",
                        "nft",
                        "socat",
                        "virtiofsd",
                        "/usr/libexec/virtiofsd",
                        "/usr/lib/virtiofsd",
                        "/usr/lib/qemu/virtiofsd"};
    for (const Backend* backend : backends()) {
        for (const Traits::Program& program : backend->traits.programs) { request.programs.emplace_back(program.name); }
    }
    request.guest_init = guest_init_path();
    return gather_facts(request);
}

void add_selection(CLI::App& command, Selection& selection) {
    command
        .add_option("--target", selection.targets,
                    "Only this machine, and what it depends on if that doesn't run; as a name does")
        ->allow_extra_args(false)
        ->type_name("VM");
    command.add_option("--replace", selection.replace, "Restart this machine, whether or not anything has changed")
        ->allow_extra_args(false)
        ->type_name("VM");
    command.add_flag("--destroy", selection.destroy, "Destroy the machines, as if the file had none; volumes are kept");
}

void select(const Selection& selection, PipelineOptions& options) {
    options.only.insert(options.only.end(), selection.targets.begin(), selection.targets.end());
    options.replace = selection.replace;
    options.destroy = selection.destroy;
}

Pipeline load_sources(Sources sources, Merged* merged) {
    constexpr std::size_t needed = 64; // bytes of the heap for each of a text without comments
    std::size_t bytes = 0;
    for (const SourceFile& file : sources.files) { bytes += file.text.size(); }
    prepare_heap(bytes * needed);
    Pipeline pipeline;
    pipeline.sources = std::move(sources);
    pipeline.config = load(pipeline.sources, all_traits(), pipeline.diagnostics, read_included, merged);
    return pipeline;
}

Pipeline load_sources(const Session& session, Merged* merged) {
    Sources sources;
    for (const std::string& path : source_paths(session)) { sources.files.push_back(read_source(path)); }
    return load_sources(std::move(sources), merged);
}

void gather(Pipeline& pipeline, const Session& session, const PipelineOptions& options) {
    const ResolveOptions resolve_options{session.project, options.upgrade};
    pipeline.project = project_name(*pipeline.config, pipeline.sources, resolve_options);
    pipeline.facts = facts_for(pipeline, session);
    if (options.against) {
        pipeline.observed = *options.against;
    } else {
        const Directories where = directories();
        pipeline.observed = observe(where.state, where.runtime, pipeline.project);
    }
}

void compile(Pipeline& pipeline, const Session& session, const PipelineOptions& options) {
    if (!pipeline.config) { return; }
    gather(pipeline, session, options);
    const ResolveOptions resolve_options{session.project, options.upgrade};
    pipeline.plan = resolve(*pipeline.config, pipeline.sources, all_traits(), pipeline.facts, pipeline.observed,
                            resolve_options, pipeline.diagnostics);
    if (!pipeline.plan) { return; }
    if (options.destroy) { pipeline.plan->vms.clear(); }
    pipeline.changes = diff(*pipeline.plan, pipeline.observed, pipeline.sources, pipeline.diagnostics,
                            options.destroy ? "as asked" : "no longer in the file");
    refuse_unknown(*pipeline.changes, options.only);
    refuse_unknown(*pipeline.changes, options.replace);
    restart_anyway(*pipeline.changes, pipeline.observed, options.replace);
    keep_only(*pipeline.changes, *pipeline.plan, options.only);
}

Pipeline compile(const Session& session, const PipelineOptions& options) {
    Pipeline pipeline = load_sources(session);
    compile(pipeline, session, options);
    return pipeline;
}

bool report(const Pipeline& pipeline, const Session& session) {
    const bool ok = !pipeline.diagnostics.has_errors();
    if (pipeline.diagnostics.all().empty()) { return ok; }
    if (session.json) {
        print(render_json(pipeline.diagnostics, pipeline.sources).dump(2) + "\n");
    } else {
        complain(render_text(pipeline.diagnostics, pipeline.sources, colour_on_stderr(session)));
    }
    return ok;
}

} // namespace microvmc
