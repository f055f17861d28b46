#include "runtime/commands/manual.h"
#include "runtime/commands/session.h"

#include "compiler/json_schema.h"
#include "compiler/plan_schema.h"
#include "compiler/reference_man.h"
#include "compiler/reference_markdown.h"
#include "runtime/backend.h"

#include <memory>

namespace microvmc {

namespace {

struct SchemaFlags {
    bool plan = false;
    bool markdown = false;
    std::string man;
};

constexpr const char* language_page = "microvm.toml.5";
constexpr const char* command_page = "microvmc.1";

} // namespace

void add_schema(CLI::App& app, Session& /*session*/) {
    auto flags = std::make_shared<SchemaFlags>();
    CLI::App* command =
        app.add_subcommand("schema", "Print the JSON Schema of microvm.toml, for editors and other programs");
    command->add_flag("--plan", flags->plan, "That of plan --json and of saved plans instead");
    // For ci/generate.
    command->add_flag("--markdown", flags->markdown, "docs/LANGUAGE.md")->group("");
    command->add_option("--man", flags->man, "A man page")
        ->check(CLI::IsMember({language_page, command_page}))
        ->group("");
    command->callback([&app, flags] {
        if (flags->plan) {
            print(plan_json_schema());
        } else if (flags->markdown) {
            print(reference_markdown(all_traits()));
        } else if (flags->man == language_page) {
            print(reference_man(all_traits(), app.version()));
        } else if (flags->man == command_page) {
            print(command_manual(app));
        } else {
            print(json_schema(all_traits()));
        }
    });
}

} // namespace microvmc
