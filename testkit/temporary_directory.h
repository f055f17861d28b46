#pragma once

#include <string>

namespace microvmc::testkit {

/// A directory under $TMPDIR that goes with everything in it.
class TemporaryDirectory {
public:
    /// Throws Error when there can be none.
    TemporaryDirectory();
    ~TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

} // namespace microvmc::testkit
