#include "runtime/commands/command_line.h"
#include "runtime/commands/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

namespace microvmc {

namespace {

constexpr const char* head = R"~(#compdef @p@
# zsh completion of @p@, made by `@p@ completion zsh`

@f@_machines() {
    local -a files names
    local word
    for word in ${words[1,CURRENT-1]}; do
        [[ $word != *.toml ]] || files+=(--file ${word#--file=})
    done
    names=(${(f)"$($@f@_program __complete vms $files 2>/dev/null)"})
    (( ! $#names )) || _wanted machines expl machine compadd -a names
}

@f@_specs() {
    local -a names
    names=(${(f)"$($@f@_program __complete specs 2>/dev/null)"})
    _alternative 'specs:spec:compadd -a names' 'files:file:_files -g "*.toml(-.)"'
}

@f@_targets() {
    _alternative 'machines:machine:@f@_machines' 'files:file:_files -g "*.toml(-.)"'
}

@f@() {
    local @f@_program=${(Q)~words[1]} context state state_descr line
    typeset -A opt_args
)~";

std::string single_quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text) {
        if (c == '\'') {
            out += "'\\''";
        } else {
            out += c;
        }
    }
    return out + "'";
}

/// For a description in a specification of _arguments.
std::string described(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '[' || c == ']' || c == ':' || c == '\\') { out += '\\'; }
        out += c;
    }
    return out;
}

std::string action(const CLI::Option& option) {
    switch (argument_of(option)) {
    case Argument::nothing:
    case Argument::text: return " ";
    case Argument::word: return fmt::format("({})", fmt::join(argument_words(option), " "));
    case Argument::file: return "_files";
    case Argument::toml: return "_files -g \"*.toml(-.)\"";
    case Argument::directory: return "_files -/";
    case Argument::target: return "@f@_targets";
    case Argument::spec: return "@f@_specs";
    }
    return " ";
}

std::string option_specs(const CLI::Option& option, const std::string& indent) {
    const std::vector<std::string> names = option_names(option);
    const bool takes = argument_of(option) != Argument::nothing;
    const std::string before = is_repeatable(option) ? "*" : fmt::format("({})", fmt::join(names, " "));
    std::string text;
    for (const std::string& name : names) {
        std::string spec = before + name;
        if (takes) { spec += name.starts_with("--") ? "=" : "+"; }
        spec += fmt::format("[{}]", described(option.get_description()));
        if (takes) { spec += fmt::format(":{}:{}", described(argument_label(option)), action(option)); }
        text += fmt::format("{}{} \\\n", indent, single_quoted(spec));
    }
    return text;
}

std::string positional_spec(const CLI::Option& option) {
    return single_quoted(
        fmt::format("{}:{}:{}", is_repeatable(option) ? "*" : "", described(option.get_name()), action(option)));
}

std::vector<std::string> names(const CLI::App& app) {
    std::vector<std::string> all;
    for (const CLI::App* command : shown_commands(app)) { all.push_back(command->get_name()); }
    return all;
}

/// The specifications of a command's arguments, for _arguments.
std::string specs(const CLI::App& command, const std::string& indent) {
    std::string text;
    for (const CLI::Option* each : shown_options(command)) { text += option_specs(*each, indent); }
    for (const CLI::Option* each : shown_positionals(command)) {
        text += fmt::format("{}{} \\\n", indent, positional_spec(*each));
    }
    return text;
}

std::string described_commands(const CLI::App& app, const std::string& indent) {
    std::string text;
    for (const CLI::App* command : shown_commands(app)) {
        text += fmt::format(
            "{}{}\n", indent,
            single_quoted(fmt::format("{}:{}", command->get_name(), described(command->get_description()))));
    }
    return text;
}

/// A `case` of the commands; `word` has the name.
std::string command_cases(const CLI::App& app, const std::string& word, const std::string& indent) {
    std::string text = fmt::format("{}case {} in\n", indent, word);
    for (const CLI::App* command : shown_commands(app)) {
        text += fmt::format("{0}    {1})\n{0}        _arguments -s \\\n{2}{0}            && return\n{0}        ;;\n",
                            indent, command->get_name(), specs(*command, indent + "            "));
    }
    return text + indent + "esac\n";
}

/// Of a program whose first word is a command.
std::string by_command(const CLI::App& app) {
    return "    _arguments -C \\\n" + specs(app, "        ") +
           "        '1:command:->command' \\\n        '*::argument:->argument'\n    case $state in\n"
           "        command)\n            local -a commands=(\n" +
           described_commands(app, "                ") +
           "            )\n            _describe -t commands command commands\n            ;;\n"
           "        argument)\n            if (( $words[(I)--] && $words[(I)--] < CURRENT )); then\n"
           "                _files\n                return\n            fi\n" +
           command_cases(app, "$words[1]", "            ") + "            ;;\n    esac\n";
}

/// Of one that does something by itself and has commands beside.
std::string by_argument(const CLI::App& app) {
    return "    if (( $words[(I)--] && $words[(I)--] < CURRENT )); then\n        _files\n        return\n    fi\n"
           "    if (( CURRENT > 2 )) && [[ $words[2] == (" +
           fmt::format("{}", fmt::join(names(app), "|")) +
           ") ]]; then\n        shift words\n        (( CURRENT-- ))\n" + command_cases(app, "$words[1]", "        ") +
           "        return\n    fi\n    if (( CURRENT == 2 )); then\n        local -a commands=(\n" +
           described_commands(app, "            ") +
           "        )\n        _describe -t commands command commands\n    fi\n    _arguments -s \\\n" +
           specs(app, "        ") + "        && return\n";
}

} // namespace

std::string zsh_completion(const CLI::App& app) {
    return for_program(head + (shown_positionals(app).empty() ? by_command(app) : by_argument(app)) +
                           "}\n\nif [[ $funcstack[1] == @f@ ]]; then @f@ \"$@\"; else compdef @f@ @p@; fi\n",
                       app);
}

} // namespace microvmc
