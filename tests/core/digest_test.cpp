#include "core/digest.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <random>
#include <string>

#include "tests/core/allocations.hpp"

namespace apikey {
namespace {

std::string random_bytes(std::mt19937& random, std::size_t length) {
    std::string bytes(length, '\0');
    for (char& byte : bytes)
        byte = static_cast<char>(random());
    return bytes;
}

Digest one_shot(const std::string& bytes) {
    Digest digest;
    SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
    return digest;
}

// FIPS 180-4's examples (NIST CSRC, "SHA256.pdf") and the empty message.
TEST(Sha256, GivesTheDigestsOfNist) {
    const auto hex_of = [](std::string_view text) { return to_hex_string(sha256(text).value_or(Digest{})); };
    EXPECT_EQ(hex_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(hex_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(hex_of(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, GivesWhatOneShotGivesForEveryLength) {
    std::mt19937 random(1);
    for (std::size_t length = 0; length <= 600; ++length) {
        const std::string bytes = random_bytes(random, length);
        ASSERT_EQ(sha256(bytes), one_shot(bytes)) << "length " << length;
    }
}

TEST(Sha256, AllocatesNothing) {
    const std::string key(512, 'k');
    EXPECT_EQ(test::allocations_of([&] { (void)sha256(key); }), 0u);
    EXPECT_GT(test::allocations_of([] { EVP_MD_CTX_free(EVP_MD_CTX_new()); }), 0u) << "the count counts nothing";
}

TEST(Hex, ComesBackAsItWas) {
    std::mt19937 random(2);
    for (int i = 0; i < 10'000; ++i) {
        Digest digest;
        for (std::uint8_t& byte : digest)
            byte = static_cast<std::uint8_t>(random());
        ASSERT_EQ(from_hex(to_hex_string(digest)), digest);
    }
}

TEST(Hex, TakesSixtyFourLowerCaseDigitsAndNothingElse) {
    const std::string hex = to_hex_string(one_shot("abc"));
    EXPECT_FALSE(from_hex(""));
    EXPECT_FALSE(from_hex(hex.substr(1)));
    EXPECT_FALSE(from_hex(hex + "0"));
    for (std::size_t at = 0; at < hex.size(); ++at) {
        for (int byte = 0; byte < 256; ++byte) {
            std::string changed = hex;
            changed[at] = static_cast<char>(byte);
            const bool digit = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
            ASSERT_EQ(from_hex(changed).has_value(), digit) << "byte " << byte << " at " << at;
        }
    }
}

TEST(Equal, SeesEveryBit) {
    const Digest digest = one_shot("abc");
    EXPECT_TRUE(equal(digest, Digest(digest)));
    for (std::size_t bit = 0; bit < 8 * kDigestBytes; ++bit) {
        Digest other = digest;
        other[bit / 8] = static_cast<std::uint8_t>(other[bit / 8] ^ (1U << (bit % 8)));
        ASSERT_FALSE(equal(digest, other)) << "bit " << bit;
    }
}

}  // namespace
}  // namespace apikey
