#include "runtime/supervisor/supervisor.h"

#include "runtime/error.h"
#include "runtime/supervisor/spawn.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>

// What the plan has run on the host before the machine starts and after it has ended. One after the other, until one
// fails or the time for all of them is up. They are no part of the machine: not in its cgroup, and without its lock.

namespace microvmc::supervisor {

namespace {

std::string words_of(const std::vector<std::string>& argv) {
    std::string text;
    for (const std::string& word : argv) { text += (text.empty() ? "" : " ") + word; }
    return text;
}

} // namespace

void Supervisor::run_hooks(const std::string& name, const std::vector<std::vector<std::string>>& hooks,
                           Milliseconds time, HooksDone done) {
    hooks_ = {};
    hooks_.name = name;
    hooks_.left = hooks;
    hooks_.done = std::move(done);
    if (!hooks.empty()) {
        hook_time_.expires_after(time);
        hook_time_.async_wait([this](boost::system::error_code error) {
            if (error) { return; }
            hooks_.out_of_time = true;
            kill_hook();
        });
    }
    next_hook();
}

void Supervisor::next_hook() {
    if (hooks_.left.empty()) {
        hook_time_.cancel();
        std::exchange(hooks_.done, nullptr)({});
        return;
    }
    hooks_.running = std::move(hooks_.left.front());
    hooks_.left.erase(hooks_.left.begin());
    log_.line(hooks_.name + ": " + words_of(hooks_.running));
    hooks_.words = Tail{4096};
    try {
        std::array<int, 2> pipe{};
        if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
            throw Error(std::string("can't make a pipe: ") + std::strerror(errno));
        }
        const Fd their_end(pipe[1]);
        hooks_.output = Stream::make(io_, pipe[0]);
        hooks_.output->on_data = [this](std::string_view bytes) {
            log_.write(bytes);
            hooks_.words.feed(bytes);
        };
        hooks_.output->read(true);
        hooks_.pid = spawn({hooks_.running, null_.get(), their_end.get(), their_end.get()});
    } catch (const Error& error) {
        hook_time_.cancel();
        std::exchange(hooks_.done, nullptr)(hooks_.name + ": " + error.what());
    }
}

void Supervisor::hook_ended(int wait_status) {
    hooks_.pid = 0;
    hooks_.output->drain();
    hooks_.output->close();
    if (!hooks_.done) { // nobody waits for it: the machine ends
        continue_ending();
        return;
    }
    if (wait_status == 0 && !hooks_.out_of_time) {
        next_hook();
        return;
    }
    hook_time_.cancel();
    const std::string words = last_lines(hooks_.words.text(), 3);
    std::exchange(hooks_.done, nullptr)(
        hooks_.name + ": " + words_of(hooks_.running) + " " +
        (hooks_.out_of_time ? "didn't end in time; killed" : describe_wait_status(wait_status)) +
        (words.empty() ? "" : ": " + words));
}

void Supervisor::kill_hook() {
    if (hooks_.pid == 0) { return; }
    if (!hooks_.out_of_time) {
        hooks_.done = nullptr;
        hook_time_.cancel();
    }
    ::kill(-hooks_.pid, SIGKILL); // it leads a session
    ::kill(hooks_.pid, SIGKILL);
}

} // namespace microvmc::supervisor
