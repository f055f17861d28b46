#include "runtime/commands/command_line.h"
#include "runtime/commands/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace microvmc {

namespace {

constexpr const char* functions = R"~(# bash completion of microvmc, made by `microvmc completion bash`

# Directories, and files that end in the first argument (all without one), into COMPREPLY.
_microvmc_files() {
    local name
    while IFS= read -r name; do
        COMPREPLY+=("$(printf '%q' "$name")/")
    done < <(compgen -d -- "$cur")
    while IFS= read -r name; do
        [[ -d $name || $name != *"$1" ]] || COMPREPLY+=("$(printf '%q' "$name")")
    done < <(compgen -f -- "$cur")
    [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != */ ]] || compopt -o nospace 2>/dev/null
}

# Machines of the files that the line names.
_microvmc_machines() {
    local -a files=()
    local i
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            *.toml) files+=(--file "${COMP_WORDS[i]}") ;;
        esac
    done
    _microvmc_words "$("${COMP_WORDS[0]/#\~/$HOME}" __complete vms "${files[@]}" 2>/dev/null)"
}

_microvmc_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_microvmc() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} i
    COMPREPLY=()
    # readline splits --file=x into three words.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -- ]]; then
            _microvmc_files ""
            return
        fi
    done
)~";

std::string action(Argument argument, const std::vector<std::string>& words) {
    switch (argument) {
    case Argument::nothing:
    case Argument::text: return ":";
    case Argument::word: return fmt::format("_microvmc_words '{}'", fmt::join(words, " "));
    case Argument::file: return "_microvmc_files ''";
    case Argument::toml: return "_microvmc_files .toml";
    case Argument::directory: return "_microvmc_files /";
    case Argument::target: return "_microvmc_machines; _microvmc_files .toml";
    }
    return ":";
}

std::string names_of(const std::vector<const CLI::Option*>& options) {
    std::vector<std::string> all;
    for (const CLI::Option* each : options) {
        for (const std::string& name : option_names(*each)) { all.push_back(name); }
    }
    return fmt::format("{}", fmt::join(all, " "));
}

} // namespace

std::string bash_completion(const CLI::App& app) {
    std::vector<std::string> commands;
    std::string cases;
    for (const CLI::App* command : shown_commands(app)) {
        commands.push_back(command->get_name());
        cases += fmt::format("        {})\n            case $prev in\n", command->get_name());
        for (const CLI::Option* each : shown_options(*command)) {
            if (argument_of(*each) == Argument::nothing) { continue; }
            cases += fmt::format("                {}) {}; return ;;\n", fmt::join(option_names(*each), " | "),
                                 action(argument_of(*each), argument_words(*each)));
        }
        cases +=
            fmt::format("            esac\n            if [[ $cur == -* ]]; then _microvmc_words '{}'; return; fi\n",
                        names_of(shown_options(*command)));
        for (const CLI::Option* each : shown_positionals(*command)) {
            cases += fmt::format("            {}\n", action(argument_of(*each), argument_words(*each)));
            break; // what follows the first is of its kind
        }
        cases += "            ;;\n";
    }
    return fmt::format(
        "{}    if [[ $COMP_CWORD -eq 1 ]]; then\n        _microvmc_words '{} {}'\n        return\n    fi\n"
        "    case $command in\n{}    esac\n}}\n\ncomplete -F _microvmc microvmc\n",
        functions, fmt::join(commands, " "), names_of(shown_options(app)), cases);
}

} // namespace microvmc
