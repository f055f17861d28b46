// Reads files out of disk images by libguestfs; wire.h says how it is asked. A process of its own, so that a deadline
// can end it with all that it started.

#include "testkit/disk_reader/wire.h"

#include <fmt/format.h>
#include <guestfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <vector>

namespace microvmc::testkit {

namespace {

struct Request {
    std::size_t number = 0;
    std::string image;
    std::string format;
    std::string fs_type;
    std::string path;
    std::string fact;
};

struct Input {
    std::string tmp;
    bool tcg = false;
    std::size_t limit = 0;
    long timeout_ms = 0;
    std::vector<Request> requests;
};

volatile std::sig_atomic_t time_is_up = 0;

// The library can't be interrupted; what it waits for can be ended. All of it is in this process group.
void end_all(int /*signal*/) {
    time_is_up = 1;
    ::kill(0, SIGTERM);
}

void set_deadline(long timeout_ms) {
    struct sigaction action {};
    action.sa_flags = SA_RESTART;
    action.sa_handler = [](int /*signal*/) {}; // programs that are started have it as it was
    ::sigaction(SIGTERM, &action, nullptr);
    action.sa_handler = end_all;
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval time{{1, 0}, {timeout_ms / 1000, timeout_ms % 1000 * 1000}}; // again, for what starts meanwhile
    ::setitimer(ITIMER_REAL, &time, nullptr);
}

struct Freer {
    void operator()(void* memory) const { std::free(memory); }
    void operator()(guestfs_h* guest) const { guestfs_close(guest); }
    void operator()(struct guestfs_statns* status) const { guestfs_free_statns(status); }
};
using Guest = std::unique_ptr<guestfs_h, Freer>;
using Text = std::unique_ptr<char, Freer>;

void say(std::string_view word, std::size_t number, std::string_view bytes) {
    const std::string head = fmt::format("{} {} {}\n", word, number, bytes.size());
    // Who reads it is gone when this fails.
    if (std::fwrite(head.data(), 1, head.size(), stdout) != head.size() ||
        std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() || std::fflush(stdout) != 0) {
        std::exit(1);
    }
}

std::optional<Input> read_input() {
    std::string all;
    for (char buffer[4096];;) {
        const std::size_t got = std::fread(buffer, 1, sizeof buffer, stdin);
        if (got == 0) { break; }
        all.append(buffer, got);
    }
    std::vector<std::string> strings;
    for (std::size_t begin = 0; begin < all.size();) {
        const std::size_t end = all.find('\0', begin);
        if (end == std::string::npos) { return std::nullopt; }
        strings.push_back(all.substr(begin, end - begin));
        begin = end + 1;
    }
    constexpr std::size_t head = 4;
    if (strings.size() < head || (strings.size() - head) % disk_wire::fields != 0) { return std::nullopt; }
    Input input;
    input.tmp = strings[0];
    input.tcg = strings[1] == "tcg";
    std::from_chars(strings[2].data(), strings[2].data() + strings[2].size(), input.limit);
    std::from_chars(strings[3].data(), strings[3].data() + strings[3].size(), input.timeout_ms);
    for (std::size_t i = head; i < strings.size(); i += disk_wire::fields) {
        input.requests.push_back(
            {input.requests.size(), strings[i], strings[i + 1], strings[i + 2], strings[i + 3], strings[i + 4]});
    }
    return input;
}

/// What the library said last, its first line: the others are advice on debugging it.
std::string last_error(guestfs_h* guest) {
    if (time_is_up != 0) { return std::string(disk_wire::too_long); }
    const char* text = guestfs_last_error(guest);
    const std::string_view all = text == nullptr ? "unknown error" : text;
    return std::string(all.substr(0, all.find('\n')));
}

/// Of what was asked of a guest that had started.
std::string explain(guestfs_h* guest) {
    if (time_is_up == 0 && guestfs_is_ready(guest) == 0) { return "the kernel that was to read it died"; }
    switch (time_is_up != 0 ? 0 : guestfs_last_errno(guest)) {
    case ENOENT:
    case ENOTDIR: return "no such file";
    case ELOOP: return "its symbolic links go round in circles";
    default: return last_error(guest);
    }
}

std::string limit_text(std::int64_t size, std::size_t limit) {
    return fmt::format("it has {} bytes, more than the {} that are read", size, limit);
}

void read_content(guestfs_h* guest, const Request& request, std::size_t limit) {
    const std::unique_ptr<struct guestfs_statns, Freer> status(guestfs_statns(guest, request.path.c_str()));
    if (!status) { return say(disk_wire::problem, request.number, explain(guest)); }
    const auto mode = static_cast<mode_t>(status->st_mode);
    if (S_ISDIR(mode)) { return say(disk_wire::problem, request.number, "it is a directory"); }
    if (!S_ISREG(mode)) { return say(disk_wire::problem, request.number, "it is not a regular file"); }
    if (status->st_size < 0 || static_cast<std::uint64_t>(status->st_size) > limit) {
        return say(disk_wire::problem, request.number, limit_text(status->st_size, limit));
    }
    std::size_t size = 0;
    const Text bytes(guestfs_read_file(guest, request.path.c_str(), &size));
    if (!bytes) { return say(disk_wire::problem, request.number, explain(guest)); }
    say(disk_wire::content, request.number, {bytes.get(), size});
}

void read_name(guestfs_h* guest, const Request& request, const char* device) {
    const Text text(request.fact == "label" ? guestfs_vfs_label(guest, device) : guestfs_vfs_uuid(guest, device));
    if (!text) { return say(disk_wire::problem, request.number, explain(guest)); }
    say(disk_wire::content, request.number, text.get());
}

/// The kernel takes two images of one UUID for one file system, and may read the one that it saw before. An appliance
/// without btrfs' programs goes by what it saw.
void forget_btrfs_devices(guestfs_h* guest) {
    std::array<char*, 5> words{};
    std::array<std::string, 4> texts{"btrfs", "device", "scan", "--forget"};
    for (std::size_t i = 0; i < texts.size(); ++i) { words[i] = texts[i].data(); }
    const Text said(guestfs_debug(guest, "sh", words.data()));
}

/// All that is asked of one image. An answer that could not be got because the guest died says so.
void read_image(guestfs_h* guest, const char* device, const std::vector<Request>& requests, std::size_t limit) {
    const auto names = [](const Request& request) { return request.fact != "content"; };
    for (const Request& request : requests) {
        if (names(request)) { read_name(guest, request, device); }
    }
    if (std::ranges::all_of(requests, names)) { return; }
    // Mounted writable, on a layer that is thrown away: so a journal is replayed, as the next machine would do it. By
    // its type, so that what should be an xfs must be one.
    const std::string& type = requests.front().fs_type;
    std::string problem;
    if (type == "btrfs") { forget_btrfs_devices(guest); }
    if (guestfs_mount_vfs(guest, type == "vfat" ? "utf8" : "", type.c_str(), device, "/") != 0) {
        problem = explain(guest);
    }
    for (const Request& request : requests) {
        if (names(request)) { continue; }
        if (problem.empty()) {
            read_content(guest, request, limit);
        } else {
            say(disk_wire::problem, request.number, problem);
        }
    }
    guestfs_umount_all(guest);
}

using Images = std::vector<std::vector<Request>>; ///< the requests, an element an image

/// By image, in the order in which they come first.
Images by_image(std::vector<Request> requests) {
    Images images;
    std::map<std::string, std::size_t> index;
    for (Request& request : requests) {
        // What is asked in two ways of one file (its format, its file system) is two images.
        const std::string key = request.image + '\0' + request.format + '\0' + request.fs_type;
        const auto [found, fresh] = index.emplace(key, images.size());
        if (fresh) { images.emplace_back(); }
        images[found->second].push_back(std::move(request));
    }
    return images;
}

/// qemu's name of a format (qemu-img(1)).
std::string qemu_format(const std::string& format) {
    return format == "vhd" ? "vpc" : format;
}

bool add_image(guestfs_h* guest, const std::vector<Request>& requests) {
    const Request& first = requests.front();
    const std::string format = qemu_format(first.format);
    if (guestfs_add_drive_opts(guest, first.image.c_str(), GUESTFS_ADD_DRIVE_OPTS_READONLY, 1,
                               GUESTFS_ADD_DRIVE_OPTS_FORMAT, format.c_str(), -1) == 0) {
        return true;
    }
    const int error = guestfs_last_errno(guest);
    const std::string why = ::access(first.image.c_str(), R_OK) != 0
                                ? fmt::format("can't open it: {}", std::strerror(errno))
                            : error != 0 ? last_error(guest)
                                         : fmt::format("qemu-img doesn't take it for a {} image", first.format);
    for (const Request& request : requests) { say(disk_wire::problem, request.number, why); }
    return false;
}

Guest create(const Input& input) {
    Guest guest(guestfs_create());
    if (!guest) { return guest; }
    guestfs_set_error_handler(guest.get(), nullptr, nullptr); // it prints otherwise
    guestfs_set_autosync(guest.get(), 0);                     // nothing is kept
    guestfs_set_tmpdir(guest.get(), input.tmp.c_str());
    guestfs_set_backend(guest.get(), "direct"); // without libvirt, and as any user
    if (input.tcg) { guestfs_set_backend_setting(guest.get(), "force_tcg", "1"); }
    return guest;
}

/// One launch. What is left to do: images that it had no room for, or did not come to before the guest died.
Images read_some(const Input& input, Images images) {
    const Guest guest = create(input);
    if (!guest) {
        say(disk_wire::unable, 0, std::strerror(errno));
        return {};
    }
    const auto most = static_cast<std::size_t>(std::max(1, guestfs_max_disks(guest.get()) - 1));
    Images added;
    auto next = images.begin();
    for (; next != images.end() && added.size() < most; ++next) {
        if (add_image(guest.get(), *next)) { added.push_back(std::move(*next)); }
    }
    Images left(std::make_move_iterator(next), std::make_move_iterator(images.end()));
    if (added.empty()) { return left; }
    if (guestfs_launch(guest.get()) != 0) {
        say(disk_wire::unable, 0, last_error(guest.get()));
        return {};
    }
    say(disk_wire::started, 0, {});
    std::vector<std::string> devices;
    if (char** names = guestfs_list_devices(guest.get()); names != nullptr) {
        for (char** name = names; *name != nullptr; ++name) {
            devices.emplace_back(*name);
            std::free(*name);
        }
        std::free(names);
    }
    for (std::size_t i = 0; i < added.size(); ++i) {
        const bool first = i == 0; // is answered for in any case, so that there is an end
        if (!first && (i >= devices.size() || guestfs_is_ready(guest.get()) == 0)) {
            left.push_back(std::move(added[i]));
        } else {
            read_image(guest.get(), first ? "/dev/sda" : devices[i].c_str(), added[i], input.limit);
        }
    }
    return left;
}

} // namespace

int read_disks() {
    std::optional<Input> input = read_input();
    if (!input) { return 2; }
    set_deadline(input->timeout_ms);
    Images images = by_image(std::move(input->requests));
    // Each launch answers for one image at least.
    while (!images.empty() && time_is_up == 0) { images = read_some(*input, std::move(images)); }
    for (const auto& requests : images) {
        for (const Request& request : requests) { say(disk_wire::problem, request.number, disk_wire::too_long); }
    }
    return 0;
}

} // namespace microvmc::testkit

int main() {
    return microvmc::testkit::read_disks();
}
