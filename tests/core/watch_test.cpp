#include "core/redis/watch.hpp"

#include <gtest/gtest.h>

namespace apikey::redis {
namespace {

// A worker that has just got its lease: subscribed at 1000, registered at 1010, PING 1 sent at 1020.
Watch leased() {
    Watch watch;
    watch.subscribed(1000);
    watch.registered(1010, 0);
    watch.answered({1, 1020});
    return watch;
}

TEST(Watch, NothingIsCoveredWithoutALease) {
    Watch watch;
    EXPECT_FALSE(watch.covers(5000, 0));
    watch.answered({1, 1000});
    watch.registered(1000, 0);
    EXPECT_EQ(watch.lease_until(), 0) << "not subscribed";
    watch.subscribed(2000);
    watch.answered({1, 2000});
    EXPECT_EQ(watch.lease_until(), 0) << "registered before it was subscribed";
    watch.registered(2000, 1);
    EXPECT_EQ(watch.lease_until(), 0) << "the PING must follow the acknowledgement";
    watch.answered({1, 2000});
    EXPECT_EQ(watch.lease_until(), 0);
    watch.answered({2, 2010});
    EXPECT_EQ(watch.lease_until(), 2010 + kLease);
}

TEST(Watch, CoversWhatIsYoungerThanTheSubscriptionWhileTheLeaseLasts) {
    const Watch watch = leased();
    EXPECT_TRUE(watch.covers(1001, 1030));
    EXPECT_FALSE(watch.covers(1000, 1030));
    EXPECT_TRUE(watch.covers(1500, 1020 + kLease - 1));
    EXPECT_FALSE(watch.covers(1500, 1020 + kLease));
}

TEST(Watch, ALeaseRestsOnTheRegistrationBeforeItsPing) {
    Watch watch = leased();
    watch.registered(1260, 4);  // PINGs 2 to 4 are under way
    watch.answered({4, 1900});
    EXPECT_EQ(watch.lease_until(), 1010 + kRegistration - Watch::kSlack) << "not on the one after it";
    watch.answered({5, 1950});
    EXPECT_EQ(watch.lease_until(), 1260 + kRegistration - Watch::kSlack);
    watch.answered({5, 1950});
    EXPECT_EQ(watch.lease_until(), 1260 + kRegistration - Watch::kSlack);
}

TEST(Watch, SeveralRegistrationsBetweenTwoPings) {
    Watch watch = leased();
    for (Millis sent = 1100; sent < 5000; sent += 100)
        watch.registered(sent, 1);
    watch.answered({2, 5000});
    EXPECT_EQ(watch.lease_until(), 5000 + kLease);
}

TEST(Watch, WithoutAnotherRegistrationItEnds) {
    Watch watch = leased();
    watch.answered({2, 2000});
    EXPECT_EQ(watch.lease_until(), 1010 + kRegistration - Watch::kSlack);
    watch.answered({3, 2400});
    EXPECT_EQ(watch.lease_until(), 1010 + kRegistration - Watch::kSlack);
}

TEST(Watch, ALostRegistrationLeavesTheLeaseThatIs) {
    Watch watch = leased();
    watch.unregistered();
    EXPECT_EQ(watch.lease_until(), 1020 + kLease);
    watch.answered({2, 1500});
    EXPECT_EQ(watch.lease_until(), 1020 + kLease);
}

// Hazards: R18
TEST(Watch, ALostSubscriptionEndsItAtOnce) {
    Watch watch = leased();
    watch.unsubscribed();
    EXPECT_FALSE(watch.covers(1500, 1030));
    watch.subscribed(1100);
    EXPECT_FALSE(watch.covers(1500, 1110));
    watch.answered({2, 1110});
    EXPECT_FALSE(watch.covers(1500, 1120)) << "the old registration is gone";
    watch.registered(1120, 2);
    watch.answered({3, 1130});
    EXPECT_TRUE(watch.covers(1500, 1140));
    EXPECT_FALSE(watch.covers(1100, 1140)) << "what it missed in between";
}

TEST(Watch, ClaimsWhatItHasHeard) {
    Watch watch;
    watch.subscribed(1000);
    EXPECT_LT(watch.claim().until, watch.claim().since);
    watch.answered({1, 1100});
    EXPECT_EQ(watch.claim(), (Interval{1000, 1100})) << "registered or not";
    watch.trusts_since(400);
    watch.answered({2, 1300});
    EXPECT_EQ(watch.claim(), (Interval{400, 1300}));
    EXPECT_EQ(watch.trusted_since(), 400);
    watch.unsubscribed();
    watch.subscribed(2000);
    EXPECT_EQ(watch.claim().since, 2000);
}

}  // namespace
}  // namespace apikey::redis
