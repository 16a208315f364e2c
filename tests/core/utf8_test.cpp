#include "core/utf8.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

namespace apikey {
namespace {

using namespace std::string_literals;

std::string clean(std::string_view text, std::size_t most = 128) {
    std::string scratch(most, '\0');
    return std::string(clean_utf8(text, scratch));
}

std::string encoded(char32_t c) {
    std::string text;
    const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xC0 | c >> 6);
        put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        put(0xE0 | c >> 12);
        put(0x80 | (c >> 6 & 0x3F));
        put(0x80 | (c & 0x3F));
    } else {
        put(0xF0 | c >> 18);
        put(0x80 | (c >> 12 & 0x3F));
        put(0x80 | (c >> 6 & 0x3F));
        put(0x80 | (c & 0x3F));
    }
    return text;
}

TEST(Utf8, EveryCharacterIsOneAndNothingElseIs) {
    for (char32_t c = 0; c < 0x110400; ++c) {
        const bool is_character = c < 0x110000 && (c < 0xD800 || c > 0xDFFF);
        ASSERT_EQ(is_utf8(encoded(c)), is_character) << static_cast<std::uint32_t>(c);
    }
}

TEST(Utf8, LongerFormsThanNeededAreNone) {
    for (const std::string& text :
         {"\xC0\x80"s, "\xC1\xBF"s, "\xE0\x80\x80"s, "\xE0\x9F\xBF"s, "\xF0\x80\x80\x80"s, "\xF0\x8F\xBF\xBF"s,
          "\xF5\x80\x80\x80"s, "\xFF"s, "\x80"s, "\xE2\x82"s, "\xE2"s, "a\xE2\x82"s, "\xF0\x9F\x98"s})
        EXPECT_FALSE(is_utf8(text));
}

TEST(Utf8, CleaningKeepsWhatIsGood) {
    EXPECT_EQ(clean("/v1/chat/completions"), "/v1/chat/completions");
    EXPECT_EQ(clean("grüße 你好 😀"), "grüße 你好 😀");
    EXPECT_EQ(clean(""), "");
    const std::string plain = "twelve bytes";
    std::array<char, 12> scratch{};
    EXPECT_EQ(clean_utf8(plain, scratch).data(), plain.data());  // not copied
}

TEST(Utf8, CleaningReplacesWhatCannotStand) {
    EXPECT_EQ(clean("a\xFF"
                    "b"),
              "a\xEF\xBF\xBD"
              "b");
    EXPECT_EQ(clean("a\0b"s),
              "a\xEF\xBF\xBD"
              "b");
    EXPECT_EQ(clean("12345678\0"s), "12345678\xEF\xBF\xBD");
    EXPECT_EQ(clean("\xE2\x82"), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Utf8, CleaningCutsBetweenCharacters) {
    EXPECT_EQ(clean("abcdef", 4), "abcd");
    EXPECT_EQ(clean("abcü", 4), "abc");
    EXPECT_EQ(clean("abü", 4), "abü");
    EXPECT_EQ(clean("abc\xFF", 5), "abc");
    EXPECT_EQ(clean("abcdefghijklmnop", 8), "abcdefgh");
}

TEST(Utf8, WhateverIsCleanedIsCleanAndFits) {
    std::mt19937_64 random(7);
    for (int i = 0; i < 20000; ++i) {
        std::string text(random() % 40, '\0');
        for (char& c : text)
            c = static_cast<char>(random() % 3 == 0 ? random() : "aZ/\xC3\xBC\xE2\x82\xAC"[random() % 8]);
        const std::size_t most = random() % 40;
        const std::string cleaned = clean(text, most);
        EXPECT_TRUE(is_utf8(cleaned));
        EXPECT_EQ(cleaned.find('\0'), std::string::npos);
        EXPECT_LE(cleaned.size(), most);
        if (is_utf8(text) && text.find('\0') == std::string::npos && text.size() <= most) {
            EXPECT_EQ(cleaned, text);
        }
    }
}

}  // namespace
}  // namespace apikey
