#include "runtime/commands/completion.h"

#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"

#include <exception>
#include <memory>

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

void add_completion(CLI::App& app, Session& session) {
    auto shell = std::make_shared<std::string>();
    CLI::App* command = app.add_subcommand("completion", "Print a script that completes commands in your shell");
    command->add_option("shell", *shell, "The shell that reads it")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    command->footer("bash: eval \"$(microvmc completion bash)\" in ~/.bashrc\n"
                    "zsh: microvmc completion zsh > a directory of $fpath, as _microvmc\n"
                    "fish: microvmc completion fish > ~/.config/fish/completions/microvmc.fish");
    command->callback([&app, shell] {
        print(*shell == "bash" ? bash_completion(app) : *shell == "zsh" ? zsh_completion(app) : fish_completion(app));
    });

    auto what = std::make_shared<std::string>();
    CLI::App* hidden = add_command(app, session, "__complete", "What the scripts of `completion` ask")->group("");
    hidden->add_option("what", *what, "")->required()->check(CLI::IsMember({"vms"}));
    hidden->callback([&session] { print_machines(session); });
}

} // namespace microvmc
