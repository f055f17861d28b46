#include "runtime/initramfs.h"

#include "compiler/digest.h"
#include "runtime/cpio.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/guest/spec.h"
#include "runtime/kernel/elf.h"
#include "runtime/kernel/modules.h"
#include "runtime/process.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc {

namespace {

/// Raised when the same inputs make other archives.
constexpr std::string_view layout_version = "initramfs 2";

/// Fields of which none can be taken for a part of another.
class KeyText {
public:
    KeyText() { add(layout_version); }
    void add(std::string_view field) { text_ += fmt::format("{}:{}\n", field.size(), field); }
    void add(const FileIdentity& file) {
        add(fmt::format("{} {} {} {}", file.device, file.inode, file.mtime_ns, file.size));
    }
    [[nodiscard]] std::string digest() const { return sha256_hex(text_); }

private:
    std::string text_;
};

std::string read_program(const std::string& path) {
    auto program = read_file(path);
    if (!program) { throw Error(fmt::format("there is no {}", path)); }
    if (!is_static_program(*program)) {
        throw Error(fmt::format("{} can't run in a guest: it is not a statically linked program", path),
                    "install busybox-static");
    }
    return std::move(*program);
}

std::vector<std::string> applets(const std::string& busybox) {
    const Ran ran = run_program({busybox, "--list"});
    if (ran.status != 0) { throw Error(fmt::format("{} --list failed: {}", busybox, last_words(ran))); }
    std::vector<std::string> names;
    std::istringstream lines(ran.out);
    for (std::string name; std::getline(lines, name);) {
        if (!name.empty() && name != "busybox" && name.find('/') == std::string::npos) { names.push_back(name); }
    }
    std::ranges::sort(names);
    return names;
}

CpioEntry directory(std::string path, std::uint32_t mode = 0755) {
    return {.kind = CpioEntry::Kind::directory, .path = std::move(path), .mode = mode, .content = {}};
}

CpioEntry symlink(std::string path, std::string target) {
    return {.kind = CpioEntry::Kind::symlink, .path = std::move(path), .mode = 0777, .content = std::move(target)};
}

CpioEntry file(std::string path, std::string content, std::uint32_t mode = 0644) {
    return {.kind = CpioEntry::Kind::file, .path = std::move(path), .mode = mode, .content = std::move(content)};
}

/// Devices by Linux, Documentation/admin-guide/devices.txt: the kernel opens /dev/console for the init before that can
/// mount devtmpfs.
CpioEntry device(std::string path, std::uint32_t mode, std::uint32_t major, std::uint32_t minor) {
    return {.kind = CpioEntry::Kind::character_device,
            .path = std::move(path),
            .mode = mode,
            .content = {},
            .major = major,
            .minor = minor};
}

std::vector<CpioEntry> base_entries(const BuildInitramfs& request) {
    std::vector<CpioEntry> entries{
        directory("dev"),
        device("dev/console", 0600, 5, 1),
        device("dev/null", 0666, 1, 3),
        directory("etc"),
        file("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        file("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        directory("microvmc"),
        file("microvmc/init", read_program(request.init), 0755),
        directory("microvmc/modules"),
        directory("newroot"),
        directory("proc"),
        directory("root", 0700),
        directory("run"),
        directory("sys"),
        directory("tmp", 01777),
        directory("var"),
    };
    if (!request.busybox.empty()) {
        entries.push_back(directory("bin"));
        entries.push_back(file("bin/busybox", read_program(request.busybox), 0755));
        for (const std::string& name : applets(request.busybox)) {
            entries.push_back(symlink("bin/" + name, "busybox"));
        }
        // Where scripts look for programs.
        entries.push_back(symlink("sbin", "bin"));
        entries.push_back(directory("usr"));
        entries.push_back(symlink("usr/bin", "../bin"));
        entries.push_back(symlink("usr/sbin", "../bin"));
    }
    std::ranges::sort(entries, {}, &CpioEntry::path);
    return entries;
}

/// One in the archive of modules.
struct PackedModule {
    std::string file_system; ///< that it is loaded for; empty: at once
    std::string file;        ///< name in microvmc/modules
};

struct Parts {
    std::string base;                ///< path
    std::string modules;             ///< path
    std::vector<PackedModule> order; ///< of the modules
};

/// Makes a part unless it is there. Parts that aren't used any more are left to whoever empties the cache.
template <typename Make> void keep_part(const std::string& path, Make make) {
    if (::access(path.c_str(), F_OK) == 0) { return; }
    NewFile part(path, 0600);
    part.write(make());
    part.publish();
}

std::string base_part(const BuildInitramfs& request, const std::string& cache) {
    KeyText key;
    for (const std::string& program : {request.init, request.busybox}) {
        key.add(program);
        key.add(file_identity(program).value_or(FileIdentity{}));
    }
    std::string path = fmt::format("{}/base-{}.cpio", cache, key.digest().substr(0, 32));
    keep_part(path, [&] { return cpio_archive(base_entries(request), false); });
    return path;
}

bool has_modules(const std::string& directory) {
    struct stat status {};
    if (directory.empty()) { return false; }
    if (::stat(directory.c_str(), &status) != 0) {
        throw Error(fmt::format("can't look at the modules in {}: {}", directory, std::strerror(errno)));
    }
    return ::access((directory + "/modules.dep").c_str(), F_OK) == 0;
}

/// A line each; names of neither have a space in them.
std::string order_text(const std::vector<PackedModule>& modules) {
    std::string text;
    for (const PackedModule& module : modules) { text += fmt::format("{} {}\n", module.file_system, module.file); }
    return text;
}

std::vector<PackedModule> parse_order(const std::string& text) {
    std::vector<PackedModule> modules;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t space = line.find(' ');
        if (space != std::string::npos) { modules.push_back({line.substr(0, space), line.substr(space + 1)}); }
    }
    return modules;
}

class ModuleArchive {
public:
    explicit ModuleArchive(const std::string& directory) : directory_(directory) {}

