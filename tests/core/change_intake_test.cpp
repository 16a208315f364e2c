// Hazards: R21, R22
#include "core/redis/change_intake.hpp"

#include <gtest/gtest.h>

namespace apikey::redis {
namespace {

const Digest kKey{1};

Change all(Receipt receipt = kNobodyWaits) {
    return {std::nullopt, receipt};
}
Change one(Receipt receipt = kNobodyWaits) {
    return {kKey, receipt};
}

// The receipts that may be confirmed now, taken off.
std::vector<Receipt> confirmable(ChangeIntake& intake) {
    std::vector<Receipt> receipts;
    for (; intake.to_confirm() != nullptr; intake.confirmed())
        receipts.push_back(intake.to_confirm()->receipt);
    return receipts;
}

TEST(ChangeIntake, OneKeyIsForgottenAtOnceAndConfirmed) {
    ChangeIntake intake;
    intake.begin_turn();
    EXPECT_TRUE(intake.take(one(), 5));
    EXPECT_EQ(intake.to_confirm(), nullptr) << "nobody waits";
    EXPECT_TRUE(intake.take(one(7), 6));
    ASSERT_NE(intake.to_confirm(), nullptr);
    EXPECT_EQ(intake.to_confirm()->at, 6);
    EXPECT_TRUE(intake.take(one(8), 9));
    EXPECT_EQ(confirmable(intake), (std::vector<Receipt>{7, 8}));
    EXPECT_FALSE(intake.flush_pending());
}

TEST(ChangeIntake, AllAreForgottenAtMostEveryTenthOfASecond) {
    ChangeIntake intake;
    EXPECT_FALSE(intake.take(all(), 0));
    EXPECT_TRUE(intake.flush_pending());
    EXPECT_LE(intake.flush_at(), 0) << "the first at once";
    intake.flushed(5000);
    EXPECT_FALSE(intake.flush_pending());
    EXPECT_FALSE(intake.take(all(), 0));
    EXPECT_FALSE(intake.take(all(), 0));
    EXPECT_TRUE(intake.flush_pending());
    EXPECT_EQ(intake.flush_at(), 5000 + ChangeIntake::kFlushEvery);
    intake.flushed(5100);
    EXPECT_FALSE(intake.flush_pending()) << "several are one";
}

TEST(ChangeIntake, NothingIsConfirmedWhileAllWait) {
    ChangeIntake intake;
    intake.flushed(5000);
    EXPECT_TRUE(intake.take(one(1), 0));
    EXPECT_FALSE(intake.take(all(), 0));
    EXPECT_TRUE(intake.take(one(2), 0)) << "a single key does not wait";
    EXPECT_EQ(confirmable(intake), std::vector<Receipt>{});
    intake.flushed(5100);
    EXPECT_EQ(confirmable(intake), (std::vector<Receipt>{1, 2}));
}

TEST(ChangeIntake, AFloodIsOneFlush) {
    ChangeIntake intake;
    intake.begin_turn();
    for (std::size_t i = 0; i < ChangeIntake::kMostSingly; ++i)
        ASSERT_TRUE(intake.take(one(), 0));
    EXPECT_FALSE(intake.flush_pending());
    EXPECT_FALSE(intake.take(one(3), 0));
    EXPECT_FALSE(intake.take(one(), 0));
    EXPECT_TRUE(intake.flush_pending());
    EXPECT_EQ(intake.to_confirm(), nullptr);
    intake.flushed(1);
    EXPECT_EQ(confirmable(intake), std::vector<Receipt>{3});
    intake.begin_turn();
    EXPECT_TRUE(intake.take(one(), 0)) << "and then singly again";
}

TEST(ChangeIntake, ReceiptsAreBounded) {
    ChangeIntake intake;
    for (Receipt receipt = 1; receipt <= ChangeIntake::kMostReceipts + 5; ++receipt)
        static_cast<void>(intake.take(all(receipt), 0));
    EXPECT_EQ(intake.take_lost(), 5U);
    EXPECT_EQ(intake.take_lost(), 0U);
    intake.flushed(1);
    const auto receipts = confirmable(intake);
    EXPECT_EQ(receipts.size(), ChangeIntake::kMostReceipts);
    EXPECT_EQ(receipts.back(), ChangeIntake::kMostReceipts + 5);
}

}  // namespace
}  // namespace apikey::redis
