#include "runtime/guest/credentials.h"

#include <gtest/gtest.h>

namespace microvmc::guest {
namespace {

wire::Frame piece(std::string_view name, std::size_t offset, std::size_t size, std::string_view bytes) {
    return {wire::Type::credential, 0, wire::encode_credential({name, true, offset, size, bytes})};
}

TEST(CredentialPieces, AreWholeWhenAllHasCome) {
    CredentialPieces pieces("token");
    pieces.take(piece("other", 0, 2, "xx"));
    pieces.take({wire::Type::ping, 0, {}});
    pieces.take(piece("token", 3, 6, "def")); // the beginning was lost
    EXPECT_FALSE(pieces.whole());
    pieces.take(piece("token", 0, 6, "abc"));
    pieces.take(piece("token", 0, 6, std::string_view("a\0c", 3))); // asked for again
    EXPECT_FALSE(pieces.whole());
    pieces.take(piece("token", 3, 6, "def"));
    EXPECT_TRUE(pieces.whole());
    EXPECT_EQ(pieces.value(), std::string("a\0cdef", 6));
    pieces.take(piece("token", 0, 1, "z"));
    EXPECT_EQ(pieces.value().size(), 6U);
    EXPECT_FALSE(pieces.refused());
}

TEST(CredentialPieces, AnEmptyOneIsWholeAndAnUnknownOneRefused) {
    CredentialPieces empty("token");
    empty.take(piece("token", 0, 0, ""));
    EXPECT_TRUE(empty.whole());
    CredentialPieces unknown("token");
    unknown.take({wire::Type::credential, 0, wire::encode_credential({.name = "token", .known = false, .bytes = {}})});
    EXPECT_TRUE(unknown.refused());
    EXPECT_FALSE(unknown.whole());
}

TEST(CredentialPieces, MalformedOnesAreNone) {
    for (const std::string& bad :
         {std::string(), std::string("token"), std::string("token\0x\0", 8), std::string("token\0-1\0005\0abcde", 16),
          std::string("token\0003\0002\0", 10), std::string("token\0000\0002\0abc", 13)}) {
        CredentialPieces pieces("token");
        pieces.take({wire::Type::credential, 0, bad});
        EXPECT_FALSE(pieces.whole()) << bad.size();
        EXPECT_FALSE(pieces.refused()) << bad.size();
    }
}

} // namespace
} // namespace microvmc::guest
