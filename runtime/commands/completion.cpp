#include "runtime/commands/completion.h"

#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"

#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <memory>
#include <string>

namespace microvmc {

namespace {

/// One a line; nothing when the sources are wrong: a shell that completes has no place for messages.
void print_machines(const Session& session) {
    std::string names;
    try {
        const Pipeline pipeline = load_sources(session);
        if (!pipeline.config) { return; }
        for (const VmConfig& vm : pipeline.config->vms) { names += vm.name.value + "\n"; }
    } catch (const std::exception&) { return; }
    print(names);
}

} // namespace

std::string for_program(std::string_view text, const CLI::App& app) {
    const std::string program = app.get_name();
    std::string function = "_" + program;
    std::ranges::replace(function, '-', '_');
    std::string out;
    while (!text.empty()) {
        const std::string_view start = text.substr(0, 3);
        if (start == "@f@" || start == "@p@") {
            out += start == "@f@" ? function : program;
            text.remove_prefix(3);
        } else {
            out += text.front();
            text.remove_prefix(1);
        }
    }
    return out;
}

void add_completion_scripts(CLI::App& app) {
    const std::string program = app.get_name();
    auto shell = std::make_shared<std::string>();
    CLI::App* command = app.add_subcommand("completion", "Print a script that completes commands in your shell");
    command->add_option("shell", *shell, "The shell that reads it")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    command->footer(fmt::format("bash: eval \"$({0} completion bash)\" in ~/.bashrc\n"
                                "zsh: {0} completion zsh > a directory of $fpath, as _{0}\n"
                                "fish: {0} completion fish > ~/.config/fish/completions/{0}.fish",
                                program));
    command->callback([&app, shell] {
        print(*shell == "bash" ? bash_completion(app) : *shell == "zsh" ? zsh_completion(app) : fish_completion(app));
    });
}

void add_completion(CLI::App& app, Session& session) {
    add_completion_scripts(app);

    auto what = std::make_shared<std::string>();
    CLI::App* hidden = add_command(app, session, "__complete", "What the scripts of `completion` ask")->group("");
    hidden->add_option("what", *what, "")->required()->check(CLI::IsMember({"vms"}));
    hidden->callback([&session] { print_machines(session); });
}

} // namespace microvmc