    /// In load order. `file_system`: that they are for; its modules needn't be there.
    void add(const ResolvedModules& resolved, const std::string& file_system) {
        for (const ModuleFile& module : resolved.files) {
            const std::string name = plain_module_name(module.path);
            modules_.push_back({file_system, name});
            const std::string path = (std::filesystem::path(directory_) / module.path).replace_filename(name).string();
            auto content = read_file(path);
            if (!content) {
                throw Error(
                    fmt::format("the module {} is not among those that were pinned in {}", module.name, directory_));
            }
            const std::string entry = "microvmc/modules/" + name;
            if (std::ranges::find(entries_, entry, &CpioEntry::path) == entries_.end()) {
                entries_.push_back(file(entry, std::move(*content)));
            }
        }
    }

    [[nodiscard]] const std::vector<PackedModule>& modules() const { return modules_; }
    std::string take() {
        std::ranges::sort(entries_, {}, &CpioEntry::path);
        return cpio_archive(entries_, false);
    }

private:
    std::string directory_;
    std::vector<CpioEntry> entries_;
    std::vector<PackedModule> modules_;
};

ModuleArchive archive_modules(const BuildInitramfs& request) {
    ModuleArchive archive(request.modules_dir);
    const ResolvedModules resolved = resolve_modules(request.modules_dir, request.modules);
    if (!resolved.unknown.empty()) {
        throw Error(fmt::format("the kernel of {} has no module {}, and it isn't built in", request.modules_dir,
                                resolved.unknown.front()),
                    "use a kernel that has it; linux-image-amd64 has all that is needed");
    }
    archive.add(resolved, {});
    for (const std::string& name : request.file_systems) {
        archive.add(resolve_modules(request.modules_dir, {name}), name);
    }
    return archive;
}

void add_modules(const BuildInitramfs& request, const std::string& cache, Parts& parts) {
    if (request.modules.empty() || !has_modules(request.modules_dir)) { return; }
    KeyText key;
    key.add(request.modules_dir);
    key.add(file_identity(request.modules_dir + "/modules.dep").value_or(FileIdentity{}));
    for (const std::string& name : request.modules) { key.add(name); }
    key.add("");
    for (const std::string& name : request.file_systems) { key.add(name); }
    const std::string stem = fmt::format("{}/modules-{}", cache, key.digest().substr(0, 32));
    parts.modules = stem + ".cpio";
    // The order is there before the archive that it belongs to, so the archive's presence means both.
    keep_part(parts.modules, [&] {
        ModuleArchive archive = archive_modules(request);
        write_whole(stem + ".order", order_text(archive.modules()), 0600);
        return archive.take();
    });
    parts.order = parse_order(read_file(stem + ".order").value_or(""));
}

/// Whether the file was made since the host started, as far as its clock can be believed.
bool is_of_this_boot(const std::string& path) {
    struct stat status {};
    timespec now{};
    timespec uptime{};
    if (::stat(path.c_str(), &status) != 0) { return false; }
    ::clock_gettime(CLOCK_REALTIME, &now);
    ::clock_gettime(CLOCK_BOOTTIME, &uptime);
    return status.st_ctim.tv_sec > now.tv_sec - uptime.tv_sec;
}

void append_file(NewFile& out, const std::string& path) {
    const Fd in(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    if (!in || ::fstat(in.get(), &status) != 0) {
        throw Error(fmt::format("can't read {}: {}", path, std::strerror(errno)));
    }
    for (off_t left = status.st_size; left > 0;) {
        const ssize_t copied =
            ::copy_file_range(in.get(), nullptr, out.fd(), nullptr, static_cast<std::size_t>(left), 0);
        if (copied > 0) {
            left -= copied;
            continue;
        }
        // Not between these file systems: the plain way. What was copied is behind both offsets.
        std::string rest(static_cast<std::size_t>(left), '\0');
        const ssize_t got = ::pread(in.get(), rest.data(), rest.size(), status.st_size - left);
        if (got <= 0) {
            throw Error(fmt::format("can't read {}: {}", path, got == 0 ? "cut off" : std::strerror(errno)));
        }
        rest.resize(static_cast<std::size_t>(got));
        out.write(rest);
        left -= got;
        ::lseek(in.get(), status.st_size - left, SEEK_SET);
    }
}

} // namespace

std::string initramfs_key(const ToolFacts& busybox, const ToolFacts& init, const KernelPlan& kernel,
                          const std::vector<std::string>& modules, const std::vector<std::string>& file_systems,
                          const std::string& spec) {
    KeyText key;
    for (const ToolFacts* tool : {&busybox, &init}) {
        key.add(tool->path);
        key.add(tool->identity);
    }
    key.add(kernel.pin);
    key.add(kernel.identity);
    if (!kernel.initrd.empty()) {
        key.add(kernel.initrd);
        key.add(kernel.initrd_identity);
    }
    for (const auto* names : {&modules, &file_systems}) {
        for (const std::string& name : *names) { key.add(name); }
        key.add("");
    }
    key.add(spec);
    return key.digest();
}

bool build_initramfs(const BuildInitramfs& request) {
    // Making it takes less time than forcing it to disk. So that isn't done, and one that a power cut may have spoilt
    // is made again.
    if (is_of_this_boot(request.output)) { return false; }
    const std::string cache = std::filesystem::path(request.output).parent_path().string();
    make_directories(cache, 0700);
    Parts parts;
    parts.base = base_part(request, cache);
    add_modules(request, cache, parts);

    std::string spec;
    for (const PackedModule& module : parts.order) {
        if (module.file_system.empty()) { guest::append_record(spec, "module", {module.file}); }
    }
    for (const std::string& name : request.file_systems) {
        std::vector<std::string> args{name};
        for (const PackedModule& module : parts.order) {
            if (module.file_system == name) { args.push_back(module.file); }
        }
        guest::append_record(spec, "file-system", args);
    }
    spec += request.spec;

    NewFile out(request.output, 0644); // for the VMM's user, who is handed it; nobody else gets to its directory
    if (!request.initrd.empty()) {
        append_file(out, request.initrd);
        // What follows begins at a multiple of four, where the kernel passes over zeros (linux:
        // Documentation/driver-api/early-userspace/buffer-format.rst).
        const std::uint64_t over = std::filesystem::file_size(request.initrd) % 4;
        if (over != 0) { out.write(std::string(4 - over, '\0')); }
    }
    append_file(out, parts.base);
    if (!parts.modules.empty()) { append_file(out, parts.modules); }
    out.write(cpio_archive({file("microvmc/spec", std::move(spec), 0600)}, true));
    out.replace(Sync::whenever);
    return true;
}

} // namespace microvmc
