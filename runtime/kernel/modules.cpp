#include "runtime/kernel/modules.h"

#include "runtime/error.h"

#include <fmt/format.h>

#include <array>
#include <cstdarg>
#include <cstring>
#include <filesystem>
#include <libkmod.h>
#include <memory>
#include <set>
#include <unistd.h>

namespace microvmc {

namespace {

using Context = std::unique_ptr<kmod_ctx, kmod_ctx* (*)(kmod_ctx*)>;
using List = std::unique_ptr<kmod_list, int (*)(kmod_list*)>;
using Module = std::unique_ptr<kmod_module, kmod_module* (*)(kmod_module*)>;

void keep_quiet(void*, int, const char*, int, const char*, const char*, va_list) {}

List own(kmod_list* list) {
    return {list, kmod_module_unref_list};
}

class Resolver {
public:
    explicit Resolver(const std::string& directory)
        : directory_(directory), softdeps_(directory + "/modules.softdep"), context_(nullptr, kmod_unref) {
        if (::access((directory + "/modules.dep.bin").c_str(), R_OK) != 0) {
            throw Error(
                fmt::format("{} has no index of its modules (modules.dep.bin): {}", directory, std::strerror(errno)),
                "make it with depmod");
        }
        const std::array<const char*, 2> configuration{softdeps_.c_str(), nullptr};
        context_.reset(kmod_new(directory.c_str(), configuration.data()));
        if (!context_) { throw Error(fmt::format("can't read the modules of {}", directory)); }
        kmod_set_log_fn(context_.get(), keep_quiet, nullptr);
    }

    void want(const std::string& name) {
        kmod_list* raw = nullptr;
        const int error = kmod_module_new_from_lookup(context_.get(), name.c_str(), &raw);
        const List found = own(raw);
        if (error < 0) {
            throw Error(fmt::format("can't look up the module {} in {}: {}", name, directory_, std::strerror(-error)));
        }
        if (!found) { resolved_.unknown.push_back(name); }
        visit_all(found.get());
    }

    ResolvedModules take() { return std::move(resolved_); }

private:
    void visit_all(kmod_list* list) {
        kmod_list* entry = nullptr;
        kmod_list_foreach(entry, list) {
            const Module module(kmod_module_get_module(entry), kmod_module_unref);
            visit(module.get());
        }
    }

    void visit(kmod_module* module) {
        const char* const path = kmod_module_get_path(module);
        if (path == nullptr) { return; } // built in
        std::string name = kmod_module_get_name(module);
        if (!visited_.insert(name).second) { return; }
        visit_all(own(kmod_module_get_dependencies(module)).get());
        kmod_list* before = nullptr;
        kmod_list* after = nullptr;
        kmod_module_get_softdeps(module, &before, &after);
        const List owned_before = own(before);
        const List owned_after = own(after);
        visit_all(before);
        resolved_.files.push_back(
            {std::move(name), std::filesystem::path(path).lexically_relative(directory_).string()});
    }

    std::string directory_;
    std::string softdeps_;
    Context context_;
    std::set<std::string> visited_;
    ResolvedModules resolved_;
};

} // namespace

ResolvedModules resolve_modules(const std::string& directory, const std::vector<std::string>& names) {
    Resolver resolver(directory);
    for (const std::string& name : names) { resolver.want(name); }
    return resolver.take();
}

std::string plain_module_name(const std::string& path) {
    std::filesystem::path name = std::filesystem::path(path).filename();
    if (name.extension() != ".ko") { name.replace_extension(); }
    return name.string();
}

} // namespace microvmc
