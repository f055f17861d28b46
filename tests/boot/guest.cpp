#include "tests/boot/guest.h"

#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/machine.h"

#include <gtest/gtest.h>

#include <array>
#include <fcntl.h>
#include <sys/mman.h>

namespace microvmc::boot {

std::string in_guest(const std::string& runtime_dir, const std::string& command) {
    const Fd in(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const Fd out(::memfd_create("output", MFD_CLOEXEC));
    try {
        const int status =
            exec_in_machine(runtime_dir, {{"sh", "-c", command}, {}, {}, false}, {in.get(), out.get(), out.get()});
        EXPECT_EQ(status, 0) << command;
    } catch (const Error& error) { ADD_FAILURE() << command << ": " << error.what(); }
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t count = 0;
         (count = ::pread(out.get(), buffer.data(), buffer.size(), static_cast<off_t>(text.size()))) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return text;
}

} // namespace microvmc::boot
