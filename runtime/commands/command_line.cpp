#include "runtime/commands/command_line.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace microvmc {

std::vector<std::string> argument_words(const CLI::Option& option) {
    // A check for members describes itself in the type's name: "TEXT:{bash,zsh,fish}".
    const std::string type = option.get_type_name();
    const auto open = type.find('{');
    const auto close = type.find('}', open);
    if (open == std::string::npos || close == std::string::npos) { return {}; }
    return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

std::string argument_label(const CLI::Option& option) {
    if (option.get_items_expected_max() == 0 || option.get_type_size() == 0) { return {}; }
    const std::string type = option.get_type_name();
    return type.substr(0, type.find(':'));
}

Argument argument_of(const CLI::Option& option) {
    const std::string label = argument_label(option);
    if (label.empty()) { return Argument::nothing; }
    if (!argument_words(option).empty()) { return Argument::word; }
    if (label == "DIR") { return Argument::directory; }
    constexpr std::array<std::string_view, 3> targets = {"file", "target", "vm"};
    if (option.get_positional()) {
        const bool is_target = std::ranges::find(targets, option.get_name()) != targets.end();
        if (option.get_name() == "spec") { return Argument::spec; }
        return is_target ? Argument::target : Argument::text;
    }
    if (label != "FILE") { return Argument::text; }
    const bool toml = option.get_name() == "--file" || option.get_name() == "--spec";
    return toml ? Argument::toml : Argument::file;
}

bool is_repeatable(const CLI::Option& option) {
    return option.get_items_expected_max() > 1;
}

std::vector<std::string> option_names(const CLI::Option& option) {
    std::vector<std::string> names;
    for (const std::string& name : option.get_snames()) { names.push_back("-" + name); }
    for (const std::string& name : option.get_lnames()) { names.push_back("--" + name); }
    return names;
}

std::vector<const CLI::App*> shown_commands(const CLI::App& app) {
    return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

std::vector<const CLI::Option*> shown_options(const CLI::App& command) {
    return command.get_options(
        [](const CLI::Option* option) { return !option->get_positional() && !option->get_group().empty(); });
}

std::vector<const CLI::Option*> shown_positionals(const CLI::App& command) {
    return command.get_options(
        [](const CLI::Option* option) { return option->get_positional() && !option->get_group().empty(); });
}

} // namespace microvmc
