// Keys that come in a cookie or an argument (core/bearer.hpp).
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <random>
#include <string>

#include "core/bearer.hpp"
#include "tests/core/allocations.hpp"

namespace apikey {
namespace {

using Found = std::optional<std::string_view>;

TEST(Cookie, IsFoundByItsWholeName) {
    EXPECT_EQ(find_cookie("key=abc", "key"), "abc");
    EXPECT_EQ(find_cookie("a=1; key=abc; b=2", "key"), "abc");
    EXPECT_EQ(find_cookie("xkey=1; keyx=2; ke=3; key=abc", "key"), "abc");
    EXPECT_EQ(find_cookie("Key=1; KEY=2; key=3", "key"), "3");
    EXPECT_EQ(find_cookie("a=key=1; key=2", "key"), "2");
    EXPECT_EQ(find_cookie("a=1; b=2", "key"), Found());
    EXPECT_EQ(find_cookie("", "key"), Found());
    EXPECT_EQ(find_cookie("key", "key"), Found());
    EXPECT_EQ(find_cookie("key; key=1", "key"), "1");
}

TEST(Cookie, TheFirstDecides) {
    EXPECT_EQ(find_cookie("key=good; key=evil", "key"), "good");
    EXPECT_EQ(find_cookie("key=; key=second", "key"), "");
}

TEST(Cookie, LosesTheQuotesAroundIt) {
    EXPECT_EQ(find_cookie("key=\"abc\"", "key"), "abc");
    EXPECT_EQ(find_cookie("key=\"\"", "key"), "");
    EXPECT_EQ(find_cookie("key=\"abc", "key"), "\"abc");
    EXPECT_EQ(find_cookie("key=\"", "key"), "\"");
    EXPECT_EQ(find_cookie("a=\"x; key=hidden\"; key=2", "key"), "hidden\"");
}

TEST(Cookie, MayHaveSpaceAroundItOrNone) {
    EXPECT_EQ(find_cookie("a=1;key=abc;b=2", "key"), "abc");
    EXPECT_EQ(find_cookie(" key = abc ;", "key"), "abc");
    EXPECT_EQ(find_cookie(";;\t; key=abc", "key"), "abc");
}

TEST(Cookie, IsFoundAmongManyWithoutAllocating) {
    std::string header;
    for (int i = 0; i < 1000; ++i)
        header += "c" + std::to_string(i) + "=v; ";
    header += "key=abc";
    EXPECT_EQ(test::allocations_of([&] { EXPECT_EQ(find_cookie(header, "key"), "abc"); }), 0u);
}

Found decoded(std::string_view in, std::span<char> out) {
    return percent_decode(in, out);
}

TEST(PercentDecode, DecodesHexPairsAndNothingElse) {
    std::array<char, 64> out;
    EXPECT_EQ(decoded("", out), "");
    EXPECT_EQ(decoded("abc", out), "abc");
    EXPECT_EQ(decoded("a%2Bb%2f%3D", out), "a+b/=");
    EXPECT_EQ(decoded("a+b", out), "a+b");
    EXPECT_EQ(decoded("%2525", out), "%25");
    EXPECT_EQ(decoded("%00", out), std::string_view("\0", 1));
    for (const char* const bad : {"%", "%4", "abc%", "abc%4", "%zz", "%4g", "%g4", "%%41", "% 41"}) {
        EXPECT_EQ(decoded(bad, out), Found()) << bad;
    }
}

TEST(PercentDecode, NeverReadsPastItsEnd) {
    std::array<char, 64> out;
    const std::string_view text = "abc%41";
    EXPECT_EQ(decoded(text.substr(0, 4), out), Found());
    EXPECT_EQ(decoded(text.substr(0, 5), out), Found());
    EXPECT_EQ(decoded(text, out), "abcA");
}

TEST(PercentDecode, NeverWritesPastItsRoom) {
    std::array<char, 4> out = {'#', '#', '#', '#'};
    const std::span<char> room(out.data(), 3);
    EXPECT_EQ(decoded("%61%62%63", room), "abc");
    EXPECT_EQ(decoded("abcd", room), Found());
    EXPECT_EQ(decoded("%61%62%63%64", room), Found());
    EXPECT_EQ(decoded("a", std::span<char>()), Found());
    EXPECT_EQ(decoded("", std::span<char>()), "");
    EXPECT_EQ(out[3], '#');
}

TEST(PercentDecode, GivesBackWhatWasEncoded) {
    constexpr std::string_view kHex = "0123456789abcdefABCDEF";
    std::mt19937 random(9);
    std::array<char, kMaxKeyBytes> out;
    for (int i = 0; i < 10'000; ++i) {
        std::string plain;
        std::string encoded;
        for (auto n = random() % 40; n > 0; --n) {
            const auto byte = static_cast<unsigned char>(random());
            plain += static_cast<char>(byte);
            if (byte != '%' && random() % 2 == 0) {
                encoded += static_cast<char>(byte);
                continue;
            }
            // Either case of the digits a to f: the upper ones stand six places behind.
            const auto digit = [&](unsigned value) {
                return kHex[value >= 10 && random() % 2 == 0 ? value + 6 : value];
            };
            encoded += {'%', digit(byte / 16U), digit(byte % 16U)};
        }
        ASSERT_EQ(decoded(encoded, out), plain) << encoded;
    }
}

}  // namespace
}  // namespace apikey
