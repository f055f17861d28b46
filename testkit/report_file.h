#pragma once

#include "runtime/files.h"

#include <optional>
#include <string>
#include <string_view>

namespace microvmc::testkit {

/// A report that will be written: whether it can be is known from the start, and it appears whole, at the end. What is
/// there and no regular file (/dev/stdout, a FIFO) is written to as it is.
class ReportFile {
public:
    /// Throws Error when there can be no such file.
    explicit ReportFile(const std::string& path);
    /// Throws Error.
    void write(std::string_view text);

private:
    std::string path_;
    std::optional<NewFile> file_; ///< nothing: `path_` is something else than a file
};

} // namespace microvmc::testkit
