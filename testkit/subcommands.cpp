#include "testkit/subcommands.h"

#include "runtime/backend.h"
#include "runtime/commands/completion.h"
#include "runtime/commands/session.h"
#include "testkit/reference.h"
#include "testkit/result.h"
#include "testkit/spec_files.h"

#include <exception>
#include <memory>
#include <string>

namespace microvmc::testkit {

namespace {

struct SchemaFlags {
    bool report = false;
    bool markdown = false;
    bool man = false;
};

} // namespace

void add_schema(CLI::App& app) {
    auto flags = std::make_shared<SchemaFlags>();
    CLI::App* command = app.add_subcommand("schema", "Print the JSON Schema of specs, for editors and other programs");
    command->add_flag("--report", flags->report, "That of what --json prints instead");
    // For ci/generate.
    command->add_flag("--markdown", flags->markdown, "docs/SPECS.md")->group("");
    command->add_flag("--man", flags->man, "microvm-test.1")->group("");
    command->callback([&app, flags] {
        if (flags->report) {
            print(report_json_schema());
        } else if (flags->markdown) {
            print(specs_markdown(all_traits()));
        } else if (flags->man) {
            print(test_manual(app, all_traits()));
        } else {
            print(spec_json_schema(all_traits()));
        }
    });
}

void add_completion(CLI::App& app) {
    add_completion_scripts(app);
    CLI::App* hidden = app.add_subcommand("__complete", "What the scripts of `completion` ask")->group("");
    auto what = std::make_shared<std::string>();
    hidden->add_option("what", *what, "")->required()->check(CLI::IsMember({"specs"}));
    hidden->callback([what] {
        std::string names;
        try {
            for (const ShippedSpec& spec : shipped_specs()) { names += spec.name + "\n"; }
        } catch (const std::exception&) { return; } // a shell that completes has no place for messages
        print(names);
    });
}

} // namespace microvmc::testkit
