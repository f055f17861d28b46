#include "runtime/credentials.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/process.h"

#include <fmt/format.h>

#include <cstdlib>
#include <optional>

namespace microvmc {

namespace {

std::string read_from_file(const CredentialPlan& credential) {
    std::optional<std::string> value = read_file(credential.file, max_credential);
    if (!value) { throw Error(fmt::format("there is no file {}", printable(credential.file))); }
    return std::move(*value);
}

std::string read_from_environment(const CredentialPlan& credential) {
    const char* const value = std::getenv(credential.env.c_str());
    if (value == nullptr) {
        throw Error(fmt::format("the environment has no {}", printable(credential.env)),
                    "set it for the command that starts the machine");
    }
    return value;
}

std::string read_from_program(const CredentialPlan& credential) {
    RunOptions options;
    options.output_limit = max_credential + 1;
    Ran ran = run_program(credential.command, options);
    const std::string shown = printable(credential.command.front()); // its arguments may be secrets themselves
    if (ran.timed_out) { throw Error(fmt::format("{} took too long", shown)); }
    if (ran.status != 0) {
        ran.out.clear(); // not to be shown, whatever it is
        throw Error(fmt::format("{} failed with status {}: {}", shown, ran.status, printable(last_words(ran))));
    }
    if (ran.out.ends_with('\n')) { ran.out.pop_back(); }
    return std::move(ran.out);
}

std::string read_one(const CredentialPlan& credential) {
    std::string value = !credential.file.empty()  ? read_from_file(credential)
                        : !credential.env.empty() ? read_from_environment(credential)
                                                  : read_from_program(credential);
    if (value.size() > max_credential) { throw Error(fmt::format("it has more than {} KiB", max_credential >> 10U)); }
    return value;
}

} // namespace

std::vector<supervisor::Credential> read_credentials(const std::vector<CredentialPlan>& credentials) {
    std::vector<supervisor::Credential> read;
    for (const CredentialPlan& each : credentials) {
        try {
            read.push_back({each.name, read_one(each)});
        } catch (const Error& error) {
            throw Error(fmt::format("can't read the credential {}: {}", each.name, error.what()), error.help);
        }
    }
    return read;
}

} // namespace microvmc
