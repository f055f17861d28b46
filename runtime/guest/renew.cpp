#include "runtime/guest/renew.h"

#include "runtime/guest/system.h"
#include "runtime/guest/wire.h"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>

namespace microvmc::guest {

namespace {

constexpr std::int64_t ns_per_second = 1'000'000'000;
constexpr std::size_t max_seed = 512; // bytes

Failure set_clock(std::string_view text) {
    const auto time = wire::parse_number<std::int64_t>(text);
    if (!time || *time < 0) { return "malformed time"; }
    const timespec now{static_cast<time_t>(*time / ns_per_second), static_cast<long>(*time % ns_per_second)};
    if (clock_settime(CLOCK_REALTIME, &now) != 0) { return with_errno({"cannot set the clock"}, errno); }
    return std::nullopt;
}

// random(4): RNDADDENTROPY mixes in and credits, RNDRESEEDCRNG (Linux 4.17) has the generator draw on that at once.
Failure reseed(std::string_view digits) {
    const auto seed = parse_hex(digits);
    if (!seed || seed->empty() || seed->size() > max_seed) { return "malformed seed"; }
    const Fd random(open("/dev/urandom", O_WRONLY | O_CLOEXEC));
    if (!random.open()) { return with_errno({"cannot open /dev/urandom"}, errno); }
    alignas(rand_pool_info) char buffer[sizeof(rand_pool_info) + max_seed]{};
    auto* const pool = reinterpret_cast<rand_pool_info*>(buffer);
    pool->entropy_count = static_cast<int>(seed->size() * 8);
    pool->buf_size = static_cast<int>(seed->size());
    std::memcpy(buffer + sizeof(rand_pool_info), seed->data(), seed->size());
    if (ioctl(random.get(), RNDADDENTROPY, pool) != 0 || ioctl(random.get(), RNDRESEEDCRNG) != 0) {
        return with_errno({"cannot reseed /dev/urandom"}, errno);
    }
    return std::nullopt;
}

} // namespace

std::optional<std::string> parse_hex(std::string_view digits) {
    if (digits.size() % 2 != 0) { return std::nullopt; }
    const auto value = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
    std::string bytes;
    for (std::size_t i = 0; i < digits.size(); i += 2) {
        const int high = value(digits[i]);
        const int low = value(digits[i + 1]);
        if (high < 0 || low < 0) { return std::nullopt; }
        bytes.push_back(static_cast<char>(high * 16 + low));
    }
    return bytes;
}

Failure renew(std::string_view time, std::string_view seed) {
    const Failure clock = set_clock(time);
    const Failure random = reseed(seed);
    if (clock && random) { return concat({*clock, "; ", *random}); }
    return clock ? clock : random;
}

} // namespace microvmc::guest
