#include "runtime/commands/machines.h"
#include "runtime/commands/session.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/machine.h"

#include <fmt/format.h>

#include <cctype>
#include <memory>
#include <unistd.h>

namespace microvmc {

namespace {

struct ConsoleFlags {
    bool no_history = false;
    std::string detach_key = "ctrl-]";
};

// "ctrl-a", "ctrl-]", or one character.
char key_of(const std::string& text) {
    if (text.size() == 1) { return text.front(); }
    const bool ctrl = text.size() == 6 && (text.starts_with("ctrl-") || text.starts_with("Ctrl-"));
    const char c = ctrl ? static_cast<char>(std::toupper(static_cast<unsigned char>(text.back()))) : '\0';
    if (c < '@' || c > '_') {
        throw Error(fmt::format("--detach-key {}: no such key", printable(text)),
                    "write ctrl-a, ctrl-] or one character");
    }
    return static_cast<char>(c & 0x1f); // as a terminal makes it of the key
}

} // namespace

void add_console(CLI::App& app, Session& session) {
    auto flags = std::make_shared<ConsoleFlags>();
    CLI::App* command = add_command(app, session, "console", "Attach to a machine's serial console; Ctrl-] detaches");
    command->footer("Several may be attached at once: all see what the guest writes, and what any of them types is "
                    "typed. One that is too slow misses some, and is told so; microvmc logs has it all.");
    command->add_option("vm", session.targets, "The machine (default: the only one)");
    command->add_flag("--no-history", flags->no_history, "Don't show what it wrote before");
    command->add_option("--detach-key", flags->detach_key, "The key that detaches")
        ->capture_default_str()
        ->type_name("KEY");
    command->callback([&session, flags] {
        const char key = key_of(flags->detach_key);
        const KnownMachine machine = one_machine(session, directories());
        if (::isatty(STDIN_FILENO) == 1) {
            complain(fmt::format("Connected to {}; {} detaches.\n", machine.name,
                                 flags->detach_key == "ctrl-]" ? "Ctrl-]" : printable(flags->detach_key)));
        }
        switch (attach_console(machine.runtime_dir, !flags->no_history, key)) {
        case ConsoleEnd::detached: complain("\nDetached.\n"); break;
        case ConsoleEnd::machine_ended: {
            const auto end = last_end(machine.runtime_dir);
            complain(fmt::format("\n{} {}.\n", machine.name, end ? describe(*end) : "ended"));
            break;
        }
        }
    });
}

} // namespace microvmc
