#include "runtime/commands/inputs.h"
#include "runtime/commands/session.h"
#include "runtime/commands/templates.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/terminal.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <system_error>
#include <vector>

namespace microvmc {

namespace fs = std::filesystem;

namespace {

struct InitFlags {
    std::string directory = ".";
    std::string name = "hello";
    bool list = false;
};

std::vector<std::string> template_names() {
    std::vector<std::string> names;
    for (const TemplateFile& file : template_files()) {
        if (names.empty() || names.back() != file.name) { names.emplace_back(file.name); }
    }
    return names;
}

/// A template's microvm.toml begins with a line that says what it is.
std::string summary(const TemplateFile& file) {
    std::string_view line = file.text.substr(0, file.text.find('\n'));
    line.remove_prefix(std::min(line.find_first_not_of("# "), line.size()));
    return std::string(line);
}

void list_templates(const Session& session) {
    std::vector<std::vector<std::string>> rows{{"TEMPLATE", "WHAT IT IS"}};
    for (const TemplateFile& file : template_files()) {
        if (file.path == "microvm.toml") { rows.push_back({std::string(file.name), summary(file)}); }
    }
    print(render_table(rows, colour_on_stdout(session)));
}

/// All of the template's files, or none: what was written before a failure is taken back.
std::vector<std::string> write_template(const std::string& name, const fs::path& directory) {
    std::vector<std::string> written;
    const auto take_back = [&written] {
        std::error_code ignored;
        for (const std::string& path : written) { fs::remove(path, ignored); }
    };
    const auto exists = [](const fs::path& path) {
        return Error(fmt::format("{} exists already", path.string()),
                     "init overwrites nothing; name another directory: microvmc init DIR");
    };
    for (const TemplateFile& file : template_files()) {
        std::error_code ignored;
        const fs::path path = directory / file.path;
        if (file.name == name && fs::exists(fs::symlink_status(path, ignored))) { throw exists(path); }
    }
    try {
        for (const TemplateFile& file : template_files()) {
            if (file.name != name) { continue; }
            const std::string path = (directory / file.path).lexically_normal().string();
            const std::string absolute = absolute_path(path);
            make_directories(fs::path(absolute).parent_path().string(), 0777);
            NewFile made(absolute, 0644);
            made.write(file.text);
            if (!made.publish()) { throw exists(path); }
            written.push_back(path);
        }
    } catch (...) {
        take_back();
        throw;
    }
    return written;
}

} // namespace

void add_init(CLI::App& app, Session& session) {
    auto flags = std::make_shared<InitFlags>();
    CLI::App* command = app.add_subcommand("init", "Write a microvm.toml to start from; overwrites nothing");
    command->add_option("directory", flags->directory, "Where to write it; made when missing (default: here)")
        ->type_name("DIR");
    command->add_option("-t,--template", flags->name, "What to start from; --list shows them")
        ->check(CLI::IsMember(template_names()))
        ->capture_default_str();
    command->add_flag("--list", flags->list, "Show the templates");
    command->add_flag("--no-color", session.no_color, "Never colour the output");
    command->callback([&session, flags] {
        if (flags->list) {
            list_templates(session);
            return;
        }
        std::string text;
        for (const std::string& path : write_template(flags->name, flags->directory)) {
            text += fmt::format("wrote {}\n", printable(path));
        }
        const std::string directory = fs::path(flags->directory).lexically_normal().string();
        text += "\nNext:\n";
        if (directory != "." && directory != "./") { text += fmt::format("    cd {}\n", shell_quoted(directory)); }
        print(text + "    microvmc plan     # what would happen\n    microvmc apply    # make it so\n");
    });
}

} // namespace microvmc
