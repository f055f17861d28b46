#include "runtime/guest/modules.h"

#include "runtime/guest/system.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace microvmc::guest {

namespace {
constexpr const char* modules_directory = "/microvmc/modules";
}

std::vector<std::string> load_modules(const std::vector<std::string>& names) {
    std::vector<std::string> failures;
    for (const auto& name : names) {
        const Fd file(::open(concat({modules_directory, "/", name}).c_str(), O_RDONLY | O_CLOEXEC));
        if (file.open() && (syscall(SYS_finit_module, file.get(), "", 0) == 0 || errno == EEXIST)) { continue; }
        failures.push_back(with_errno({"module ", name}, errno));
    }
    return failures;
}

void load_file_system(const Settings& settings, std::string_view name) {
    for (const auto& file_system : settings.file_systems) {
        if (file_system.name == name) { load_modules(file_system.modules); }
    }
}

void forget_modules() {
    remove_tree(modules_directory);
}

} // namespace microvmc::guest
