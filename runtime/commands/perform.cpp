#include "runtime/commands/perform.h"

#include "runtime/error.h"
#include "runtime/executor.h"
#include "runtime/initramfs_cache.h"
#include "runtime/linux_host.h"
#include "runtime/paths.h"
#include "runtime/terminal.h"

#include <array>
#include <unistd.h>

namespace microvmc {

void perform_here(const std::vector<Action>& actions) {
    const FileLock cache = hold_initramfs_cache(directories().state);
    LinuxHost host(supervisor_path());
    ProgressLine progress(STDERR_FILENO);
    std::size_t done = 0;
    Progress told;
    told.begin = [&](const Action& action) {
        ++done;
        progress.show("[" + std::to_string(done) + "/" + std::to_string(actions.size()) + "] " + describe(action));
    };
    told.end = [&](const Action&, const std::string&) { progress.clear(); };
    perform(actions, host, told);
}

bool confirmed(const std::string& question) {
    if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDERR_FILENO) != 1) { return false; }
    complain(question + " [y/N] ");
    std::array<char, 256> answer{};
    const ssize_t got = ::read(STDIN_FILENO, answer.data(), answer.size());
    return got > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

} // namespace microvmc
