#pragma once

#include "runtime/fd.h"

#include <chrono>
#include <string>

namespace microvmc {

/// A kernel lock (flock) on a file, held while the object lives. The file stays: its presence means nothing.
class FileLock {
public:
    enum class Kind { exclusive, shared };
    /// Waits up to `timeout`; throws TimeoutError.
    FileLock(const std::string& path, std::chrono::milliseconds timeout, const std::string& what,
             Kind kind = Kind::exclusive);

private:
    Fd fd_;
};

} // namespace microvmc
