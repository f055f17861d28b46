// Whatever a guest sends, the decoder keeps bounded memory and gives only frames whose checksum holds.

#include "runtime/guest/wire.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace microvmc::wire;
    Decoder decoder;
    decoder.feed({reinterpret_cast<const char*>(data), size});
    while (const auto frame = decoder.next()) {
        if (frame->payload.size() > max_payload) { std::abort(); }
    }
    return 0;
}
