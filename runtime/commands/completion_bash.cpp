#include "runtime/commands/command_line.h"
#include "runtime/commands/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace microvmc {

namespace {

constexpr const char* functions = R"~(# bash completion of @p@, made by `@p@ completion bash`

# Directories, and files that end in the first argument (all without one), into COMPREPLY.
@f@_files() {
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
@f@_machines() {
    local -a files=()
    local i
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            *.toml) files+=(--file "${COMP_WORDS[i]}") ;;
        esac
    done
    @f@_words "$("${COMP_WORDS[0]/#\~/$HOME}" __complete vms "${files[@]}" 2>/dev/null)"
}

# Specs that come with the program.
@f@_specs() {
    @f@_words "$("${COMP_WORDS[0]/#\~/$HOME}" __complete specs 2>/dev/null)"
}

@f@_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

@f@() {
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
            @f@_files ""
            return
        fi
    done
)~";

std::string action(Argument argument, const std::vector<std::string>& words) {
    switch (argument) {
    case Argument::nothing:
    case Argument::text: return ":";
    case Argument::word: return fmt::format("@f@_words '{}'", fmt::join(words, " "));
    case Argument::file: return "@f@_files ''";
    case Argument::toml: return "@f@_files .toml";
    case Argument::directory: return "@f@_files /";
    case Argument::spec: return "@f@_specs; @f@_files .toml";
    case Argument::target: return "@f@_machines; @f@_files .toml";
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

/// What completes an option's value, and then the options and the first positional: what follows that is of its kind.
std::string arguments(const CLI::App& command) {
    std::string text = "            case $prev in\n";
    for (const CLI::Option* each : shown_options(command)) {
        if (argument_of(*each) == Argument::nothing) { continue; }
        text += fmt::format("                {}) {}; return ;;\n", fmt::join(option_names(*each), " | "),
                            action(argument_of(*each), argument_words(*each)));
    }
    text += fmt::format("            esac\n            if [[ $cur == -* ]]; then @f@_words '{}'; return; fi\n",
                        names_of(shown_options(command)));
    for (const CLI::Option* each : shown_positionals(command)) {
        text += fmt::format("            {}\n", action(argument_of(*each), argument_words(*each)));
        break;
    }
    return text;
}

} // namespace

std::string bash_completion(const CLI::App& app) {
    std::vector<std::string> commands;
    std::string cases;
    for (const CLI::App* command : shown_commands(app)) {
        commands.push_back(command->get_name());
        cases += fmt::format("        {})\n{}            ;;\n", command->get_name(), arguments(*command));
    }
    std::string first;
    if (shown_positionals(app).empty()) {
        first = fmt::format("    if [[ $COMP_CWORD -eq 1 ]]; then\n        @f@_words '{} {}'\n        return\n    fi\n",
                            fmt::join(commands, " "), names_of(shown_options(app)));
    } else { // it does something by itself
        cases += fmt::format("        *)\n{}            [[ $COMP_CWORD -ne 1 ]] || mapfile -t -O ${{#COMPREPLY[@]}} "
                             "COMPREPLY < <(compgen -W '{}' -- \"$cur\")\n            ;;\n",
                             arguments(app), fmt::join(commands, " "));
    }
    return for_program(
        fmt::format("{}{}    case $command in\n{}    esac\n}}\n\ncomplete -F @f@ @p@\n", functions, first, cases), app);
}

} // namespace microvmc
