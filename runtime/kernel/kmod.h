#pragma once

#include <libkmod.h>

namespace microvmc {

/// The functions of libkmod that we use, as libkmod.h has them.
struct Kmod {
    decltype(&::kmod_new) create;
    decltype(&::kmod_unref) unref;
    decltype(&::kmod_set_log_fn) set_log_fn;
    decltype(&::kmod_list_next) list_next;
    decltype(&::kmod_module_new_from_lookup) look_up;
    decltype(&::kmod_module_get_module) module_of;
    decltype(&::kmod_module_get_path) path;
    decltype(&::kmod_module_get_name) name;
    decltype(&::kmod_module_get_dependencies) dependencies;
    decltype(&::kmod_module_get_softdeps) softdeps;
    decltype(&::kmod_module_unref) unref_module;
    decltype(&::kmod_module_unref_list) unref_list;
};

/// Loads libkmod when it is first asked for: it brings libcrypto, and loading that takes longer than all else that most
/// commands do. Throws Error when it isn't installed.
const Kmod& load_kmod();

} // namespace microvmc
