#include "sidecar/membership.hpp"

#include <gtest/gtest.h>

#include "sidecar/weather.hpp"
#include "tests/core/reply_builder.hpp"

namespace apikey {
namespace {

using test::ReplyBuilder;

redis::ReplyView time_of(ReplyBuilder& builder) {
    return builder.array(2).string("1700000000").string("123999").view();
}

TEST(Membership, IsReadFromTimeAndZrange) {
    ReplyBuilder time;
    ReplyBuilder members;
    members.array(6).string("a").string("1700000001500").string("b").string("1.5e3").string("c").string("-7");
    const Membership read = membership_of(time_of(time), members.view());
    EXPECT_EQ(read.redis_now, 1'700'000'000'123);
    ASSERT_EQ(read.members.size(), 3U);
    EXPECT_EQ(read.members[0].worker, "a");
    EXPECT_EQ(read.members[0].lease_ends, 1'700'000'001'500.0);
    EXPECT_EQ(read.members[1].lease_ends, 1500.0);
    EXPECT_EQ(read.members[2].lease_ends, -7.0);
}

TEST(Membership, WhatIsNoNumberDoesNotEnd) {
    ReplyBuilder time;
    ReplyBuilder members;
    members.array(4).string("a").string("inf").string("b").string("nonsense");
    const Membership read = membership_of(time_of(time), members.view());
    EXPECT_GT(read.members[0].lease_ends, 1e300);
    EXPECT_GT(read.members[1].lease_ends, 1e300);
}

TEST(Membership, OtherFormsAreRefused) {
    ReplyBuilder time;
    time_of(time);
    ReplyBuilder empty;
    empty.array(0);
    EXPECT_TRUE(membership_of(time.view(), empty.view()).members.empty());
    ReplyBuilder odd;
    odd.array(1).string("a");
    ReplyBuilder wrong_type;
    wrong_type.error("WRONGTYPE Operation against a key holding the wrong kind of value");
    ReplyBuilder number;
    number.integer(3);
    for (const ReplyBuilder* members : {&odd, &wrong_type, &number})
        EXPECT_THROW(membership_of(time.view(), members->view()), RedisError);
    for (const ReplyBuilder* no_time : {&odd, &wrong_type, &number, &empty})
        EXPECT_THROW(membership_of(no_time->view(), empty.view()), RedisError);
    ReplyBuilder words;
    words.array(2).string("now").string("soon");
    EXPECT_THROW(membership_of(words.view(), empty.view()), RedisError);
}

}  // namespace
}  // namespace apikey
