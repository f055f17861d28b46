#include "runtime/commands/manual.h"

#include "compiler/roff.h"
#include "runtime/commands/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace microvmc {

namespace {

constexpr const char* ending = R"(.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
Failure.
.TP
.B 2
Only from
.BR "plan \-\-detailed\-exitcode" :
apply would change something.
.TP
.B 3
A lock or a deadline ran out.
.TP
.B 64
The command line is wrong.
.PP
.B microvmc run
and
.B microvmc wait \-\-for end
give the guest's status, 0 when it powered off or rebooted, 255 when it panicked, 254 when its hypervisor or a process
that it needs crashed, 137 when it was killed, 3 when it didn't end in time and was killed, and 125 when it never ran.
.B microvmc exec
gives the command's status, and 125 when it could not be run.
.SH ENVIRONMENT
.TP
.B MICROVMC_PROJECT
The project's name, as
.BR \-\-project .
.TP
.B MICROVMC_STATE_DIR
Instead of
.IR /var/lib/microvmc ;
absolute.
.TP
.B MICROVMC_RUNTIME_DIR
Instead of
.IR /run/microvmc ;
absolute.
.TP
.B MICROVMC_LIBEXEC
Where the supervisor and the guest's init are.
.TP
.BR XDG_STATE_HOME ", " XDG_RUNTIME_DIR
Where an ordinary user's directories are, by the XDG Base Directory Specification.
.TP
.B NO_COLOR
When set, output has no colour.
.SH FILES
.TP
.I microvm.toml
The project, of the current directory or the nearest above it; see
.BR microvm.toml (5).
.TP
.IR /var/lib/microvmc ", " ~/.local/state/microvmc
Volumes, pinned kernels, what was applied last, logs: root's and an ordinary user's.
.TP
.IR /run/microvmc ", " $XDG_RUNTIME_DIR/microvmc
Locks and sockets of the machines that run.
.SH EXAMPLES
.EX
microvmc init hello && cd hello
microvmc plan
microvmc apply
microvmc run \-\- uname \-a
.EE
.SH SEE ALSO
.BR microvm.toml (5)
)";

std::string option_entry(const CLI::Option& option) {
    std::vector<std::string> names;
    for (const std::string& name : option_names(option)) {
        names.push_back(fmt::format("\\fB{}\\fP", roff_text(name)));
    }
    std::string head = fmt::format("{}", fmt::join(names, ", "));
    const std::vector<std::string> words = argument_words(option);
    if (!words.empty()) {
        head += fmt::format(" {}", roff_text(fmt::format("{}", fmt::join(words, "|"))));
    } else if (const std::string label = argument_label(option); !label.empty()) {
        head += fmt::format(" \\fI{}\\fP", roff_text(label));
    }
    std::string text = fmt::format(".TP\n{}\n{}", head, roff_text(option.get_description()));
    if (!option.get_default_str().empty()) {
        text += fmt::format(" (default: {})", roff_text(option.get_default_str()));
    }
    if (!text.ends_with('.')) { text += "."; }
    return text + "\n";
}

std::string positionals_text(const CLI::App& command) {
    std::string text;
    for (const CLI::Option* each : shown_positionals(command)) {
        text += fmt::format(".TP\n.I {}\n{}.\n", roff_text(each->get_name()), roff_text(each->get_description()));
    }
    return text;
}

std::string command_text(const std::string& program, const CLI::App& command) {
    std::string usage = program + " " + command.get_name();
    for (const CLI::Option* each : shown_positionals(command)) {
        const std::string one = each->get_name() + (is_repeatable(*each) ? "..." : "");
        usage += each->get_required() ? " " + one : " [" + one + "]";
    }
    std::string text = fmt::format(".SS \"{}\"\n{}.\n", roff_text(usage), roff_text(command.get_description()));
    text += positionals_text(command);
    for (const CLI::Option* each : shown_options(command)) {
        if (each != command.get_help_ptr()) { text += option_entry(*each); }
    }
    if (const std::string footer = command.get_footer(); !footer.empty()) { text += ".PP\n" + roff_markup(footer); }
    return text;
}

/// Those of the program itself, by group; --help and --version are in each.
std::string options_text(const CLI::App& app) {
    std::string text;
    for (const std::string& group : app.get_groups()) {
        std::string entries;
        for (const CLI::Option* each : shown_options(app)) {
            const bool common = each == app.get_help_ptr() || each == app.get_version_ptr();
            if (!common && each->get_group() == group) { entries += option_entry(*each); }
        }
        if (!entries.empty()) { text += fmt::format(".SS \"{}\"\n", roff_text(group)) + entries; }
    }
    return text.empty() ? text : ".SH OPTIONS\n" + text;
}

std::string upper(std::string text) {
    for (char& c : text) {
        if (c >= 'a' && c <= 'z') { c = static_cast<char>(c - 'a' + 'A'); }
    }
    return text;
}

} // namespace

std::string manual_page(const CLI::App& app, const ManualText& text) {
    const std::string name = app.get_name();
    std::string page = fmt::format(".\\\" Made by ci/generate.\n.TH {} 1 \"\" \"microvmc {}\" \"User commands\"\n"
                                   ".SH NAME\n{} \\- {}\n.SH SYNOPSIS\n{}.SH DESCRIPTION\n{}\n{}",
                                   upper(roff_text(name)), roff_text(app.version()), roff_text(name), text.title,
                                   text.synopsis, roff_text(app.get_description()), text.description);
    page += positionals_text(app) + options_text(app);
    page += ".SH COMMANDS\n";
    for (const CLI::App* command : shown_commands(app)) { page += command_text(name, *command); }
    return page + std::string(text.ending);
}

std::string command_manual(const CLI::App& app) {
    return manual_page(app, {.title = "virtual machines from one file",
                             .synopsis = ".B microvmc\n.I command\n.RI [ option ...]\n.RI [ argument ...]\n",
                             .description = ".PP\nAn argument that contains a slash, ends in .toml or .json, or is a "
                                            "single dot is a file; any other is the name of a machine.\n",
                             .ending = ending});
}

} // namespace microvmc
