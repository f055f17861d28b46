#include "tests/boot/debian.h"

#include "runtime/error.h"
#include "runtime/file_lock.h"
#include "runtime/process.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>

namespace microvmc::boot {

namespace {

constexpr std::chrono::minutes patience{20}; // it downloads and unpacks 100 packages
constexpr const char* packages = "systemd-sysv,dbus,udev,iproute2,nginx-light,postgresql";

} // namespace

std::string debian_root(std::string& why_not) {
    if (const char* named = std::getenv("MICROVMC_DEBIAN_ROOT")) { return named; }
    const std::string path = std::string(TEST_BINARY_DIR) + "/debian-root.tar";
    const FileLock lock(path + ".lock", patience, "the Debian root");
    if (std::filesystem::exists(path)) { return path; }
    const std::string part = path + ".part";
    RunOptions options;
    options.timeout = patience;
    try {
        // Services that aren't what is tested would only take time.
        const Ran ran = run_program({"mmdebstrap", "--quiet", "--variant=minbase", std::string("--include=") + packages,
                                     "--format=tar", "--aptopt=APT::Install-Recommends \"false\"",
                                     "--customize-hook=chroot \"$1\" systemctl disable nginx postgresql",
                                     "--customize-hook=rm -rf \"$1\"/var/lib/apt/lists \"$1\"/var/cache/apt/*.bin",
                                     "bookworm", part},
                                    options);
        if (ran.status == 0) {
            std::filesystem::rename(part, path);
            return path;
        }
        why_not = "mmdebstrap failed: " + last_words(ran);
    } catch (const Error& error) { why_not = error.what(); }
    std::error_code ignored;
    std::filesystem::remove(part, ignored);
    return {};
}

} // namespace microvmc::boot
