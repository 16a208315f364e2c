#include "core/bearer.hpp"

#include <gtest/gtest.h>

// GCC 12 takes libstdc++'s own <regex> for uninitialised under the sanitizers.
#pragma GCC diagnostic push
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <regex>
#pragma GCC diagnostic pop

#include <array>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "tests/core/allocations.hpp"

namespace apikey {

void PrintTo(Credentials::Kind kind, std::ostream* out) {
    constexpr std::array kNames = {"none", "malformed", "present"};
    *out << kNames.at(static_cast<std::size_t>(kind));
}

namespace {

using Kind = Credentials::Kind;

struct Case {
    std::string field_value;
    Kind kind;
    std::string token;
};

// As the module takes them: what is no token68 is malformed.
Credentials judged(const Credentials& found) {
    if (found.kind != Kind::present || is_token68(found.token)) return found;
    return {Kind::malformed, {}};
}

Credentials parse_field(std::string_view value) {
    return judged(parse_authorization(value));
}

void expect(const Case& c) {
    const Credentials found = parse_field(c.field_value);
    EXPECT_EQ(found.kind, c.kind) << testing::PrintToString(c.field_value);
    EXPECT_EQ(found.token, c.token) << testing::PrintToString(c.field_value);
}

// Hazards: P4
TEST(Authorization, TakesTheSchemeInAnyCase) {
    for (unsigned upper = 0; upper < 64; ++upper) {
        std::string scheme = "bearer";
        for (std::size_t i = 0; i < 6; ++i) {
            if ((upper >> i & 1U) != 0) scheme[i] = static_cast<char>(scheme[i] - 'a' + 'A');
        }
        expect({scheme + " abc", Kind::present, "abc"});
    }
}

// Hazards: P5
TEST(Authorization, TellsNoCredentialsFromBadOnes) {
    for (const char* const other :
         {"", " ", "\t", "Basic dXNlcjpwYXNz", "Digest username=\"u\"", "Token abc", "Bearerabc", "Bearer,",
          "Bearer=abc", "Beare", "Bear er abc", "abc", "XBearer abc", "Bearer\x01 abc"}) {
        expect({other, Kind::none, ""});
    }
    for (const char* const bad : {"Bearer", "Bearer ", " bearer  ", "BEARER\t", "Bearer \t "}) {
        expect({bad, Kind::malformed, ""});
    }
}

// Hazards: P6
TEST(Authorization, WantsSpacesBetweenSchemeAndToken) {
    expect({"Bearer  abc", Kind::present, "abc"});
    expect({"Bearer" + std::string(1000, ' ') + "abc", Kind::present, "abc"});
    for (const char* const tab : {"Bearer\tabc", "Bearer \tabc", "Bearer\t abc", "Bearer \t abc"}) {
        expect({tab, Kind::malformed, ""});
    }
}

// Hazards: P7
TEST(Authorization, TrimsOptionalWhitespaceAroundTheValue) {
    for (const char* const before : {"", " ", "\t", " \t \t"}) {
        for (const char* const after : {"", " ", "\t", "\t \t "}) {
            expect({std::string(before) + "Bearer abc" + after, Kind::present, "abc"});
        }
    }
}

// Hazards: P8
TEST(Authorization, TakesOneTokenAndNothingElse) {
    for (const char* const bad :
         {"Bearer a, Bearer b", "Bearer a b", "Bearer \"abc\"", "Bearer abc;", "Bearer abc,", "Bearer 'abc'",
          "Bearer =", "Bearer ==", "Bearer =abc", "Bearer ab=c", "Bearer Bearer abc", "Bearer <abc>", "Bearer a%41",
          "Bearer {abc}", "Bearer abc\r", "Bearer abc\n"}) {
        expect({bad, Kind::malformed, ""});
    }
    for (const char* const good : {"a", "a=", "abc===", "-._~+/", "0aZ9", "bearer"}) {
        expect({std::string("Bearer ") + good, Kind::present, good});
    }
}

// Every byte at every place of tokens of many lengths.
// Hazards: P9
TEST(Authorization, TakesOnlyToken68) {
    const std::string allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    for (std::size_t length = 3; length <= 70; length += 1 + length / 16) {
        for (std::size_t at = 1; at + 1 < length; ++at) {
            for (int byte = 0; byte < 256; ++byte) {
                std::string token(length, 'k');
                token[at] = static_cast<char>(byte);
                const bool good = allowed.find(token[at]) != std::string::npos;
                ASSERT_EQ(parse_field("Bearer " + token).kind, good ? Kind::present : Kind::malformed)
                    << "byte " << byte << " at " << at << " of " << length;
            }
        }
    }
}

// Hazards: P11
TEST(Authorization, TakesUpTo512Bytes) {
    for (const std::size_t length : {1U, 2U, 511U, 512U}) {
        const std::string token(length, 'x');
        expect({"Bearer " + token, Kind::present, token});
        const std::string padded = std::string(length - length / 2, 'x') + std::string(length / 2, '=');
        expect({"Bearer " + padded, Kind::present, padded});
    }
    for (const std::size_t length : {513U, 7U * 1024, 16U * 1024}) {
        expect({"Bearer " + std::string(length, 'x'), Kind::malformed, ""});
        expect({"Bearer x" + std::string(length - 1, '='), Kind::malformed, ""});
    }
}

// The grammar once more, as regular expressions.
Case reference(const std::string& value) {
    static const std::regex good("[ \t]*[Bb][Ee][Aa][Rr][Ee][Rr] +([-A-Za-z0-9._~+/]+=*)[ \t]*");
    static const std::regex ours("[ \t]*[Bb][Ee][Aa][Rr][Ee][Rr]([ \t][^]*)?");
    std::smatch match;
    if (std::regex_match(value, match, good) && match[1].length() <= 512) {
        return {value, Kind::present, match[1]};
    }
    return {value, std::regex_match(value, ours) ? Kind::malformed : Kind::none, ""};
}

// Hazards: P4, P5, P6, P7, P8, P9, P11
TEST(Authorization, AgreesWithTheGrammarOnWhatIsNearIt) {
    const std::vector<std::string> pieces = {" ",
                                             "  ",
                                             "\t",
                                             "Bearer",
                                             "bearer",
                                             "BEARER ",
                                             "Basic ",
                                             "Bear",
                                             "a",
                                             "aZ09",
                                             "-._~+/",
                                             "=",
                                             "==",
                                             ",",
                                             ";",
                                             "\"",
                                             "%",
                                             ":",
                                             std::string(1, '\0'),
                                             "\x7f",
                                             "\x80",
                                             "\xff",
                                             "\r",
                                             "\n",
                                             std::string(15, 'k'),
                                             std::string(16, 'k'),
                                             std::string(33, 'k'),
                                             std::string(253, 'k')};
    std::mt19937 random(8);
    std::array<int, 3> seen{};
    for (int i = 0; i < 100'000; ++i) {
        std::string value;
        if (random() % 8 == 0) value += pieces[random() % 3];
        if (random() % 8 != 0) value += "Bearer";
        if (random() % 8 != 0) value += pieces[random() % 2];
        for (auto n = random() % 4; n > 0; --n)
            value += pieces[random() % pieces.size()];
        const Case wanted = reference(value);
        const Credentials found = parse_field(value);
        ASSERT_EQ(found.kind, wanted.kind) << testing::PrintToString(value);
        ASSERT_EQ(found.token, wanted.token) << testing::PrintToString(value);
        ++seen.at(static_cast<std::size_t>(found.kind));
    }
    for (const int count : seen)
        EXPECT_GT(count, 5'000) << "the strings are not near the grammar";
}

TEST(Key, StandsAlone) {
    EXPECT_EQ(parse_key("abc").token, "abc");
    EXPECT_EQ(parse_key(" \tabc=\t ").token, "abc=");
    EXPECT_EQ(parse_key(std::string(512, 'k')).kind, Kind::present);
    for (const std::string_view bad : {"", " ", "a b", "Bearer abc", "=", "a,b", "\"abc\"", "a\x80"}) {
        EXPECT_EQ(judged(parse_key(bad)).kind, Kind::malformed) << bad;
    }
    EXPECT_EQ(parse_key(std::string(513, 'k')).kind, Kind::malformed);
}

TEST(Authorization, DoesNotAllocate) {
    const std::string value = "Bearer " + std::string(512, 'k');
    EXPECT_EQ(test::allocations_of([&] { (void)parse_field(value); }), 0u);
}

}  // namespace
}  // namespace apikey
