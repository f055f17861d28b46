#pragma once

#include "runtime/fd.h"
#include "runtime/paths.h"

#include <set>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// The directories of one run: all that it makes lies in them, and goes with them.
///
///     <base>/mvrun-XXXXXX/lock    held by the run and its workers, free when all of them are dead
///                         s       state directory: projects, kernels, caches
///                         r       runtime directory: sockets, whose paths must be short
///                         c       a directory of a case's own for each project whose case has one: ${scratch}
class Workspace {
public:
    /// Removes what killed runs left in the same place, then makes a directory. Throws Error.
    Workspace();
    ~Workspace();
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;

    [[nodiscard]] bool is_kept(const std::string& project) const { return kept_.contains(project); }
    [[nodiscard]] const Directories& where() const { return where_; }
    /// A name for a group of machines that no other group on this host has at the same time.
    [[nodiscard]] std::string project(std::size_t number) const;

    /// Makes the directory of a case's own. Throws Error.
    [[nodiscard]] std::string make_scratch(const std::string& project) const;
    void remove_scratch(const std::string& project) const;

    /// Kills the project's machines and removes all of it. Never throws: what can't be removed goes with the workspace.
    void remove_project(const std::string& project) const;
    /// It stays as it is, and so do kernels and caches; nobody sweeps it away.
    void keep_project(const std::string& project);

private:
    std::string path_;
    Directories where_;
    Fd lock_;
    std::set<std::string> kept_;
};

/// Kills a project's machines, takes its networks away, and removes its directories, volumes included. Throws Error.
void destroy_project(const Directories& where, const std::string& project);

/// Kills the machines below a run's directory and removes it. False when something stays.
bool remove_run(const std::string& path);

} // namespace microvmc::testkit
