#include "core/usage/cost.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <random>
#include <string>

namespace apikey::usage {
namespace {

TEST(Cost, ReadsDecimalsExactly) {
    EXPECT_EQ(parse_cost("0"), 0);
    EXPECT_EQ(parse_cost("1"), 1'000'000'000'000);
    EXPECT_EQ(parse_cost(" 0.00125\t"), 1'250'000'000);
    EXPECT_EQ(parse_cost(".5"), 500'000'000'000);
    EXPECT_EQ(parse_cost("5."), 5'000'000'000'000);
    EXPECT_EQ(parse_cost("0.000000000001"), 1);
    EXPECT_EQ(parse_cost("0.1"), 100'000'000'000);
    EXPECT_EQ(parse_cost("000000000000000000000000000000.3"), 300'000'000'000);
}

TEST(Cost, ReadsExponents) {
    EXPECT_EQ(parse_cost("1.25e-3"), 1'250'000'000);
    EXPECT_EQ(parse_cost("125E-5"), 1'250'000'000);
    EXPECT_EQ(parse_cost("1e+3"), 1'000'000'000'000'000);
    EXPECT_EQ(parse_cost("1e-12"), 1);
    EXPECT_EQ(parse_cost("0e400"), 0);
    EXPECT_EQ(parse_cost("0.0000000000001e1"), 1);
}

TEST(Cost, RoundsToTheNearestUnit) {
    EXPECT_EQ(parse_cost("0.0000000000004"), 0);
    EXPECT_EQ(parse_cost("0.0000000000005"), 1);
    EXPECT_EQ(parse_cost("0.00000000000149999"), 1);
    EXPECT_EQ(parse_cost("5e-13"), 1);
    EXPECT_EQ(parse_cost("5e-14"), 0);
    EXPECT_EQ(parse_cost("9e-300"), 0);
}

TEST(Cost, RefusesWhatIsNoNumber) {
    for (const char* text :
         {"",   " ",   ".",     "-1",    "+1", "-0",    "1,5",   "1 2",           "0x10",  "NaN", "inf",
          "1e", "1e+", "1e++3", "1e-+3", "e5", "1.2.3", "1e5e5", "1e99999999999", "1e401", "$1",  "1.5-"})
        EXPECT_EQ(parse_cost(text), std::nullopt) << text;
}

TEST(Cost, RefusesWhatDoesNotFit) {
    EXPECT_EQ(parse_cost("9223372.036854775807"), INT64_MAX);
    EXPECT_EQ(parse_cost("9223372.0368547758074"), INT64_MAX);
    EXPECT_EQ(parse_cost("9223372.0368547758075"), std::nullopt);
    EXPECT_EQ(parse_cost("9223372.036854775808"), std::nullopt);
    EXPECT_EQ(parse_cost("1e20"), std::nullopt);
    EXPECT_EQ(parse_cost(std::string(400, '9')), std::nullopt);
}

TEST(Cost, AgreesWithFixedPointPrinting) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 10000; ++i) {
        const std::uint64_t units = random() >> (1 + random() % 60);
        std::string text = std::to_string(units);
        if (text.size() <= 12) text.insert(0, 13 - text.size(), '0');
        text.insert(text.size() - 12, ".");
        EXPECT_EQ(parse_cost(text), units) << text;
    }
}

TEST(Tokens, AreWholeNumbers) {
    EXPECT_EQ(parse_tokens("0"), 0);
    EXPECT_EQ(parse_tokens(" 17 "), 17);
    EXPECT_EQ(parse_tokens("9223372036854775807"), INT64_MAX);
    for (const char* text : {"", "-1", "1.0", "1e3", "9223372036854775808", "12, 3", "x"})
        EXPECT_EQ(parse_tokens(text), std::nullopt) << text;
}

}  // namespace
}  // namespace apikey::usage
