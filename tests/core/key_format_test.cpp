#include "core/key_format.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "core/bearer.hpp"
#include "tests/core/allocations.hpp"

namespace apikey {
namespace {

constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr int kKeys = 10'000;

using Random256 = std::array<std::uint8_t, 32>;

Random256 random_bits(std::mt19937& random) {
    Random256 bits;
    for (std::uint8_t& byte : bits)
        byte = static_cast<std::uint8_t>(random());
    return bits;
}

// Base62 the slow way, bit after bit: double what is there, add the bit, carry.
std::string reference_secret(const Random256& bits) {
    std::array<unsigned, 43> digits{};  // least significant first
    for (std::size_t bit = 0; bit < 256; ++bit) {
        unsigned carry = (bits[bit / 8] >> (7 - bit % 8)) & 1U;
        for (unsigned& digit : digits) {
            digit = digit * 2 + carry;
            carry = digit / 62;
            digit %= 62;
        }
    }
    std::string text;
    for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit)
        text += kDigits[*digit];
    return text;
}

// CRC-32 bit by bit (polynomial 0x04C11DB7, reflected), and its six digits.
std::string reference_checksum(std::string_view text) {
    std::uint32_t crc = 0xffffffffU;
    for (const char c : text) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit)
            crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
    }
    crc = ~crc;
    std::string digits(6, '0');
    for (std::size_t i = 6; i-- > 0; crc /= 62)
        digits[i] = kDigits[crc % 62];
    return digits;
}

TEST(MakeKey, AgreesWithASlowReference) {
    std::mt19937 random(3);
    for (int i = 0; i < kKeys; ++i) {
        const Random256 bits = random_bits(random);
        const std::string body = "ia_" + reference_secret(bits);
        const std::string key = make_key("ia_", bits);
        ASSERT_EQ(key, body + reference_checksum(body));
        ASSERT_TRUE(checksum_matches(key));
        ASSERT_EQ(parse_key(key).token, key);
        ASSERT_TRUE(is_token68(key));
    }
}

TEST(MakeKey, KeepsItsLengthAtBothEndsOfTheRange) {
    Random256 bits{};
    EXPECT_EQ(make_key("", bits).substr(0, kSecretDigits), std::string(kSecretDigits, '0'));
    bits.fill(0xff);
    EXPECT_EQ(make_key("", bits).size(), kSecretDigits + kChecksumDigits);
    EXPECT_EQ(make_key("", bits).substr(0, kSecretDigits), reference_secret(bits));
}

// The check value of CRC-32 (ISO 3309): of "123456789" it is cbf43926.
TEST(Checksum, ReferenceIsCrc32) {
    std::uint64_t value = 0;
    for (const char c : reference_checksum("123456789"))
        value = value * 62 + kDigits.find(c);
    EXPECT_EQ(value, 0xcbf43926U);
}

// Hazards: P12
TEST(Checksum, CatchesOneWrongCharacter) {
    std::mt19937 random(4);
    for (int i = 0; i < kKeys; ++i) {
        const std::string key = make_key("ia_", random_bits(random));
        for (std::size_t at = 0; at < key.size(); ++at) {
            std::string typo = key;
            typo[at] = kDigits[random() % kDigits.size()];
            ASSERT_EQ(checksum_matches(typo), typo == key) << key << ' ' << typo;
        }
    }
}

// Hazards: P12
TEST(Checksum, CatchesTwoCharactersInTheWrongOrder) {
    std::mt19937 random(5);
    for (int i = 0; i < kKeys; ++i) {
        const std::string key = make_key("ia_", random_bits(random));
        for (std::size_t at = 0; at + 1 < key.size(); ++at) {
            std::string swapped = key;
            std::swap(swapped[at], swapped[at + 1]);
            ASSERT_EQ(checksum_matches(swapped), swapped == key) << key << ' ' << swapped;
        }
    }
}

// Hazards: P12
TEST(Checksum, CatchesAHalfCopiedKey) {
    std::mt19937 random(6);
    for (int i = 0; i < kKeys; ++i) {
        const std::string key = make_key("sk_live_", random_bits(random));
        for (std::size_t length = 0; length < key.size(); ++length) {
            ASSERT_FALSE(checksum_matches(std::string_view(key).substr(0, length))) << key;
            ASSERT_FALSE(checksum_matches(std::string_view(key).substr(key.size() - length)));
        }
    }
}

// Hazards: P13
TEST(Checksum, CatchesACaseThatWasChanged) {
    std::mt19937 random(7);
    for (int i = 0; i < kKeys; ++i) {
        std::string key = make_key("", random_bits(random));
        for (char& c : key)
            c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        ASSERT_FALSE(checksum_matches(key)) << key;
    }
}

TEST(Checksum, NeedsRoomForASecret) {
    for (std::size_t length = 0; length < 100; ++length) {
        const std::string body(length, 'x');
        ASSERT_EQ(checksum_matches(body + reference_checksum(body)), length >= kSecretDigits);
    }
}

TEST(Checksum, DoesNotAllocate) {
    const std::string key = make_key("ia_", Random256{});
    EXPECT_EQ(test::allocations_of([&] { (void)checksum_matches(key); }), 0u);
}

TEST(DisplayPrefix, IsTheFirstTwelveCharacters) {
    EXPECT_EQ(display_prefix("ia_0123456789abcdef"), "ia_012345678");
    EXPECT_EQ(display_prefix("short"), "short");
    EXPECT_EQ(display_prefix(""), "");
}

}  // namespace
}  // namespace apikey
