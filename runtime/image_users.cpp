#include "runtime/image_users.h"

#include "runtime/error.h"
#include "runtime/launch.h"
#include "runtime/machine.h"

#include <filesystem>
#include <optional>
#include <sys/stat.h>

namespace microvmc {

namespace {

namespace fs = std::filesystem;

bool is_same(const struct stat& file, const std::string& path) {
    struct stat other {};
    return ::stat(path.c_str(), &other) == 0 && file.st_dev == other.st_dev && file.st_ino == other.st_ino;
}

bool uses(const std::string& machine, const struct stat& file) {
    try {
        if (!is_locked(machine)) { return false; }
        for (const Launch::Image& image : read_launch(machine).images) {
            if (is_same(file, image.path)) { return true; }
        }
    } catch (const Error&) { // one that starts or ends at this moment
    }
    return false;
}

} // namespace

std::string image_user(const std::string& runtime_dir, const std::string& path) {
    struct stat file {};
    if (::stat(path.c_str(), &file) != 0) { return {}; }
    std::error_code error;
    for (const auto& project : fs::directory_iterator(runtime_dir, error)) {
        for (const auto& machine : fs::directory_iterator(project.path(), error)) {
            if (!uses(machine.path().string(), file)) { continue; }
            return project.path().filename().string() + "/" + machine.path().filename().string();
        }
    }
    return {};
}

} // namespace microvmc
