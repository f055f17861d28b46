#include "runtime/commands/session.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/terminal.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <fmt/format.h>
#include <string_view>
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

// A message may have several lines, and names that others gave: of files, of what a guest printed.
std::string printable_lines(std::string_view text) {
    std::string out;
    for (;;) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        out += printable(text.substr(0, end));
        if (end == text.size()) { return out; }
        out += '\n';
        text.remove_prefix(end + 1);
    }
}

void report_error(const Session& session, const std::exception& error, const std::string& help) {
    const bool colour = colour_on_stderr(session);
    complain(fmt::format("{}error:{} {}\n", colour ? "\x1b[1;31m" : "", colour ? "\x1b[0m" : "",
                         printable_lines(error.what())));
    if (!help.empty()) {
        complain(
            fmt::format("{}help:{} {}\n", colour ? "\x1b[1;36m" : "", colour ? "\x1b[0m" : "", printable_lines(help)));
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

int run_app(CLI::App& app, Session& session, int argc, char** argv) {
    // Behind `--` stands the guest's command line, which is none of CLI11's business.
    char** const dashes =
        std::find_if(argv, argv + argc, [](const char* word) { return std::string_view(word) == "--"; });
    session.dashes = dashes != argv + argc;
    if (session.dashes) { session.after_dashes.assign(dashes + 1, argv + argc); }
    try {
        app.parse(static_cast<int>(dashes - argv), argv);
    } catch (const CLI::ParseError& error) {
        const int status = app.exit(error);
        return status == 0 ? exit_ok : exit_usage;
    } catch (const TimeoutError& error) {
        report_error(session, error, error.help);
        return exit_timeout;
    } catch (const Error& error) {
        report_error(session, error, error.help);
        return session.failure;
    } catch (const std::exception& error) {
        report_error(session, error, {});
        return session.failure;
    }
    return session.status;
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
