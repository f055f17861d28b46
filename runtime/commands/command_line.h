#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

// What the generated manual and the completion scripts ask of the CLI11 app.

namespace microvmc {

/// What stands after an option, or as a positional.
enum class Argument {
    nothing,   ///< a flag
    text,      ///< anything
    word,      ///< one of `argument_words`
    file,      ///< any file
    toml,      ///< a microvm.toml
    directory, ///<
    target,    ///< a microvm.toml or a machine
    spec,      ///< a spec that comes with microvm-test, a file or a directory
};
Argument argument_of(const CLI::Option& option);
/// The words that its check allows.
std::vector<std::string> argument_words(const CLI::Option& option);
/// "FILE", "NAME", ...; empty for a flag.
std::string argument_label(const CLI::Option& option);
/// Whether it may be said more than once.
bool is_repeatable(const CLI::Option& option);
/// "-f", "--file"
std::vector<std::string> option_names(const CLI::Option& option);

/// Those that help shows, in its order.
std::vector<const CLI::App*> shown_commands(const CLI::App& app);
std::vector<const CLI::Option*> shown_options(const CLI::App& command);
std::vector<const CLI::Option*> shown_positionals(const CLI::App& command);

} // namespace microvmc
