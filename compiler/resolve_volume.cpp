#include "compiler/diagnostic_codes.h"
#include "compiler/draft.h"
#include "compiler/file_system.h"
#include "compiler/identity.h"
#include "compiler/text.h"

#include <algorithm>
#include <fmt/format.h>

namespace microvmc::resolving {

namespace {

constexpr std::size_t serial_limit = 20; // virtio-blk's VIRTIO_BLK_ID_BYTES

/// One volume in the making.
struct Making {
    const Inputs& in;
    const Draft& draft;
    const VolumeConfig& config;
    VolumePlan& plan;
    const FileSystemInfo* file_system; ///< null: none
    const PathFacts* facts;            ///< of the image; null: nothing is known
    std::uint64_t has_mib = 0;         ///< what an image that exists has; 0: there is none, or it isn't known
    std::uint64_t backing_mib = 0;     ///< what `backing` has, rounded up; 0: there is none, or it isn't known

    [[nodiscard]] Span image_span() const { return config.image ? config.image->span : config.name.span; }
    [[nodiscard]] bool exists() const {
        return has_mib != 0 || (facts != nullptr && facts->kind != PathFacts::Kind::missing);
    }
};

void copy_keys(const VolumeConfig& config, VolumePlan& plan) {
    plan.fs_type = config.fs_type.value;
    plan.format = config.format.value;
    plan.read_only = config.read_only.value;
    plan.auto_create = config.auto_create.value;
    plan.protect = config.protect.value;
    plan.direct = config.direct.value;
    plan.discard = config.discard.value;
    if (config.cache) { plan.cache = config.cache->value; }
    for (const auto& argument : config.mkfs_args) { plan.mkfs_args.push_back(argument.value); }
    if (config.mount_point) { plan.mount_point = config.mount_point->value; }
    for (const auto& option : config.mount_options) { plan.mount_options.push_back(option.value); }
}

void to_upper(std::string& name) {
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
}

/// Keys that are of no use, because no file system is made, or there is none.
void refuse_keys(const Making& made, std::initializer_list<std::string_view> keys, std::string_view why,
                 std::string_view remedy) {
    const VolumeConfig& config = made.config;
    const auto refuse = [&](std::string_view key, const Span& span) {
        if (std::ranges::find(keys, key) == keys.end()) { return; }
        made.in.diagnostics.error(codes::conflicting_keys, span, fmt::format("{} has no `{}`", why, key)).help =
            fmt::format("{}, or leave {} out", remedy, key);
    };
    if (config.label) { refuse("label", config.label->span); }
    if (config.mount_point) { refuse("mount-point", config.mount_point->span); }
    if (!config.mkfs_args.empty()) { refuse("mkfs-args", config.mkfs_args.front().span); }
}

/// UUID and label of the file system that is made.
void identity(const Making& made) {
    VolumePlan& plan = made.plan;
    if (made.file_system == nullptr) {
        return refuse_keys(made, {"label", "mount-point", "mkfs-args"}, "a volume without a file system",
                           "leave fs-type out for ext4");
    }
    if (!plan.backing.empty()) {
        return refuse_keys(made, {"label", "mkfs-args"}, "a volume that starts from another image",
                           "leave backing out for a new file system");
    }
    plan.uuid = derived_uuid(made.in.project, made.draft.plan.name, plan.name);
    plan.label = made.config.label ? made.config.label->value : derived_tag(plan.name, made.file_system->label_bytes);
    if (plan.fs_type == "vfat") {
        plan.uuid = fat_volume_id(plan.uuid);
        if (!made.config.label) { to_upper(plan.label); }
    }
    const std::string problem = label_problem(*made.file_system, plan.label);
    if (problem.empty()) { return; }
    const bool too_long = plan.label.size() > made.file_system->label_bytes;
    made.in.diagnostics.error(too_long ? codes::out_of_range : codes::bad_text, made.config.label->span, problem);
}

/// A format that a file is said to have and hasn't.
void refuse_format(const Making& made, const Span& span, const std::string& path, const std::string& format,
                   const PathFacts& facts, std::string_view key) {
    made.in.diagnostics.error(codes::bad_image, span, fmt::format("`{}` is no {} image", printable(path), format))
        .help = facts.image.format.empty()
                    ? fmt::format("say what it is: {} = \"raw\"", key)
                    : fmt::format("it begins like one of {1}: {0} = \"{1}\"", key, facts.image.format);
}

/// An image that lies over another whose format it doesn't say: QEMU would guess it.
void check_header(const Making& made, const Span& span, const std::string& path, const ImageFacts& image) {
    if (image.backing.empty() || !image.backing_format.empty()) { return; }
    made.in.diagnostics
        .error(codes::bad_image, span,
               fmt::format("`{}` lies over `{}` without saying of which format that is", printable(path),
                           printable(image.backing)))
        .help = fmt::format("if it is raw: qemu-img rebase -u -f qcow2 -F raw -b {} {}", shell_quoted(image.backing),
                            shell_quoted(path));
}

/// The image that a new one starts from.
void backing(Making& made) {
    const VolumeConfig& config = made.config;
    VolumePlan& plan = made.plan;
    if (!config.backing) {
        if (config.backing_format) {
            made.in.diagnostics.error(codes::conflicting_keys, config.backing_format->span,
                                      "`backing-format` is of a `backing`, and there is none");
        }
        return;
    }
    plan.backing = config.backing->value;
    plan.backing_format = config.backing_format ? config.backing_format->value : plan.format;
    const PathFacts* facts = path_facts(made.in.facts, plan.backing);
    if (facts == nullptr || facts->kind != PathFacts::Kind::file || !facts->readable) { return; } // check_paths
    constexpr std::uint64_t mib = std::uint64_t{1} << 20U;
    if (plan.backing_format == "raw") {
        made.backing_mib = (facts->size + mib - 1) / mib;
        return;
    }
    if (facts->image.format != plan.backing_format) {
        return refuse_format(made, config.backing->span, plan.backing, plan.backing_format, *facts, "backing-format");
    }
    check_header(made, config.backing->span, plan.backing, facts->image);
    made.backing_mib = (facts->image.size + mib - 1) / mib;
}

void caching(const Making& made) {
    if (!made.plan.direct || !made.config.cache) { return; }
    made.in.diagnostics
        .error(codes::conflicting_keys, made.config.direct.span, "`direct` beside `cache`, which says it already")
        .help = "leave one of them out";
}

void serial(const Making& made) {
    VolumePlan& plan = made.plan;
    plan.serial = made.config.serial ? made.config.serial->value : derived_tag(plan.name, serial_limit);
    const std::string& text = plan.serial;
    std::string problem;
    const bool fits = !text.empty() && text.size() <= serial_limit;
    if (!fits) {
        problem = fmt::format("a serial number has 1 to {} bytes", serial_limit);
    } else if (has_control(text)) {
        problem = "the serial number has a control character in it";
    } else if (text.front() == ' ' || text.back() == ' ') { // who reads one in the guest strips them
        problem = "a serial number neither begins nor ends with a space";
    }
    if (problem.empty()) { return; }
    made.in.diagnostics.error(fits ? codes::bad_text : codes::out_of_range, made.config.serial->span, problem);
}

void refuse_size(const Making& made, const char* code, std::string message, std::string help) {
    const Span span = made.config.size ? made.config.size->span : made.config.name.span;
    made.in.diagnostics.error(code, span, std::move(message)).help = std::move(help);
}

/// A size that differs from what the image has.
void check_change(const Making& made) {
    const VolumePlan& plan = made.plan;
    const std::string has = format_size(made.has_mib);
    if (plan.size_mib < made.has_mib) {
        // Of one that is in the machine's record, diff says so.
        if (made.facts == nullptr) { return; }
        return refuse_size(
            made, codes::volume_shrinks,
            fmt::format("the image of `{}` has {} and can't shrink to {}", plan.name, has, format_size(plan.size_mib)),
            fmt::format("give it {} or more, or leave `size` out", has));
    }
    const auto refuse = [&](std::string why, std::string help) {
        refuse_size(made, codes::volume_stays,
                    fmt::format("the image of `{}` has {} and can't grow to {}: {}", plan.name, has,
                                format_size(plan.size_mib), why),
                    std::move(help));
    };
    if (plan.size_mib == made.has_mib) { return; }
    const std::string copy = "make a new volume under another name and copy what it should have";
    if (!plan.auto_create) {
        refuse("`auto-create` is false, so it is not microvmc's to change", "leave `size` out");
    } else if (made.facts != nullptr && made.facts->kind == PathFacts::Kind::block_device) {
        refuse("it is a block device", "leave `size` out");
    } else if (plan.format != "raw" && plan.format != "qcow2") {
        refuse(fmt::format("{} makes no {} image larger", image_program, plan.format), copy);
    } else if (made.file_system != nullptr && !made.file_system->grows) {
        refuse(fmt::format("{} keeps its size", plan.fs_type), copy);
    } else if (made.file_system != nullptr && plan.size_mib < made.file_system->least_grown_mib) {
        const std::string least = format_size(made.file_system->least_grown_mib);
        refuse(fmt::format("{} grows to {} at least", plan.fs_type, least), fmt::format("give it {} or more", least));
    }
}

void size(const Making& made) {
    VolumePlan& plan = made.plan;
    if (made.config.size) {
        plan.size_mib = static_cast<std::uint64_t>(made.config.size->value);
        if (made.has_mib != 0) { check_change(made); }
        if (!made.exists() && plan.size_mib < made.backing_mib) {
            refuse_size(made, codes::volume_shrinks,
                        fmt::format("the image that `{}` starts from has {} and can't shrink to {}", plan.name,
                                    format_size(made.backing_mib), format_size(plan.size_mib)),
                        fmt::format("give it {} or more, or leave `size` out", format_size(made.backing_mib)));
        }
    } else if (made.exists() || made.backing_mib != 0) {
        plan.size_mib = made.exists() ? made.has_mib : made.backing_mib;
        return;
    } else {
        return refuse_size(made, codes::missing_size, fmt::format("volume `{}` has no size", plan.name),
                           "say how big it is made: size = \"1GiB\"");
    }
    if (made.file_system == nullptr || made.exists() || !plan.backing.empty()) { return; }
    const FileSystemInfo& file_system = *made.file_system;
    if (plan.size_mib < file_system.least_mib) {
        refuse_size(made, codes::out_of_range,
                    fmt::format("{} has {} at least", plan.fs_type, format_size(file_system.least_mib)), {});
    } else if (file_system.most_mib != 0 && plan.size_mib > file_system.most_mib) {
        refuse_size(made, codes::out_of_range,
                    fmt::format("{} has {} at most", plan.fs_type, format_size(file_system.most_mib)), {});
    }
}

/// What making or growing it takes must be installed.
void tools(const Making& made) {
    const VolumePlan& plan = made.plan;
    const auto need = [&](std::string_view program, const Span& said, std::string_view what, std::string_view package) {
        if (made.in.facts.tools.contains(std::string(program))) { return; }
        made.in.diagnostics
            .error(codes::no_tool, said.known() ? said : made.config.name.span,
                   fmt::format("`{}`, which makes {}, is not installed", program, what))
            .help = fmt::format("apt install {}", package);
    };
    if (!plan.auto_create || (made.exists() && plan.size_mib == made.has_mib)) { return; }
    if (!made.exists() && made.file_system != nullptr && plan.backing.empty()) {
        need(made.file_system->mkfs, made.config.fs_type.span, fmt::format("volumes of {}", plan.fs_type),
             made.file_system->package);
    }
    if (plan.format != "raw") {
        need(image_program, made.config.format.span, fmt::format("{} images", plan.format), image_package);
    } else if (!made.exists() && !plan.backing.empty() && plan.backing_format != "raw") {
        need(image_program, made.config.backing->span, "copies of images", image_package);
    }
}

/// What a qcow2 image that exists lies over must be what the text says.
void lies_over(const Making& made, const ImageFacts& image) {
    const VolumePlan& plan = made.plan;
    if (plan.backing.empty()) { return check_header(made, made.image_span(), plan.image, image); }
    const std::string directory = plan.image.substr(0, plan.image.rfind('/'));
    const std::string named = image.backing.empty() ? "" : absolute_path(directory, image.backing);
    if (plan.format != "qcow2" || named == plan.backing) { return; }
    made.in.diagnostics
        .error(codes::volume_changes, made.config.backing->span,
               named.empty() ? fmt::format("the image of `{}` exists and lies over no other", plan.name)
                             : fmt::format("the image of `{}` exists and lies over `{}`", plan.name, printable(named)))
        .help = "its data would be another's: make a new volume under another name, or say what it is";
}

void image(const Making& made) {
    if (made.facts == nullptr) { return; }
    switch (made.facts->kind) {
    case PathFacts::Kind::file:
    case PathFacts::Kind::block_device:
        if (made.plan.format == "raw" || !made.facts->readable) { return; }
        if (made.facts->image.format != made.plan.format) {
            return refuse_format(made, made.image_span(), made.plan.image, made.plan.format, *made.facts, "format");
        }
        return lies_over(made, made.facts->image);
    case PathFacts::Kind::missing:
        if (made.plan.auto_create) { return; }
        made.in.diagnostics.error(
            codes::missing_path, made.image_span(),
            fmt::format("there is no image `{}`, and auto-create is false", printable(made.plan.image)));
        return;
    case PathFacts::Kind::directory:
    case PathFacts::Kind::other:
        made.in.diagnostics.error(codes::missing_path, made.image_span(),
                                  fmt::format("`{}` is no file", printable(made.plan.image)));
        return;
    }
}

/// What the image has, as the host or the machine's record shows it.
std::uint64_t existing_mib(const Draft& draft, const VolumePlan& plan, const PathFacts* facts) {
    if (facts != nullptr && facts->kind != PathFacts::Kind::missing) {
        const bool as_said = plan.format != "raw" && facts->image.format == plan.format;
        return (as_said ? facts->image.size : plan.format == "raw" ? facts->size : 0) >> 20U;
    }
    if (draft.observed == nullptr || !draft.observed->plan) { return 0; }
    const auto& recorded = draft.observed->plan->volumes;
    const bool same = std::ranges::any_of(
        recorded, [&](const VolumePlan& old) { return old.name == plan.name && old.image == plan.image; });
    const auto observed = draft.observed->volumes.find(plan.name);
    return same && observed != draft.observed->volumes.end() ? observed->second : 0;
}

void origins(const Inputs& in, Draft& draft, const VolumeConfig& config) {
    const std::string key = "volumes." + config.name.value;
    origin(in, draft.plan, key, config.name.span);
    if (config.size) { origin(in, draft.plan, key + ".size", config.size->span); }
    if (config.image) { origin(in, draft.plan, key + ".image", config.image->span); }
    if (config.mount_point) { origin(in, draft.plan, key + ".mount-point", config.mount_point->span); }
    if (config.backing) { origin(in, draft.plan, key + ".backing", config.backing->span); }
    if (config.cache) { origin(in, draft.plan, key + ".cache", config.cache->span); }
    if (config.discard.span.known()) { origin(in, draft.plan, key + ".discard", config.discard.span); }
}

} // namespace

void volume(const Inputs& in, Draft& draft, const VolumeConfig& config) {
    VolumePlan plan;
    plan.name = config.name.value;
    plan.image = config.image ? config.image->value : fmt::format("{}/volumes/{}.img", draft.plan.state_dir, plan.name);
    copy_keys(config, plan);
    Making made{in, draft, config, plan, find_file_system(plan.fs_type), path_facts(in.facts, plan.image)};
    made.has_mib = existing_mib(draft, plan, made.facts);
    backing(made);
    identity(made);
    caching(made);
    serial(made);
    image(made);
    size(made);
    tools(made);
    origins(in, draft, config);
    draft.plan.volumes.push_back(std::move(plan));
}

} // namespace microvmc::resolving
