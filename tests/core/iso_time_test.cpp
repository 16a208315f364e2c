// Hazards: D8, D10
#include "core/iso_time.hpp"

#include <gtest/gtest.h>

namespace apikey {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;
using std::chrono::sys_days;

constexpr Instant kDay = sys_days(std::chrono::year(2026) / 11 / 28);
constexpr Instant kNow = kDay + 2h + 5min + 7s;

std::string range_of(std::string_view from, std::string_view to) {
    const auto range = parse_time_range(from, to, kNow, days(30));
    return range ? format_iso_time(range->from) + " " + format_iso_time(range->until) : range.error();
}

TEST(ParseIsoTime, TakesDates) {
    const auto date = parse_iso_time("2026-11-28");
    ASSERT_TRUE(date);
    EXPECT_EQ(date->at, kDay);
    EXPECT_TRUE(date->whole_day);
    EXPECT_EQ(parse_iso_time("2028-02-29")->at, sys_days(std::chrono::year(2028) / 2 / 29));
    EXPECT_TRUE(parse_iso_time("0001-01-01"));
    EXPECT_TRUE(parse_iso_time("9999-12-31"));
}

TEST(ParseIsoTime, TakesTimesWithTheirZone) {
    EXPECT_EQ(parse_iso_time("2026-11-28T02:05Z")->at, kDay + 2h + 5min);
    EXPECT_EQ(parse_iso_time("2026-11-28T02:05:07Z")->at, kNow);
    EXPECT_FALSE(parse_iso_time("2026-11-28T00:00Z")->whole_day);
    EXPECT_EQ(parse_iso_time("2026-11-28T02:05:07.5Z")->at, kNow + 500ms);
    EXPECT_EQ(parse_iso_time("2026-11-28T02:05:07.000Z")->at, kNow);
    EXPECT_EQ(parse_iso_time("2026-11-28T02:05:07.000001Z")->at, kNow + 1us);
    EXPECT_EQ(parse_iso_time("2026-11-28T03:35:07+01:30")->at, kNow);
    EXPECT_EQ(parse_iso_time("2026-11-27T18:05:07-08:00")->at, kNow);
    EXPECT_EQ(parse_iso_time("2026-11-28T23:59:59Z")->at, kDay + days(1) - 1s);
}

TEST(ParseIsoTime, GuessesNothing) {
    for (const char* text : {"",
                             "today",
                             "2026",
                             "2026-11",
                             "2026-11-31",
                             "2027-02-29",
                             "2100-02-29",
                             "2026-13-01",
                             "2026-00-01",
                             "2026-01-00",
                             "0000-01-01",
                             "10000-01-01",
                             "26-11-28",
                             "2026-1-28",
                             "+026-11-28",
                             "-026-11-28",
                             "2026--1-28",
                             "20261128",
                             "28.11.2026",
                             " 2026-11-28",
                             "2026-11-28 ",
                             "2026-11-28Z",
                             "2026-11-28T",
                             "2026-11-28T02",
                             "2026-11-28T02:05",
                             "2026-11-28T02:05:07",
                             "2026-11-28t02:05:07Z",
                             "2026-11-28T02:05:07z",
                             "2026-11-28 02:05:07Z",
                             "2026-11-28T24:00:00Z",
                             "2026-11-28T02:60:00Z",
                             "2026-11-28T02:05:60Z",
                             "2026-11-28T02:05:07.Z",
                             "2026-11-28T02:05:07.1234567Z",
                             "2026-11-28T02:05.5Z",
                             "2026-11-28T02:05:07ZZ",
                             "2026-11-28T02:05:07+01",
                             "2026-11-28T02:05:07+0100",
                             "2026-11-28T02:05:07+24:00",
                             "2026-11-28T02:05:07+01:00Z",
                             "2026-11-28T-2:05:07Z",
                             "0001-01-01T00:00:00+01:00",
                             "9999-12-31T23:30:00-01:00"}) {
        EXPECT_FALSE(parse_iso_time(text)) << text;
    }
}

TEST(FormatIsoTime, WritesWhatIsReadBack) {
    EXPECT_EQ(format_iso_time(kNow), "2026-11-28T02:05:07Z");
    EXPECT_EQ(format_iso_time(kNow + 500ms), "2026-11-28T02:05:07.5Z");
    EXPECT_EQ(format_iso_time(kNow + 1us), "2026-11-28T02:05:07.000001Z");
    EXPECT_EQ(format_iso_time(Instant{} - 1us), "1969-12-31T23:59:59.999999Z");
    EXPECT_EQ(parse_iso_time(format_iso_time(kNow + 120ms))->at, kNow + 120ms);
}

TEST(ParseTimeRange, ADateAsTheEndBelongsToIt) {
    EXPECT_EQ(range_of("2026-11-01", "2026-11-30"), "2026-11-01T00:00:00Z 2026-12-01T00:00:00Z");
    EXPECT_EQ(range_of("2026-11-01", "2026-11-01"), "2026-11-01T00:00:00Z 2026-11-02T00:00:00Z");
    EXPECT_EQ(range_of("2026-11-01T12:00Z", "2026-11-01"), "2026-11-01T12:00:00Z 2026-11-02T00:00:00Z");
}

TEST(ParseTimeRange, ATimeAsTheEndDoesNot) {
    EXPECT_EQ(range_of("2026-11-01", "2026-11-30T00:00Z"), "2026-11-01T00:00:00Z 2026-11-30T00:00:00Z");
    EXPECT_EQ(range_of("2026-11-01T12:00Z", "2026-11-01T12:00:00.5Z"), "2026-11-01T12:00:00Z 2026-11-01T12:00:00.5Z");
}

TEST(ParseTimeRange, IsTheLastDaysWithoutEnds) {
    EXPECT_EQ(range_of("", ""), "2026-10-30T00:00:00Z 2026-11-29T00:00:00Z");
    EXPECT_EQ(range_of("2026-11-28", ""), "2026-11-28T00:00:00Z 2026-11-29T00:00:00Z");
    EXPECT_EQ(range_of("", "2026-01-31"), "2026-01-02T00:00:00Z 2026-02-01T00:00:00Z");
    EXPECT_EQ(range_of("", "0001-01-02"), "0001-01-01T00:00:00Z 0001-01-03T00:00:00Z");
}

TEST(ParseTimeRange, NamesTheParameterThatIsWrong) {
    EXPECT_EQ(range_of("2026-02-30", "2026-03-01"),
              "--from \"2026-02-30\" is no date (2026-11-28) and no time with its zone (2026-11-28T12:00:00Z)");
    EXPECT_EQ(range_of("2026-03-01", "yesterday"),
              "--to \"yesterday\" is no date (2026-11-28) and no time with its zone (2026-11-28T12:00:00Z)");
    EXPECT_EQ(range_of("2026-03-02", "2026-03-01"), "--to \"2026-03-01\" is not after --from \"2026-03-02\"");
    EXPECT_EQ(range_of("2026-03-01T12:00Z", "2026-03-01T12:00Z"),
              "--to \"2026-03-01T12:00Z\" is not after --from \"2026-03-01T12:00Z\"");
    EXPECT_EQ(range_of("2026-11-29", ""), "--from \"2026-11-29\" is in the future");
    EXPECT_EQ(parse_time_range("x", "", kNow, days(30), {"startDate", "endDate"}).error().substr(0, 13),
              "startDate \"x\"");
}

TEST(DescribeRange, SaysWhichDaysBelongToIt) {
    EXPECT_EQ(describe({kDay - days(29), kDay + days(1)}), "2026-10-30 to 2026-11-28 (UTC)");
    EXPECT_EQ(describe({kDay, kDay + 12h}), "2026-11-28T00:00:00Z to before 2026-11-28T12:00:00Z");
}

}  // namespace
}  // namespace apikey
