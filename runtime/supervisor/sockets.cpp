#include "runtime/supervisor/sockets.h"

#include "runtime/error.h"
#include "runtime/fd.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace microvmc::supervisor {

namespace {

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        throw Error("the socket's path is longer than " + std::to_string(sizeof(address.sun_path) - 1) +
                        " bytes: " + path,
                    "use a shorter runtime directory or project name");
    }
    path.copy(address.sun_path, path.size());
    return address;
}

// "Num RefCount Protocol Flags Type St Inode Path", proc(5); __SO_ACCEPTCON (1 << 16) in Flags: it listens.
bool line_listens(std::string_view line, const std::string& path) {
    if (line.size() <= path.size() || !line.ends_with(path) || line[line.size() - path.size() - 1] != ' ') {
        return false;
    }
    std::string_view rest = line;
    for (int field = 0; field < 3; ++field) {
        const std::size_t space = rest.find(' ');
        if (space == std::string_view::npos) { return false; }
        rest.remove_prefix(space + 1);
    }
    return rest.substr(0, rest.find(' ')) == "00010000";
}

} // namespace

int listen_unix(const std::string& path) {
    const std::string unnamed = path + ".part";
    const sockaddr_un address = address_of(unnamed);
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::unlink(unnamed.c_str());
    if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        ::chmod(unnamed.c_str(), 0600) != 0 || ::listen(fd.get(), 64) != 0 ||
        std::rename(unnamed.c_str(), path.c_str()) != 0) {
        throw Error("can't listen on " + path + ": " + std::strerror(errno));
    }
    return fd.release();
}

int connect_unix(const std::string& path) {
    const sockaddr_un address = address_of(path);
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) { return -1; }
    return fd.release();
}

bool is_listening(const std::string& path, pid_t pid) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) { return false; }
    const Fd table(::open(("/proc/" + std::to_string(pid) + "/net/unix").c_str(), O_RDONLY | O_CLOEXEC));
    if (!table) { return false; }
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t count = 0; (count = ::read(table.get(), buffer.data(), buffer.size())) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(count));
        std::size_t begin = 0;
        for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
            if (line_listens(std::string_view(text).substr(begin, end - begin), path)) { return true; }
        }
        text.erase(0, begin);
    }
    return false;
}

void remove_sockets(const std::string& directory, const std::string& keep) {
    DIR* const entries = ::opendir(directory.c_str());
    if (entries == nullptr) { return; }
    while (const dirent* entry = ::readdir(entries)) {
        struct stat status {};
        if (keep != entry->d_name && ::fstatat(::dirfd(entries), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISSOCK(status.st_mode)) {
            ::unlinkat(::dirfd(entries), entry->d_name, 0);
        }
    }
    ::closedir(entries);
}

} // namespace microvmc::supervisor
