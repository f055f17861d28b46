#include "runtime/kernel/kmod.h"

#include "runtime/error.h"

#include <fmt/format.h>

#include <dlfcn.h>

namespace microvmc {

namespace {

constexpr const char* library_name = "libkmod.so.2"; // the ABI of libkmod.h

void* open_library() {
    void* const library = ::dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) { throw Error(fmt::format("can't load libkmod: {}", ::dlerror()), "install libkmod2"); }
    return library;
}

template <typename Function> void find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    if (function == nullptr) { throw Error(fmt::format("{} has no {}", library_name, name), "upgrade libkmod2"); }
}

Kmod load() {
    void* const library = open_library(); // for good
    Kmod kmod{};
    find(library, "kmod_new", kmod.create);
    find(library, "kmod_unref", kmod.unref);
    find(library, "kmod_set_log_fn", kmod.set_log_fn);
    find(library, "kmod_list_next", kmod.list_next);
    find(library, "kmod_module_new_from_lookup", kmod.look_up);
    find(library, "kmod_module_get_module", kmod.module_of);
    find(library, "kmod_module_get_path", kmod.path);
    find(library, "kmod_module_get_name", kmod.name);
    find(library, "kmod_module_get_dependencies", kmod.dependencies);
    find(library, "kmod_module_get_softdeps", kmod.softdeps);
    find(library, "kmod_module_unref", kmod.unref_module);
    find(library, "kmod_module_unref_list", kmod.unref_list);
    return kmod;
}

} // namespace

const Kmod& load_kmod() {
    static const Kmod kmod = load();
    return kmod;
}

} // namespace microvmc
