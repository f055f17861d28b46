// Whatever a guest sends, in whatever pieces, the decoder keeps bounded memory and gives the same frames; whatever is
// in a frame can be looked at.

#include "runtime/guest/wire.h"

#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

using namespace microvmc::wire;

void take_all(Decoder& decoder, std::vector<Frame>& frames) {
    while (auto frame = decoder.next()) { frames.push_back(std::move(*frame)); }
    if (decoder.unread().size() > header_size + max_payload) { std::abort(); }
}

bool same(const Frame& a, const Frame& b) {
    return a.type == b.type && a.stream == b.stream && a.payload == b.payload;
}

void look_at(std::string_view payload) {
    if (const auto exec = parse_exec(payload)) {
        const auto again = parse_exec(encode_exec(*exec));
        if (again != exec) { std::abort(); }
    }
    for (const std::string_view field : split_fields(payload)) { parse_number<std::size_t>(field); }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) { return 0; }
    const std::size_t piece = data[0] + std::size_t{1};
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    std::vector<Frame> whole;
    Decoder decoder;
    decoder.feed(bytes);
    take_all(decoder, whole);
    std::vector<Frame> pieces;
    Decoder other;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        other.feed(bytes.substr(at, piece));
        take_all(other, pieces);
    }
    if (whole.size() != pieces.size()) { std::abort(); }
    for (std::size_t i = 0; i < whole.size(); ++i) {
        if (!same(whole[i], pieces[i]) || whole[i].payload.size() > max_payload) { std::abort(); }
        look_at(whole[i].payload);
    }
    for (std::size_t left = decoder.unread().size(); decoder.partial(); left = decoder.unread().size()) {
        decoder.give_up();
        take_all(decoder, whole);
        if (decoder.unread().size() >= left) { std::abort(); }
    }
    look_at(bytes);
    // A checksum is not guessed: what follows rubbish must be found all the same.
    Decoder third;
    third.feed(encode(static_cast<Type>(data[0]), 7, bytes.substr(0, max_payload)));
    const auto frame = third.next();
    if (!frame || frame->payload != bytes.substr(0, max_payload) || third.partial()) { std::abort(); }
    return 0;
}
