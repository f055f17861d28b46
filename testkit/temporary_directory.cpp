#include "testkit/temporary_directory.h"

#include "runtime/error.h"
#include "runtime/files.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace microvmc::testkit {

TemporaryDirectory::TemporaryDirectory() {
    std::error_code error;
    const std::filesystem::path place = std::filesystem::temp_directory_path(error);
    path_ = (error ? std::string("/tmp") : place.string()) + "/microvm-test-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) {
        throw Error(fmt::format("can't make {}: {}", path_, std::strerror(errno)),
                    "set TMPDIR to a writable directory");
    }
}

TemporaryDirectory::~TemporaryDirectory() {
    try {
        remove_tree(path_);
    } catch (const Error&) {} // a leftover in /tmp is no reason to end
}

} // namespace microvmc::testkit
