// COPY's text as CSV, JSON and numbers.
// Hazards: D2, D3, D5, D6, D7
#include "sidecar/exports/copy_text.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sidecar/exports/usage_rows.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

std::string json(std::string_view column) {
    std::string out;
    append_as_json(out, column);
    return out;
}

std::string csv(std::string_view column) {
    std::string out;
    append_as_csv(out, column);
    return out;
}

std::string plain(std::string_view column) {
    std::string out;
    append_plain(out, column);
    return out;
}

std::string time_text(std::string_view column) {
    std::string out;
    append_time(out, column);
    return out;
}

std::string trimmed(std::string_view digits) {
    std::string out;
    append_trimmed(out, digits);
    return out;
}

std::string sum(std::string_view one, std::string_view other) {
    std::string out;
    append_sum(out, one, other);
    return out;
}

// As Postgres' CopyAttributeOutText writes it.
std::string copied(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const std::size_t at = std::string_view("\b\f\n\r\t\v\\").find(c);
        out += at == std::string_view::npos ? std::string(1, c) : std::string("\\") + "bfnrtv\\"[at];
    }
    return out;
}

TEST(CopyText, every_byte_comes_through) {
    for (int byte = 1; byte < 0x80; ++byte) {
        for (const std::string_view around : {"", "x", "\\", "\"", "\t"}) {
            const std::string text = std::string(around) + static_cast<char>(byte) + std::string(around);
            EXPECT_EQ(plain(copied(text)), text) << byte;
            EXPECT_EQ(nlohmann::json::parse(json(copied(text))), text) << byte;
        }
    }
}

TEST(CopyText, json_escapes_only_what_it_must) {
    EXPECT_EQ(json("Zo\xc3\xab /\x7f'"), "\"Zo\xc3\xab /\x7f'\"");
    EXPECT_EQ(json(copied("a\tb\v\x01\"")), R"("a\tb\u000b\u0001\"")");
}

TEST(CopyText, csv_fields) {
    EXPECT_EQ(csv("plain"), "plain");
    EXPECT_EQ(csv(""), "\"\"") << "not NULL";
    EXPECT_EQ(csv("a,b"), "\"a,b\"");
    EXPECT_EQ(csv("say \"hi\""), "\"say \"\"hi\"\"\"");
    EXPECT_EQ(csv(copied("a\r\nb")), "\"a\r\nb\"");
    EXPECT_EQ(csv(copied("\\.")), "\"\\.\"") << "the end of data for Postgres otherwise";
    EXPECT_EQ(csv(" x"), "\" x\"");
    EXPECT_EQ(csv("\""), "\"\"\"\"");
}

TEST(CopyText, formulas_get_one_quote) {
    for (const char* text : {"=1", "+1", "-1", "@x", "'=1", "''''@", "'-"})
        EXPECT_EQ(csv(text), std::string("'") + text);
    EXPECT_EQ(csv(copied("\tx")), "\"'\tx\"");
    EXPECT_EQ(csv(copied("'\rx")), "\"''\rx\"");
    for (const char* text : {"a=1", "'", "''", "'a", "1-2", ".=", "n=", "t"})
        EXPECT_EQ(csv(text), text);
    EXPECT_EQ(csv(copied("\n=1")), "\"\n=1\"");
    EXPECT_EQ(csv(copied("\\t")), "\"\\t\"") << "a backslash and a t is no tab";
}

TEST(CopyText, times) {
    EXPECT_EQ(time_text("2025-02-05 10:00:00+00"), "2025-02-05T10:00:00Z");
    EXPECT_EQ(time_text("2025-02-05 10:00:00.12+00"), "2025-02-05T10:00:00.12Z");
    EXPECT_EQ(time_text("0044-03-15 12:00:00+00 BC"), "0044-03-15T12:00:00Z BC");
}

TEST(CopyText, decimals_lose_zeros_only) {
    EXPECT_EQ(trimmed("0"), "0");
    EXPECT_EQ(trimmed("100"), "100");
    EXPECT_EQ(trimmed("0.100"), "0.1");
    EXPECT_EQ(trimmed("10.000"), "10");
    EXPECT_EQ(trimmed("0.000000000001"), "0.000000000001");
}

TEST(CopyText, sums_are_exact) {
    EXPECT_EQ(sum("0", "0"), "0");
    EXPECT_EQ(sum("9223372036854775807", "9223372036854775807"), "18446744073709551614");
    EXPECT_EQ(sum("999999999999999999", "999999999999999999"), "1999999999999999998");
    EXPECT_EQ(sum("0.1", "0.2"), "0.3");
    EXPECT_EQ(sum("0.5", "0.5"), "1.0");
    EXPECT_EQ(sum("99.95", "0.05"), "100.00");
    EXPECT_EQ(sum("123456789012345678901234567890.5", "0.000000000001"), "123456789012345678901234567890.500000000001");
    EXPECT_EQ(sum("1", "0.25"), "1.25");
    EXPECT_EQ(sum("0.25", "1"), "1.25");
}

TEST(CopyText, lines_of_other_columns_are_refused) {
    std::array<std::string_view, 2> columns;
    EXPECT_TRUE(split_copy_line("a\tb\n", columns));
    EXPECT_EQ(columns[1], "b");
    EXPECT_TRUE(split_copy_line("\t\n", columns));
    for (const std::string_view line : {"", "\n", "a\n", "a\tb", "a\tb\tc\n"})
        EXPECT_FALSE(split_copy_line(line, columns)) << line;
}

TEST(UsageRows, keys_are_added_up_and_neighbours_are_not) {
    const std::string at = "2025-02-05 10:00:00+00\t/chat\t";
    const std::vector<std::string> lines = {
        at + "gpt\tsuccess\t1\t100\t50\t0.0010\n", at + "gpt\tsuccess\t2\t1\t2\t0.5\n", at + "gpt\terror\t4\t0\t0\t0\n",
        at + "\terror\t8\t0\t0\t0\n", at + "\terror\t8\t9223372036854775807\t1\t0\n"};
    UsageSum sum;
    UsageRowText text;
    std::string out;
    for (const std::string& line : lines) {
        if (sum.join(line)) continue;
        if (sum.has_row()) text.append_csv(out, sum.row());
        sum.begin();
    }
    text.append_json(out, sum.row());
    EXPECT_EQ(
        out,
        "2025-02-05T10:00:00Z,/chat,3,153,0.501,gpt,success\n"
        "2025-02-05T10:00:00Z,/chat,4,0,0,gpt,error\n"
        R"({"date":"2025-02-05T10:00:00Z","endpoint":"/chat","requests":16,"tokens":9223372036854775808,"cost":0,)"
        R"("model":"","status":"error"})");
    EXPECT_THROW(sum.join("nonsense\n"), PostgresError);
}

}  // namespace
}  // namespace apikey
