#include "runtime/guest/wire.h"

#include <gtest/gtest.h>

#include <random>

namespace microvmc::wire {
namespace {

std::string random_bytes(std::mt19937& random, std::size_t size) {
    std::string bytes(size, '\0');
    for (auto& byte : bytes) { byte = static_cast<char>(random() & 0xff); }
    return bytes;
}

std::vector<Frame> take_all(Decoder& decoder) {
    std::vector<Frame> frames;
    while (auto frame = decoder.next()) { frames.push_back(std::move(*frame)); }
    return frames;
}

TEST(Wire, Crc32IsTheWellKnownOne) {
    EXPECT_EQ(crc32("123456789"), 0xcbf43926U);
    EXPECT_EQ(crc32("6789", crc32("12345")), 0xcbf43926U);
}

TEST(Wire, LayoutIsFixed) {
    const std::string bytes = encode(Type::exit, 0x01020304, "42");
    ASSERT_EQ(bytes.size(), header_size + 2);
    EXPECT_EQ(bytes.substr(0, 4), "mvmc");
    EXPECT_EQ(bytes.substr(4, 4), std::string("\x07\0\0\0", 4));
    EXPECT_EQ(bytes.substr(8, 4), "\x04\x03\x02\x01");
    EXPECT_EQ(bytes.substr(12, 4), std::string("\x02\0\0\0", 4));
    EXPECT_EQ(bytes.substr(20), "42");
}

TEST(Wire, RoundTripInAnyPieces) {
    std::mt19937 random(1);
    for (int round = 0; round < 200; ++round) {
        std::vector<Frame> sent;
        std::string bytes;
        for (int i = 0; i < 5; ++i) {
            const std::size_t size = round == 0 ? max_payload : random() % 300;
            sent.push_back(
                {static_cast<Type>(random() & 0x7f), static_cast<std::uint32_t>(random()), random_bytes(random, size)});
            bytes += encode(sent.back().type, sent.back().stream, sent.back().payload);
        }
        Decoder decoder;
        std::vector<Frame> got;
        for (std::size_t at = 0; at < bytes.size();) {
            const std::size_t piece = 1 + random() % (round == 0 ? 50'000 : 60);
            decoder.feed(std::string_view(bytes).substr(at, piece));
            at += piece;
            for (auto& frame : take_all(decoder)) { got.push_back(std::move(frame)); }
        }
        ASSERT_EQ(got.size(), sent.size());
        for (std::size_t i = 0; i < sent.size(); ++i) {
            EXPECT_EQ(got[i].type, sent[i].type);
            EXPECT_EQ(got[i].stream, sent[i].stream);
            EXPECT_EQ(got[i].payload, sent[i].payload);
        }
        EXPECT_EQ(decoder.skipped(), 0U);
        EXPECT_FALSE(decoder.partial());
    }
}

TEST(Wire, EveryTruncationWaitsAndThenCompletes) {
    const std::string bytes = encode(Type::output, 3, "some output");
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        Decoder decoder;
        decoder.feed(bytes.substr(0, size));
        EXPECT_FALSE(decoder.next().has_value()) << size;
        EXPECT_EQ(decoder.partial(), size != 0);
        decoder.feed(bytes.substr(size));
        const auto frame = decoder.next();
        ASSERT_TRUE(frame.has_value()) << size;
        EXPECT_EQ(frame->payload, "some output");
    }
}

TEST(Wire, AFrameThatWasCutIsGivenUpAndTheNextOneIsFound) {
    const std::string cut = encode(Type::output, 3, "some output");
    for (std::size_t size = 1; size < cut.size(); ++size) {
        Decoder decoder;
        decoder.feed(cut.substr(0, size) + encode(Type::ping, 0, ""));
        std::vector<Frame> frames = take_all(decoder);
        while (frames.empty() && decoder.partial()) {
            decoder.give_up();
            frames = take_all(decoder);
        }
        ASSERT_EQ(frames.size(), 1U) << size;
        EXPECT_EQ(frames[0].type, Type::ping);
        EXPECT_EQ(decoder.skipped(), size);
    }
}

TEST(Wire, AFlippedBitNeverYieldsTheFrame) {
    const std::string good = encode(Type::exec, 9, "payload");
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        std::string bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
        Decoder decoder;
        decoder.feed(bad);
        // A length that grew waits for more; its sender's silence, or the bytes of later frames, end that.
        for (int i = 0; i < 10'000 && decoder.partial(); ++i) {
            ASSERT_FALSE(decoder.next().has_value()) << "bit " << bit;
            decoder.give_up();
        }
        decoder.feed(good);
        const auto frame = decoder.next();
        ASSERT_TRUE(frame.has_value()) << "bit " << bit;
        EXPECT_EQ(frame->payload, "payload");
    }
}

TEST(Wire, ResynchronisesAfterGarbage) {
    std::mt19937 random(2);
    for (int round = 0; round < 500; ++round) {
        std::string garbage = random_bytes(random, random() % 200);
        if (round % 3 == 0) { garbage += "mvmcmvm"; }
        if (round % 5 == 0) { garbage.insert(garbage.size() / 2, "mvmc"); }
        Decoder decoder;
        decoder.feed(garbage);
        decoder.feed(encode(Type::hello, 7, "found"));
        std::vector<Frame> frames = take_all(decoder);
        while (frames.empty() && decoder.partial()) {
            decoder.give_up();
            frames = take_all(decoder);
        }
        ASSERT_EQ(frames.size(), 1U) << round;
        EXPECT_EQ(frames[0].payload, "found");
        EXPECT_EQ(decoder.skipped(), garbage.size());
    }
}

TEST(Wire, RandomBytesNeverCrashAndStayBounded) {
    std::mt19937 random(3);
    Decoder decoder;
    for (int round = 0; round < 5'000; ++round) {
        std::string bytes = random_bytes(random, random() % 100);
        if (random() % 4 == 0) { bytes += "mvmc"; }
        if (random() % 8 == 0) { bytes += encode(Type::ping, 0, random_bytes(random, random() % 50)); }
        decoder.feed(bytes);
        while (decoder.next()) {}
        if (random() % 16 == 0) { decoder.give_up(); }
    }
}

TEST(Wire, Fields) {
    EXPECT_EQ(split_fields(""), (std::vector<std::string_view>{}));
    EXPECT_EQ(split_fields("one"), (std::vector<std::string_view>{"one"}));
    EXPECT_EQ(split_fields(std::string_view("one\0", 4)), (std::vector<std::string_view>{"one"}));
    EXPECT_EQ(split_fields(std::string_view("\0\0b", 3)), (std::vector<std::string_view>{"", "", "b"}));
    const std::string joined = join_fields({"a", "", "c d"});
    EXPECT_EQ(joined, std::string("a\0\0c d\0", 7));
    EXPECT_EQ(split_fields(joined), (std::vector<std::string_view>{"a", "", "c d"}));
}

TEST(Wire, Numbers) {
    EXPECT_EQ(parse_number<int>("-3"), -3);
    EXPECT_EQ(parse_number<std::uint16_t>("65535"), 65535);
    for (const char* bad : {"", "65536", "-1", "1 ", "0x1", "one"}) {
        EXPECT_FALSE(parse_number<std::uint16_t>(bad).has_value()) << bad;
    }
}

TEST(Wire, ExecRoundTrip) {
    const Exec exec{true, 33, 77, 4096, "/tmp", {"A=1", "B="}, {"sh", "-c", "echo \"x y\"", ""}};
    EXPECT_EQ(parse_exec(encode_exec(exec)), exec);
    for (const std::uint32_t window : {0U, 21U, 0xffff'ffffU}) {
        const Exec plain{false, 0, 0, window, "", {}, {"ls"}};
        EXPECT_EQ(parse_exec(encode_exec(plain)), plain);
    }
}

TEST(Wire, MalformedExecIsRefused) {
    const auto refused = [](const std::vector<std::string>& fields) {
        return !parse_exec(join_fields(fields)).has_value();
    };
    EXPECT_TRUE(refused({}));
    EXPECT_TRUE(refused({"", "", "0"}));              // no program
    EXPECT_TRUE(refused({"", "", "1", "A=1"}));       // only environment
    EXPECT_TRUE(refused({"", "", "99999", "ls"}));    // more variables than fields
    EXPECT_TRUE(refused({"", "", "x", "ls"}));        // not a number
    EXPECT_TRUE(refused({"tty", "", "0", "ls"}));     // no size
    EXPECT_TRUE(refused({"tty 1", "", "0", "ls"}));   // no columns
    EXPECT_TRUE(refused({"tty 1 x", "", "0", "ls"})); // not a number
    EXPECT_TRUE(refused({"pty 1 2", "", "0", "ls"})); // unknown word
    for (const char* flags : {"window", "window ", "window x", "window -1", "window 20", "window 99999999999",
                              "tty 1 2 window", "window 50 tty", "window 50 50"}) {
        EXPECT_TRUE(refused({flags, "", "0", "ls"})) << flags;
    }
    std::mt19937 random(4);
    const std::string good = encode_exec({true, 1, 2, 99, "/", {"A=1"}, {"ls", "-l"}});
    for (std::size_t size = 0; size < good.size(); ++size) { parse_exec(std::string_view(good).substr(0, size)); }
    for (int round = 0; round < 2'000; ++round) {
        std::string bad = good;
        bad[random() % bad.size()] = static_cast<char>(random() & 0xff);
        parse_exec(bad);
    }
}

} // namespace
} // namespace microvmc::wire
