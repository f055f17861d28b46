#include "testkit/workspace.h"

#include "runtime/error.h"
#include "runtime/executor.h"
#include "runtime/files.h"
#include "runtime/linux_host.h"
#include "runtime/lower_network.h"
#include "runtime/machine.h"
#include "runtime/observe.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc::testkit {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view prefix = "mvrun-";
constexpr std::size_t longest_base = 20; ///< of a path that leaves a socket's room: 108 bytes, unix(7)

/// On a disk where there is one: images may be large.
std::string base_directory() {
    const char* const wanted = std::getenv("TMPDIR");
    const std::string path = wanted == nullptr ? "" : wanted;
    return path.starts_with('/') && path.size() <= longest_base ? path : "/tmp";
}

/// The lock on a file when nobody has it.
Fd take_lock(const std::string& file, int flags) {
    Fd fd(::open(file.c_str(), flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) { fd.reset(); }
    return fd;
}

Directories below(const std::string& path) {
    return {.state = path + "/s", .runtime = path + "/r"};
}

/// Runs that were killed: ours, and nobody has their lock. One without a lock is kept, or being made.
void sweep(const std::string& base) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(base, error)) {
        const std::string path = entry.path().string();
        if (!entry.path().filename().string().starts_with(prefix)) { continue; }
        struct stat status {};
        if (::lstat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != ::geteuid()) {
            continue;
        }
        const Fd lock = take_lock(path + "/lock", 0);
        if (lock) { remove_run(path); }
    }
}

} // namespace

void destroy_project(const Directories& where, const std::string& project) {
    for (const std::string& vm : observed_names(where.state, where.runtime, project)) {
        stop_machine(project_runtime_dir(where.runtime, project) + "/" + vm, std::chrono::milliseconds(0),
                     StopKind::kill);
    }
    LinuxHost host(supervisor_path());
    for (const ObservedVm& vm : observe(where.state, where.runtime, project).vms) {
        if (vm.plan) { perform(release_networks(*vm.plan), host, {}); }
    }
    remove_tree(project_runtime_dir(where.runtime, project));
    remove_tree(project_state_dir(where.state, project));
}

bool remove_run(const std::string& path) {
    try {
        const Directories where = below(path);
        std::error_code error;
        std::set<std::string> projects;
        for (const auto& entry : fs::directory_iterator(where.runtime, error)) {
            projects.insert(entry.path().filename().string());
        }
        for (const std::string& project : projects) { destroy_project(where, project); }
        remove_tree(path);
        return true;
    } catch (const Error&) { return false; }
}

Workspace::Workspace() {
    const std::string base = base_directory();
    sweep(base);
    std::string pattern = fmt::format("{}/{}XXXXXX", base, prefix);
    if (::mkdtemp(pattern.data()) == nullptr) {
        throw Error(fmt::format("can't make a directory in {}: {}", base, std::strerror(errno)));
    }
    path_ = pattern;
    where_ = below(path_);
    // It has its name when it is taken: who sweeps never finds it free.
    const std::string unnamed = path_ + "/lock.part";
    lock_ = take_lock(unnamed, O_CREAT | O_EXCL);
    if (!lock_ || ::rename(unnamed.c_str(), (path_ + "/lock").c_str()) != 0) {
        throw Error(fmt::format("can't make {}/lock: {}", path_, std::strerror(errno)));
    }
    prepare_directories(where_);
}

Workspace::~Workspace() {
    if (kept_.empty()) { remove_run(path_); }
}

std::string Workspace::project(std::size_t number) const {
    return fmt::format("t{}-{}", ::getpid(), number);
}

std::string Workspace::make_scratch(const std::string& project) const {
    const std::string path = fmt::format("{}/c/{}", path_, project);
    make_directories(path, 0755);
    return path;
}

void Workspace::remove_scratch(const std::string& project) const {
    try {
        remove_tree(fmt::format("{}/c/{}", path_, project));
    } catch (const Error&) {
        // It goes with the workspace.
    }
}

void Workspace::remove_project(const std::string& project) const {
    if (kept_.contains(project)) { return; }
    try {
        destroy_project(where_, project);
    } catch (const Error&) {
        // A machine that won't die keeps its lock; the workspace tries again.
    }
}

void Workspace::keep_project(const std::string& project) {
    kept_.insert(project);
    ::unlink((path_ + "/lock").c_str());
}

} // namespace microvmc::testkit
