#include "runtime/commands/session.h"

#include "runtime/error.h"
#include "runtime/terminal.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <unistd.h>

namespace microvmc {

namespace {

void write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR) { continue; }
        if (written < 0) { throw Error(fmt::format("can't write the output: {}", std::strerror(errno))); }
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

} // namespace

CLI::App* add_command(CLI::App& app, Session& session, const std::string& name, const std::string& description,
                      const std::string& file_flags) {
    CLI::App* command = app.add_subcommand(name, description);
    command
        ->add_option(file_flags, session.files, "The microvm.toml to use; repeated, later ones are merged over earlier")
        ->allow_extra_args(false)
        ->type_name("FILE");
    command
        ->add_option("-p,--project", session.project, "The project's name (default: the file's, else its directory's)")
        ->envname("MICROVMC_PROJECT")
        ->type_name("NAME");
    command->add_flag("--no-color", session.no_color, "Never colour the output");
    return command;
}

void add_lock_timeout(CLI::App& command, Session& session) {
    command
        .add_option("--lock-timeout", session.lock_timeout_s,
                    "Seconds to wait for another microvmc that works on the project")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
}

void print(std::string_view text) {
    write_all(STDOUT_FILENO, text);
}

void complain(std::string_view text) {
    write_all(STDERR_FILENO, text);
}

bool colour_on_stdout(const Session& session) {
    return !session.no_color && terminal(STDOUT_FILENO).colour;
}

bool colour_on_stderr(const Session& session) {
    return !session.no_color && terminal(STDERR_FILENO).colour;
}

} // namespace microvmc
