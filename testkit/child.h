#pragma once

#include "runtime/fd.h"

#include <functional>
#include <string>
#include <sys/types.h>

namespace microvmc::testkit {

/// A process of ours that does something and says what comes of it through a pipe. It is killed when its parent dies,
/// and with this object.
class ChildProcess {
public:
    /// `body` gets the pipe's end; the process ends with it, whatever it throws. Throws Error when there can be no
    /// process.
    explicit ChildProcess(const std::function<void(int events)>& body);
    ~ChildProcess();
    ChildProcess(ChildProcess&&) = default;
    ChildProcess& operator=(ChildProcess&&) = default;

    [[nodiscard]] int fd() const { return events_.get(); }
    /// Adds what it said to `text`; false when it says no more.
    bool read(std::string& text);
    void kill();
    /// Waits for its end, and says how it was: "exited with status 1"; empty: as it should.
    std::string reap();

private:
    struct Pid {
        pid_t value = -1;
        Pid() = default;
        explicit Pid(pid_t pid) : value(pid) {}
        Pid(Pid&& other) noexcept : value(std::exchange(other.value, -1)) {}
        Pid& operator=(Pid&& other) noexcept {
            std::swap(value, other.value);
            return *this;
        }
    };
    Pid pid_;
    Fd events_;
};

} // namespace microvmc::testkit
