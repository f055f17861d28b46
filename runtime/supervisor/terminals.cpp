#include "runtime/supervisor/terminals.h"

#include "runtime/fd.h"

#include <array>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <string>
#include <termios.h>
#include <unistd.h>

namespace microvmc::supervisor {

namespace {

// Of the terminal that is open as `number` there; -1: it is none's master.
long index_of_pty(const std::string& process, const std::string& number) {
    std::array<char, 64> target{};
    if (::readlink((process + "/fd/" + number).c_str(), target.data(), target.size() - 1) <= 0 ||
        !std::string_view(target.data()).ends_with("ptmx")) {
        return -1;
    }
    const Fd file(::open((process + "/fdinfo/" + number).c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 1024> text{};
    if (!file || ::read(file.get(), text.data(), text.size() - 1) <= 0) { return -1; }
    constexpr std::string_view key = "tty-index:";
    const std::string_view all(text.data());
    const std::size_t at = all.find(key);
    return at == std::string_view::npos ? -1 : std::strtol(text.data() + at + key.size(), nullptr, 10);
}

} // namespace

int open_terminal_of(pid_t pid) {
    const std::string process = "/proc/" + std::to_string(pid);
    const std::unique_ptr<DIR, int (*)(DIR*)> open_files(::opendir((process + "/fd").c_str()), ::closedir);
    if (!open_files) { return -1; }
    while (const dirent* entry = ::readdir(open_files.get())) {
        const long index = index_of_pty(process, entry->d_name);
        if (index < 0) { continue; }
        Fd terminal(::open(("/dev/pts/" + std::to_string(index)).c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
        termios settings{};
        if (!terminal || ::tcgetattr(terminal.get(), &settings) != 0) { return -1; }
        ::cfmakeraw(&settings);
        return ::tcsetattr(terminal.get(), TCSANOW, &settings) == 0 ? terminal.release() : -1;
    }
    return -1;
}

} // namespace microvmc::supervisor
