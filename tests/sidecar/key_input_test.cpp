#include "sidecar/keys/key_input.hpp"
#include "core/uuid.hpp"

#include <gtest/gtest.h>

namespace apikey {
namespace {

using std::chrono::sys_days;
using std::chrono::sys_seconds;
using namespace std::chrono_literals;

constexpr sys_seconds kNow = sys_days(std::chrono::year(2026) / 11 / 23) + 10h;

std::string repeated(std::string_view text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i)
        all += text;
    return all;
}

TEST(CheckName, CountsCharactersNotBytes) {
    EXPECT_TRUE(check_name("n").ok());
    EXPECT_TRUE(check_name(repeated("\xF0\x9F\x94\x91", 200)).ok());
    EXPECT_FALSE(check_name(repeated("\xF0\x9F\x94\x91", 201)).ok());
    EXPECT_FALSE(check_name("").ok());
}

TEST(CheckName, RefusesControlBytesAndWhatIsNoUtf8) {
    for (const std::string& name :
         {std::string("a\nb"), std::string("\x1b[31m"), std::string("a\0b", 3), std::string("\x7f"),
          std::string("\xFF"), std::string("\xC0\x80"), std::string("\xED\xA0\x80"), std::string("\xE2\x82"),
          std::string("\xF4\x90\x80\x80"), std::string("\xE0\x80\x80"), std::string("a\x80")}) {
        EXPECT_FALSE(check_name(name).ok()) << testing::PrintToString(name);
        EXPECT_FALSE(check_user(name).ok()) << testing::PrintToString(name);
    }
}

TEST(CheckUser, HasRoomForAnyIdThatRedisHolds) {
    EXPECT_TRUE(check_user(std::string(4096, 'u')).ok());
    EXPECT_FALSE(check_user(std::string(4097, 'u')).ok());
    EXPECT_FALSE(check_user("").ok());
    EXPECT_TRUE(check_user("auth0|5f7c8ec7c33c6c004bbafe82").ok());
    EXPECT_TRUE(check_user("a b'; --").ok());
}

TEST(CheckScopes, KeepsTheOrderAndDropsRepetitions) {
    EXPECT_EQ(check_scopes({"b", "a", "b"}).value(), (std::vector<std::string>{"b", "a"}));
    EXPECT_TRUE(check_scopes({}).value().empty());
    for (const char* scope : {"", "a b", "a\tb", "\"", "a\\", "\xC3\xA9"})
        EXPECT_FALSE(check_scopes({"good", scope}).ok()) << scope;
    EXPECT_FALSE(check_scopes({std::string(2048, 'a'), std::string(2048, 'b')}).ok());
}

TEST(ParseExpiry, TakesDurationsDatesAndTimes) {
    EXPECT_EQ(parse_expiry("30d", kNow).value(), kNow + std::chrono::days(30));
    EXPECT_EQ(parse_expiry("1s", kNow).value(), kNow + 1s);
    EXPECT_EQ(parse_expiry("2027-01-01", kNow).value(), sys_days(std::chrono::year(2027) / 1 / 1));
    EXPECT_EQ(parse_expiry("2028-02-29", kNow).value(), sys_days(std::chrono::year(2028) / 2 / 29));
    EXPECT_EQ(parse_expiry("2027-01-01T12:34:56Z", kNow).value(),
              sys_days(std::chrono::year(2027) / 1 / 1) + 12h + 34min + 56s);
    EXPECT_EQ(parse_expiry("2027-01-01T12:34Z", kNow).value(), sys_days(std::chrono::year(2027) / 1 / 1) + 12h + 34min);
}

TEST(ParseExpiry, RefusesThePastAndTheImpossible) {
    for (const char* text : {"0s",
                             "2026-11-23",
                             "2026-11-23T10:00:00Z",
                             "2025-01-01",
                             "2027-02-29",
                             "2027-13-01",
                             "2027-00-10",
                             "2027-1-1",
                             "27-01-01",
                             "2027-01-01T12:00:00",
                             "2027-01-01T24:00:00Z",
                             "2027-01-01T12:60:00Z",
                             "2027-01-01 12:00:00Z",
                             "2027-01-01T12:00:00+01:00",
                             "tomorrow",
                             "",
                             "30",
                             "-30d",
                             "2027-01-01Z",
                             "+027-01-01",
                             "2027--1-01"}) {
        EXPECT_FALSE(parse_expiry(text, kNow).ok()) << text;
    }
    EXPECT_EQ(parse_expiry("2025-01-01", kNow).error(), "\"2025-01-01\" is not in the future");
}

TEST(IsUuid, TakesOnlyTheUsualForm) {
    EXPECT_TRUE(is_uuid("01d2a13b-98f6-4b1f-a5d6-1c1a94d629f4"));
    EXPECT_TRUE(is_uuid("01D2A13B-98F6-4B1F-A5D6-1C1A94D629F4"));
    for (const char* text : {"", "01d2a13b", "01d2a13b98f64b1fa5d61c1a94d629f4",
                             "{01d2a13b-98f6-4b1f-a5d6-1c1a94d629f}", "01d2a13b-98f6-4b1f-a5d6-1c1a94d629fg",
                             "01d2a13b-98f6-4b1f-a5d61-c1a94d629f4", "' OR '1'='1' OR '1'='1' OR '1'='1' --"}) {
        EXPECT_FALSE(is_uuid(text)) << text;
    }
}

}  // namespace
}  // namespace apikey
