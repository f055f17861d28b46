#include "runtime/kernel/modules.h"

#include "runtime/error.h"
#include "runtime/kernel/kmod.h"

#include <fmt/format.h>

#include <array>
#include <cstdarg>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>
#include <unistd.h>

namespace microvmc {

namespace {

using Context = std::unique_ptr<kmod_ctx, kmod_ctx* (*)(kmod_ctx*)>;
using List = std::unique_ptr<kmod_list, int (*)(kmod_list*)>;
using Module = std::unique_ptr<kmod_module, kmod_module* (*)(kmod_module*)>;

void keep_quiet(void*, int, const char*, int, const char*, const char*, va_list) {}

class Resolver {
public:
    explicit Resolver(const std::string& directory)
        : directory_(directory), softdeps_(directory + "/modules.softdep"), context_(nullptr, kmod_.unref) {
        if (::access((directory + "/modules.dep.bin").c_str(), R_OK) != 0) {
            throw Error(
                fmt::format("{} has no index of its modules (modules.dep.bin): {}", directory, std::strerror(errno)),
                "make it with depmod");
        }
        const std::array<const char*, 2> configuration{softdeps_.c_str(), nullptr};
        context_.reset(kmod_.create(directory.c_str(), configuration.data()));
        if (!context_) { throw Error(fmt::format("can't read the modules of {}", directory)); }
        kmod_.set_log_fn(context_.get(), keep_quiet, nullptr);
    }

    void want(const std::string& name) {
        kmod_list* raw = nullptr;
        const int error = kmod_.look_up(context_.get(), name.c_str(), &raw);
        const List found = own(raw);
        if (error < 0) {
            throw Error(fmt::format("can't look up the module {} in {}: {}", name, directory_, std::strerror(-error)));
        }
        if (!found) { resolved_.unknown.push_back(name); }
        visit_all(found.get());
    }

    ResolvedModules take() { return std::move(resolved_); }

private:
    [[nodiscard]] List own(kmod_list* list) const { return {list, kmod_.unref_list}; }

    void visit_all(kmod_list* list) {
        for (kmod_list* entry = list; entry != nullptr; entry = kmod_.list_next(list, entry)) {
            const Module module(kmod_.module_of(entry), kmod_.unref_module);
            visit(module.get());
        }
    }

    void visit(kmod_module* module) {
        const char* const path = kmod_.path(module);
        if (path == nullptr) { return; } // built in
        std::string name = kmod_.name(module);
        if (!visited_.insert(name).second) { return; }
        visit_all(own(kmod_.dependencies(module)).get());
        kmod_list* before = nullptr;
        kmod_list* after = nullptr;
        kmod_.softdeps(module, &before, &after);
        const List owned_before = own(before);
        const List owned_after = own(after);
        visit_all(before);
        resolved_.files.push_back(
            {std::move(name), std::filesystem::path(path).lexically_relative(directory_).string()});
    }

    const Kmod& kmod_ = load_kmod();
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
