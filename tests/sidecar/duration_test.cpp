#include "sidecar/duration.hpp"

#include <gtest/gtest.h>

namespace apikey {
namespace {

using std::chrono::seconds;

TEST(ParseDuration, TakesSecondsMinutesHoursAndDays) {
    EXPECT_EQ(parse_duration("3s").value(), seconds(3));
    EXPECT_EQ(parse_duration("15m").value(), seconds(900));
    EXPECT_EQ(parse_duration("24h").value(), seconds(86'400));
    EXPECT_EQ(parse_duration("30d").value(), seconds(2'592'000));
    EXPECT_EQ(parse_duration("0s").value(), seconds(0));
    EXPECT_EQ(parse_duration("36500d").value(), seconds(3'153'600'000));
}

TEST(ParseDuration, RefusesEverythingElse) {
    for (const char* text : {"", "s", "3", "3 s", "-3s", "+3s", "3.5s", "3ms", "3w", "3s3", "3ss", " 3s", "0x3s",
                             "36501d", "18446744073709551616s", "99999999999999999999d"}) {
        EXPECT_FALSE(parse_duration(text).ok()) << text;
    }
    EXPECT_EQ(parse_duration("90").error(), "\"90\" is no duration; write it like 3s, 15m, 24h, 30d");
}

TEST(FormatDuration, IsReadBack) {
    for (const char* text : {"0s", "1s", "90s", "15m", "24h", "30d", "100s"}) {
        const auto duration = parse_duration(text).value();
        EXPECT_EQ(parse_duration(format_duration(duration)).value(), duration) << text;
    }
    EXPECT_EQ(format_duration(seconds(86'400)), "1d");
    EXPECT_EQ(format_duration(seconds(90)), "90s");
}

TEST(ParseSize, TakesBytesAndPowersOf1024) {
    EXPECT_EQ(parse_size("0").value(), 0U);
    EXPECT_EQ(parse_size("1073741824").value(), 1'073'741'824U);
    EXPECT_EQ(parse_size("512k").value(), 524'288U);
    EXPECT_EQ(parse_size("64M").value(), 67'108'864U);
    EXPECT_EQ(parse_size("1g").value(), 1'073'741'824U);
    EXPECT_EQ(parse_size("1 GiB").value(), 1'073'741'824U);
    EXPECT_EQ(parse_size("2t").value(), std::uint64_t{2} << 40);
}

TEST(ParseSize, RefusesEverythingElse) {
    for (const char* text :
         {"", "k", "-1", "1.5g", "1 000", "1gb", "1e9", "1kk", "99999999999t", "99999999999999999999"}) {
        EXPECT_FALSE(parse_size(text).ok()) << text;
    }
}

}  // namespace
}  // namespace apikey
