#include "runtime/guest/credentials.h"

#include "runtime/guest/system.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace microvmc::guest {

namespace {

constexpr std::int64_t patience_ms = 120'000; ///< a host that is swapping; its own deadline is mostly sooner
constexpr std::int64_t ask_again_ms = 1'000;  ///< what was asked before the host listened is lost
constexpr unsigned long strict = MS_NOSUID | MS_NODEV | MS_NOEXEC;

Failure make_directory_for_them() {
    if (auto failure = make_directories(credentials_directory)) { return failure; }
    // ramfs, as systemd has it: memory that is never swapped (linux:
    // Documentation/filesystems/ramfs-rootfs-initramfs.rst).
    if (mount("ramfs", credentials_directory, "ramfs", strict, "mode=0700") != 0) {
        return with_errno({"cannot mount ", credentials_directory}, errno);
    }
    return std::nullopt;
}

Failure write_credential(const std::string& name, std::string_view value) {
    const std::string path = concat({credentials_directory, "/", name});
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
    if (!file.open()) { return with_errno({"cannot write ", path}, errno); }
    write_all(file.get(), value);
    return std::nullopt;
}

Failure receive(const std::string& name, Channel& channel, std::int64_t deadline_ms, std::string& value) {
    CredentialPieces pieces(name);
    for (std::int64_t asked_ms = 0; !pieces.whole();) {
        if (now_ms() >= deadline_ms) { return concat({"the host did not send the credential ", name}); }
        if (asked_ms == 0 || now_ms() - asked_ms >= ask_again_ms) {
            channel.send(wire::Type::want, 0, name);
            asked_ms = now_ms();
        }
        channel.pump();
        const bool read = channel.read_piece();
        while (const auto frame = channel.receive()) { pieces.take(*frame); }
        if (pieces.refused()) { return concat({"the host has no credential ", name}); }
        if (!read) { sleep_ms(2); }
    }
    value = pieces.value();
    return std::nullopt;
}

} // namespace

void CredentialPieces::take(const wire::Frame& frame) {
    if (frame.type != wire::Type::credential || whole_) { return; }
    const auto piece = wire::parse_credential(frame.payload);
    if (!piece || piece->name != name_) { return; }
    if (!piece->known) {
        refused_ = true;
        return;
    }
    if (piece->offset == 0) { value_.clear(); } // it was asked for again
    if (piece->offset != value_.size()) { return; }
    value_.append(piece->bytes);
    whole_ = value_.size() == piece->size;
}

Failure receive_credentials(const std::vector<std::string>& names, Channel& channel) {
    if (auto failure = make_directory_for_them()) { return failure; }
    const std::int64_t deadline_ms = now_ms() + patience_ms;
    for (const auto& name : names) {
        std::string value;
        if (auto failure = receive(name, channel, deadline_ms, value)) { return failure; }
        if (auto failure = write_credential(name, value)) { return failure; }
        explicit_bzero(value.data(), value.size());
    }
    if (mount(nullptr, credentials_directory, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | strict, nullptr) != 0) {
        return with_errno({"cannot make ", credentials_directory, " read-only"}, errno);
    }
    return std::nullopt;
}

} // namespace microvmc::guest
