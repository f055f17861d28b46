#include "runtime/commands/command_line.h"
#include "runtime/commands/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

namespace microvmc {

namespace {

constexpr const char* functions = R"(# fish completion of @p@, made by `@p@ completion fish`

function _@f@_is
    set -l tokens (commandline -opc)
    test (count $tokens) -gt 1; and test $tokens[2] = $argv[1]; and not contains -- -- $tokens
end

function _@f@_no_command
    test (count (commandline -opc)) -eq 1
end

function _@f@_after_dashes
    contains -- -- (commandline -opc)
end

function _@f@_machines
    set -l tokens (commandline -opc)
    set -l files
    for token in $tokens[2..-1]
        string match -q -- '*.toml' $token; and set files $files --file (string replace -r -- '^--file=' '' $token)
    end
    $tokens[1] __complete vms $files 2>/dev/null
end

function _@f@_specs
    set -l tokens (commandline -opc)
    $tokens[1] __complete specs 2>/dev/null
end

complete -c @p@ -f
complete -c @p@ -n _@f@_after_dashes -F
)";

std::string in_quotes(std::string_view text) {
    std::string out = "'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') { out += '\\'; }
        out += c;
    }
    return out + "'";
}

std::string action(const CLI::Option& option) {
    switch (argument_of(option)) {
    case Argument::nothing: return {};
    case Argument::text: return " -x";
    case Argument::word: return fmt::format(" -x -a '{}'", fmt::join(argument_words(option), " "));
    case Argument::file: return " -r -F";
    case Argument::toml: return " -x -a '(__fish_complete_suffix .toml)'";
    case Argument::directory: return " -x -a '(__fish_complete_directories)'";
    case Argument::target:
    case Argument::spec: break; // no option has one
    }
    return {};
}

std::string option_line(const CLI::Option& option, const std::string& condition) {
    std::string text = "complete -c @p@ -n " + condition;
    for (const std::string& name : option.get_snames()) { text += " -s " + name; }
    for (const std::string& name : option.get_lnames()) { text += " -l " + name; }
    return text + action(option) + " -d " + in_quotes(option.get_description()) + "\n";
}

std::string positional_lines(const CLI::Option& option, const std::string& condition) {
    const std::string line = "complete -c @p@ -n " + condition;
    switch (argument_of(option)) {
    case Argument::nothing:
    case Argument::text: return {};
    case Argument::word: return fmt::format("{} -a '{}'\n", line, fmt::join(argument_words(option), " "));
    case Argument::file: return line + " -F\n";
    case Argument::toml: return line + " -a '(__fish_complete_suffix .toml)'\n";
    case Argument::directory: return line + " -a '(__fish_complete_directories)'\n";
    case Argument::spec:
        return fmt::format("{0} -a '(_@f@_specs)' -d spec\n{0} -a '(__fish_complete_suffix .toml)'\n", line);
    case Argument::target:
        return fmt::format("{0} -a '(_@f@_machines)' -d machine\n{0} -a '(__fish_complete_suffix .toml)'\n", line);
    }
    return {};
}

} // namespace

std::string fish_completion(const CLI::App& app) {
    std::string text = functions;
    std::string commands;
    for (const CLI::App* command : shown_commands(app)) { commands += " " + command->get_name(); }
    // One that does something by itself takes its options anywhere, but behind a command.
    const bool by_itself = !shown_positionals(app).empty();
    const std::string own = by_itself
                                ? in_quotes("not _@f@_after_dashes; and not __fish_seen_subcommand_from" + commands)
                                : std::string("_@f@_no_command");
    for (const CLI::Option* each : shown_options(app)) { text += option_line(*each, own); }
    for (const CLI::Option* each : shown_positionals(app)) { text += positional_lines(*each, own); }
    for (const CLI::App* command : shown_commands(app)) {
        const std::string condition = in_quotes("_@f@_is " + command->get_name());
        text += fmt::format("\ncomplete -c @p@ -n _@f@_no_command -a {} -d {}\n", command->get_name(),
                            in_quotes(command->get_description()));
        for (const CLI::Option* each : shown_options(*command)) { text += option_line(*each, condition); }
        for (const CLI::Option* each : shown_positionals(*command)) { text += positional_lines(*each, condition); }
    }
    return for_program(text, app);
}

} // namespace microvmc
