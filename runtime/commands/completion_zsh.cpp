#include "runtime/commands/command_line.h"
#include "runtime/commands/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

namespace microvmc {

namespace {

constexpr const char* head = R"~(#compdef microvmc
# zsh completion of microvmc, made by `microvmc completion zsh`

_microvmc_machines() {
    local -a files names
    local word
    for word in ${words[1,CURRENT-1]}; do
        [[ $word != *.toml ]] || files+=(--file ${word#--file=})
    done
    names=(${(f)"$($_microvmc_program __complete vms $files 2>/dev/null)"})
    (( ! $#names )) || _wanted machines expl machine compadd -a names
}

_microvmc_targets() {
    _alternative 'machines:machine:_microvmc_machines' 'files:file:_files -g "*.toml(-.)"'
}

_microvmc() {
    local _microvmc_program=${(Q)~words[1]} context state state_descr line
    typeset -A opt_args
    _arguments -C \
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
    case Argument::target: return "_microvmc_targets";
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

} // namespace

std::string zsh_completion(const CLI::App& app) {
    std::string text = head;
    for (const CLI::Option* each : shown_options(app)) { text += option_specs(*each, "        "); }
    text += "        '1:command:->command' \\\n        '*::argument:->argument'\n    case $state in\n"
            "        command)\n            local -a commands=(\n";
    std::string cases;
    for (const CLI::App* command : shown_commands(app)) {
        text += fmt::format("                {}\n", single_quoted(fmt::format("{}:{}", command->get_name(),
                                                                              described(command->get_description()))));
        cases += fmt::format("                {})\n                    _arguments -s \\\n", command->get_name());
        for (const CLI::Option* each : shown_options(*command)) {
            cases += option_specs(*each, "                        ");
        }
        for (const CLI::Option* each : shown_positionals(*command)) {
            cases += fmt::format("                        {} \\\n", positional_spec(*each));
        }
        cases += "                        && return\n                    ;;\n";
    }
    return text +
           fmt::format(
               "            )\n            _describe -t commands command commands\n            ;;\n"
               "        argument)\n            if (( $words[(I)--] && $words[(I)--] < CURRENT )); then\n"
               "                _files\n                return\n            fi\n"
               "            case $words[1] in\n{}            esac\n            ;;\n    esac\n}}\n\n"
               "if [[ $funcstack[1] == _microvmc ]]; then _microvmc \"$@\"; else compdef _microvmc microvmc; fi\n",
               cases);
}

} // namespace microvmc
