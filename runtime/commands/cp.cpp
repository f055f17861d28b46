#include "runtime/commands/machines.h"
#include "runtime/commands/session.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/machine_copy.h"

#include <fmt/format.h>

#include <memory>
#include <string>

namespace microvmc {

namespace {

struct Place {
    std::string vm; ///< empty: the host
    std::string path;
};

// A name has no slash; ./a:b is a file of the host.
Place place_of(const std::string& text) {
    const std::size_t colon = text.find(':');
    if (colon == std::string::npos || colon == 0 || text.find('/') < colon) { return {{}, text}; }
    return {text.substr(0, colon), text.substr(colon + 1)};
}

struct CopyFlags {
    std::string from;
    std::string to;
};

} // namespace

void add_cp(CLI::App& app, Session& session) {
    auto flags = std::make_shared<CopyFlags>();
    CLI::App* command = add_command(app, session, "cp", "Copy files and directories into a machine, or out of it");
    command->footer("One of the two is VM:PATH. A directory comes with all that is in it. As with cp(1), it goes into "
                    "DST when that is a directory, else it becomes DST; what fails leaves nothing under that name.\n"
                    "Modes and times are kept, owners are the receiver's. The guest needs no program for it.");
    command->add_option("src", flags->from, "What is copied")->required();
    command->add_option("dst", flags->to, "Where to")->required();
    command->callback([&session, flags] {
        const Place from = place_of(flags->from);
        const Place to = place_of(flags->to);
        if (from.vm.empty() == to.vm.empty()) {
            throw Error("one of the two has to be a machine's, and the other the host's",
                        "write VM:PATH for a machine's: microvmc cp config.toml web:/etc/");
        }
        const bool into = from.vm.empty();
        session.targets = {into ? to.vm : from.vm};
        const KnownMachine machine = one_machine(session, directories());
        const auto guest_path = [](const std::string& path) { return path.empty() ? std::string("/") : path; };
        const std::vector<std::string> left_out =
            into ? copy_to_machine(machine.runtime_dir, from.path, guest_path(to.path))
                 : copy_from_machine(machine.runtime_dir, guest_path(from.path), to.path);
        for (const std::string& line : left_out) { complain(printable(line) + "\n"); }
    });
}

} // namespace microvmc
