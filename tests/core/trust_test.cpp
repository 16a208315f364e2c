#include "core/redis/trust.hpp"

#include <gtest/gtest.h>

namespace apikey::redis {
namespace {

using Interval = Trust::Interval;

const std::string kRun(40, 'a');
const std::string kOtherRun(40, 'b');

Trust connected() {
    Trust trust;
    trust.connected(kRun);
    return trust;
}

TEST(Trust, BelievesOnlyWhatLiesBetweenTwoEqualEpochsOfThisRun) {
    Trust trust = connected();
    EXPECT_FALSE(trust.proven());
    EXPECT_EQ(trust.observe(kRun + " 1"), Interval::renewed);
    EXPECT_TRUE(trust.proven());
    EXPECT_EQ(trust.observe(kRun + " 1"), Interval::trusted);
    EXPECT_EQ(trust.observe(kRun + " 1"), Interval::trusted);
}

// FLUSHALL, and apikeyd's new pass.
// Hazards: R23
TEST(Trust, AFlushEndsItUntilANewPass) {
    Trust trust = connected();
    trust.observe(kRun + " 1");
    EXPECT_EQ(trust.observe(""), Interval::untrusted);
    EXPECT_FALSE(trust.proven());
    EXPECT_EQ(trust.observe(""), Interval::untrusted);
    EXPECT_EQ(trust.observe(kRun + " 2"), Interval::renewed);
    EXPECT_EQ(trust.observe(kRun + " 2"), Interval::trusted);
}

TEST(Trust, ANewPassThatWasNotSeenToBeginRenews) {
    Trust trust = connected();
    trust.observe(kRun + " 1");
    EXPECT_EQ(trust.observe(kRun + " 2"), Interval::renewed);
    EXPECT_EQ(trust.observe(kRun + " 1"), Interval::renewed);
    EXPECT_TRUE(trust.proven());
}

// The old epoch coming back after a gap proves nothing about what lies in the gap.
TEST(Trust, TheSameEpochAfterNoneRenews) {
    Trust trust = connected();
    trust.observe(kRun + " 1");
    trust.observe("");
    EXPECT_EQ(trust.observe(kRun + " 1"), Interval::renewed);
}

// The old epoch of an old snapshot names another process.
// Hazards: R27
TEST(Trust, AnotherRunsEpochIsNone) {
    Trust trust = connected();
    for (const std::string& epoch : {kOtherRun + " 1", kRun, kRun + " ", kRun + "1 1", kRun + "\t1", " " + kRun + " 1",
                                     kRun.substr(1) + " 1", std::string(" 1"), std::string("1"), std::string(" ")}) {
        EXPECT_EQ(trust.observe(epoch), Interval::untrusted) << epoch;
        EXPECT_FALSE(trust.proven()) << epoch;
    }
}

TEST(Trust, ANewConnectionStartsWithNothing) {
    Trust trust = connected();
    trust.observe(kRun + " 1");
    trust.connected(kRun);
    EXPECT_FALSE(trust.proven());
    EXPECT_EQ(trust.observe(kRun + " 1"), Interval::renewed);
    trust.connected(kOtherRun);
    EXPECT_FALSE(trust.proven());
    EXPECT_EQ(trust.observe(kRun + " 1"), Interval::untrusted);
}

TEST(Trust, WithoutAConnectionNothingIsProved) {
    Trust trust;
    for (int i = 0; i < 2; ++i) {
        EXPECT_FALSE(trust.proven());
        for (const std::string& epoch : {kRun + " 1", std::string(" 1"), std::string()}) {
            EXPECT_EQ(trust.observe(epoch), Interval::untrusted);
        }
        trust.connected(kRun);
        trust.observe(kRun + " 1");
        EXPECT_TRUE(trust.proven());
        trust.lost();
    }
}

}  // namespace
}  // namespace apikey::redis
