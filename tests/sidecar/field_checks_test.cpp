#include "sidecar/imports/field_checks.hpp"

#include <gtest/gtest.h>

namespace apikey {
namespace {

std::string or_error(const Result<std::string>& result) {
    return result ? *result : "error: " + result.error();
}

TEST(CheckCount, TakesWholeNumbersUpTo63Bits) {
    for (const char* good : {"0", "7", "007", "9223372036854775807"})
        EXPECT_FALSE(check_count(good)) << good;
    for (const char* bad : {"", "-1", "-0", "+1", "1.0", "1e3", " 1", "1 ", "0x1", "1,000", "9223372036854775808",
                            "99999999999999999999", "NaN"})
        EXPECT_TRUE(check_count(bad)) << bad;
    EXPECT_EQ(check_count("9223372036854775808").value(), "\"9223372036854775808\" is larger than 9223372036854775807");
}

TEST(CostFromCsv, KeepsTheTextOfADecimal) {
    const std::string nines(kMostCostDigits, '9');
    for (const std::string& good :
         {std::string("0"), std::string("0.00"), std::string("1.50"), std::string("007.1"), nines + "." + nines})
        EXPECT_EQ(or_error(cost_from_csv(good)), good);
    for (const std::string& bad :
         {std::string(), std::string("-1"), std::string("-0.00"), std::string("+5"), std::string(".5"),
          std::string("5."), std::string("1e3"), std::string("1.2.3"), std::string("1,5"), std::string(" 1"),
          std::string("NaN"), std::string("Infinity"), "1" + nines, "0." + nines + "1"})
        EXPECT_FALSE(cost_from_csv(bad).ok()) << bad;
}

TEST(CostFromJson, ExpandsExponentsExactly) {
    const std::vector<std::pair<std::string, std::string>> table = {
        {"1.50", "1.50"},
        {"1e0", "1"},
        {"1E+2", "100"},
        {"1.25e-3", "0.00125"},
        {"1.50e1", "15"},
        {"12.345e1", "123.45"},
        {"0e99999", "0"},
        {"0.000e-99999", "0"},
        {"100e-2", "1"},
        {"1e29", "1" + std::string(29, '0')},
        {"1e-30", "0." + std::string(29, '0') + "1"},
        {"10e-31", "0." + std::string(29, '0') + "1"},
        {"0.00001e34", "1" + std::string(29, '0')},
        {"123456789012345678901234567890.123456789012345678901234567890e0",
         "123456789012345678901234567890.12345678901234567890123456789"},
    };
    for (const auto& [number, cost] : table)
        EXPECT_EQ(or_error(cost_from_json(number)), cost) << number;
    for (const char* bad : {"1e30", "1e-31", "1e400", "1e-400", "1e2147483647", "1e99999999999", "-1e3", "-1", "-0e1"})
        EXPECT_FALSE(cost_from_json(bad).ok()) << bad;
}

TEST(WithoutGuard, TakesOneQuoteAway) {
    for (const auto& [guarded, plain] : std::vector<std::pair<std::string, std::string>>{{"'=1", "=1"},
                                                                                         {"'+1", "+1"},
                                                                                         {"'-1", "-1"},
                                                                                         {"'@x", "@x"},
                                                                                         {"'\tx", "\tx"},
                                                                                         {"'\rx", "\rx"},
                                                                                         {"'''=", "''="},
                                                                                         {"'x", "'x"},
                                                                                         {"'", "'"},
                                                                                         {"''", "''"},
                                                                                         {"", ""},
                                                                                         {"=1", "=1"},
                                                                                         {"x'=", "x'="},
                                                                                         {"' =", "' ="},
                                                                                         {"'\n=", "'\n="}})
        EXPECT_EQ(without_guard(guarded), plain) << guarded;
}

TEST(TimeFrom, GivesWhatPostgresReads) {
    for (const auto& [text, time] : std::vector<std::pair<std::string, std::string>>{
             {"2028-02-29", "2028-02-29T00:00:00Z"},
             {"0001-01-01", "0001-01-01T00:00:00Z"},
             {"1970-01-01T00:00Z", "1970-01-01T00:00:00Z"},
             {"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"},
             {"2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"}})
        EXPECT_EQ(or_error(time_from(text)), time);
    for (const char* bad :
         {"", "2027-02-29", "2026-11-28T12:00:60Z", "2026-11-28T12:00:00", "2026-11-28 12:00:00Z", "0000-12-31",
          "10000-01-01", "0001-01-01T00:00:00+01:00", "infinity", "now", "2026-11-28T12:00:00.1234567Z"})
        EXPECT_FALSE(time_from(bad).ok()) << bad;
}

TEST(CheckText, TakesWhatPostgresTakes) {
    EXPECT_FALSE(check_text("", 3));
    EXPECT_FALSE(check_text("a\n\x01", 3));
    EXPECT_TRUE(check_text("abcd", 3));
    EXPECT_TRUE(check_text("\xFF", 3));
    EXPECT_TRUE(check_text(std::string_view("a\0", 2), 3));
    EXPECT_TRUE(check_id("", 3));
    EXPECT_TRUE(check_id("a\x7f", 3));
    EXPECT_TRUE(check_id("a\n", 3));
    EXPECT_FALSE(check_id("a b", 3));
}

}  // namespace
}  // namespace apikey
