#include "core/redis/reply.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/core/reply_builder.hpp"

namespace apikey::redis {
namespace {

using test::ReplyBuilder;

TEST(ReplyView, ShowsEachType) {
    const ReplyBuilder string = ReplyBuilder().string("text");
    EXPECT_TRUE(string.view().is(ReplyType::string));
    EXPECT_TRUE(string.view().is_text());
    EXPECT_EQ(string.view().text(), "text");
    EXPECT_EQ(string.view().size(), 0u);

    const ReplyBuilder status = ReplyBuilder().status("OK");
    EXPECT_TRUE(status.view().is_text());
    EXPECT_EQ(status.view().text(), "OK");

    const ReplyBuilder error = ReplyBuilder().error("ERR no");
    EXPECT_FALSE(error.view().is_text());
    EXPECT_EQ(error.view().text(), "ERR no");

    const ReplyBuilder integer = ReplyBuilder().integer(-7);
    EXPECT_EQ(integer.view().integer(), -7);
    EXPECT_EQ(integer.view().text(), "");

    const ReplyBuilder nil = ReplyBuilder().nil();
    EXPECT_TRUE(nil.view().is(ReplyType::nil));
    EXPECT_EQ(nil.view().text(), "");
    EXPECT_EQ(nil.view().integer(), 0);
}

TEST(ReplyView, FindsElementsOfAFlatArray) {
    const ReplyBuilder reply = ReplyBuilder().array(4).string("a").nil().string("").integer(3);
    const ReplyView view = reply.view();
    ASSERT_EQ(view.size(), 4u);
    EXPECT_EQ(view[0].text(), "a");
    EXPECT_EQ(view[1].type(), ReplyType::nil);
    EXPECT_TRUE(view[2].is(ReplyType::string));
    EXPECT_EQ(view[2].text(), "");
    EXPECT_EQ(view[3].integer(), 3);
}

// [ [1, [2, []]], [], "x", [[[3]]], 4 ]
TEST(ReplyView, StepsOverNestedArrays) {
    ReplyBuilder reply;
    reply.array(5);
    reply.array(2).integer(1).array(2).integer(2).array(0);
    reply.array(0);
    reply.string("x");
    reply.array(1).array(1).array(1).integer(3);
    reply.integer(4);

    const ReplyView view = reply.view();
    EXPECT_EQ(view[0][0].integer(), 1);
    EXPECT_EQ(view[0][1][0].integer(), 2);
    EXPECT_EQ(view[0][1][1].size(), 0u);
    EXPECT_EQ(view[1].size(), 0u);
    EXPECT_EQ(view[2].text(), "x");
    EXPECT_EQ(view[3][0][0][0].integer(), 3);
    EXPECT_EQ(view[4].integer(), 4);
}

TEST(MicrosOfTime, AreTheSecondsAndTheRest) {
    ReplyBuilder time;
    EXPECT_EQ(micros_of_time(time.array(2).string("1700000000").string("000123").view()), 1'700'000'000'000'123);
    ReplyBuilder latest;
    EXPECT_EQ(micros_of_time(latest.array(2).string("1000000000000").string("999999").view()),
              1'000'000'000'000'999'999);
}

TEST(MicrosOfTime, AreNothingInAnotherForm) {
    for (const auto& [seconds, micros] : std::vector<std::pair<std::string, std::string>>{
             {"", "0"}, {"0", ""}, {"-1", "0"}, {"1.5", "0"}, {"1", "1000000"}, {"1000000000001", "0"}, {"x", "0"}}) {
        ReplyBuilder time;
        EXPECT_FALSE(micros_of_time(time.array(2).string(seconds).string(micros).view())) << seconds << " " << micros;
    }
    ReplyBuilder one;
    EXPECT_FALSE(micros_of_time(one.array(1).string("1").view()));
    ReplyBuilder numbers;
    EXPECT_FALSE(micros_of_time(numbers.array(2).integer(1).integer(2).view()));
    ReplyBuilder error;
    EXPECT_FALSE(micros_of_time(error.error("ERR").view()));
}

TEST(ErrorCode, IsTheFirstWordWhenItLooksLikeOne) {
    EXPECT_EQ(error_code("WRONGTYPE Operation against a key"), "WRONGTYPE");
    EXPECT_EQ(error_code("NOAUTH Authentication required."), "NOAUTH");
    EXPECT_EQ(error_code("LOADING"), "LOADING");
}

// I3: what a server wrote in place of a code is not repeated.
TEST(ErrorCode, IsErrOtherwise) {
    for (const char* const text : {"", " ", "err lower", "Bad thing", "WRONG1 x", "unknown command", "-ERR", "A\nB x",
                                   "\xff", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQ too long for a code"}) {
        EXPECT_EQ(error_code(text), "ERR") << text;
    }
}

}  // namespace
}  // namespace apikey::redis
