#include "runtime/supervisor/descriptors.h"

#include "runtime/error.h"
#include "runtime/network/macvtap.h"
#include "runtime/supervisor/sockets.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>

namespace microvmc::supervisor {

namespace {

int open_file(const std::string& path, int access) {
    const int fd = ::open(path.c_str(), access | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) { throw Error("can't open " + path + ": " + std::strerror(errno)); }
    return fd;
}

int open_one(const Descriptor& descriptor) {
    switch (descriptor.kind) {
    case Descriptor::Kind::read: return open_file(descriptor.path, O_RDONLY);
    case Descriptor::Kind::write: return open_file(descriptor.path, O_RDWR);
    case Descriptor::Kind::listen: return listen_unix(descriptor.path);
    case Descriptor::Kind::connect: {
        const int fd = connect_unix(descriptor.path);
        if (fd < 0) { throw Error("can't connect to " + descriptor.path + ": " + std::strerror(errno)); }
        return fd;
    }
    case Descriptor::Kind::macvtap: return open_macvtap(descriptor.path);
    }
    return -1;
}

} // namespace

std::vector<Fd> open_descriptors(std::span<const Descriptor> descriptors) {
    const int beyond = first_descriptor + static_cast<int>(descriptors.size());
    std::vector<Fd> opened;
    for (const Descriptor& descriptor : descriptors) {
        const Fd fd(open_one(descriptor));
        opened.emplace_back(::fcntl(fd.get(), F_DUPFD_CLOEXEC, beyond));
        if (!opened.back()) { throw Error("can't hand over " + descriptor.path + ": " + std::strerror(errno)); }
    }
    return opened;
}

std::optional<User> user_of(const std::string& name) {
    if (name.empty()) { return std::nullopt; }
    std::optional<User> user = find_account(name);
    if (!user) { throw Error("this host has no user " + name); }
    if (user->uid == ::geteuid()) { return std::nullopt; }
    struct stat kvm {};
    if (::stat("/dev/kvm", &kvm) == 0) { user->groups.push_back(kvm.st_gid); }
    return user;
}

} // namespace microvmc::supervisor
