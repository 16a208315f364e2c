// When a change counts as in force, and what is told when it is not.
// Hazards: C2, C5
#include "sidecar/confirmations.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <limits>

namespace apikey {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr std::int64_t kRedisStart = 1'700'000'000'000;
constexpr auto kPatience = Confirmations::kPatience.count();

// The leader's side with a clock of its own; Redis' clock runs with it, `skew` ahead.
class ConfirmationsTest : public testing::Test {
  protected:
    ConfirmationsTest() {
        confirmations.read(members({}));
        ms += 2000;  // what Redis' clock says is believed
    }
    Confirmations::Time time() const { return Confirmations::Time() + milliseconds(ms); }

    // Each member with the time (as `ms` counts) when its lease ends.
    Membership members(std::initializer_list<std::pair<const char*, std::int64_t>> list) const {
        Membership read{time(), time(), kRedisStart + ms + skew, {}, false};
        for (const auto& [worker, ends] : list)
            read.members.push_back({worker, static_cast<double>(kRedisStart + ends)});
        return read;
    }
    Membership all_alive() const { return members({{"a", ms + 1000}, {"b", ms + 1200}, {"c", ms + 1400}}); }

    void publish(Receipt marker, std::vector<Receipt> receipts, Membership workers, bool any = false) {
        confirmations.published({marker, receipts.size(), any, std::move(receipts), std::move(workers)});
    }
    void confirm(std::initializer_list<const char*> workers, Receipt marker) {
        for (const char* worker : workers)
            confirmations.confirmed(worker, marker, time());
    }
    // What clients are told now, as "receipt confirmed/expected".
    std::vector<std::string> told() {
        std::vector<std::string> texts;
        for (const Done& done : confirmations.take_done(time()))
            texts.push_back(format_done(done).substr(5));
        return texts;
    }
    std::vector<std::string> outcomes() {
        std::vector<std::string> texts;
        for (const auto& outcome : confirmations.take_outcomes(time())) {
            texts.push_back((outcome.any ? "*" : std::to_string(outcome.keys)) + " " +
                            std::to_string(outcome.confirmed) + "/" + std::to_string(outcome.expected) + " " +
                            std::to_string(outcome.took.count()) + "ms");
            for (const std::string& missing : outcome.missing)
                texts.back() += " " + missing;
        }
        return texts;
    }
    void hear(std::initializer_list<Receipt> receipts) {
        for (const Receipt receipt : receipts)
            confirmations.heard(receipt, time());
    }

    Confirmations confirmations;
    std::int64_t ms = 10'000;
    std::int64_t skew = 0;
};

TEST_F(ConfirmationsTest, InForceWhenEveryWorkerHasConfirmed) {
    hear({7});
    publish(1, {7}, all_alive());
    EXPECT_THAT(told(), IsEmpty());
    ms += 3;
    confirm({"a", "c"}, 1);
    EXPECT_THAT(told(), IsEmpty());
    EXPECT_THAT(outcomes(), IsEmpty());
    confirm({"b"}, 1);
    EXPECT_TRUE(confirmations.has_done(time()));
    EXPECT_THAT(told(), ElementsAre("7 3/3"));
    EXPECT_THAT(outcomes(), ElementsAre("1 3/3 3ms"));
    EXPECT_THAT(told(), IsEmpty());
    EXPECT_THAT(outcomes(), IsEmpty());
    EXPECT_FALSE(confirmations.is_waiting());
    EXPECT_EQ(confirmations.next_event(), Confirmations::Time::max());
}

TEST_F(ConfirmationsTest, WithoutWorkersInForceAtOnce) {
    hear({7});
    publish(1, {7}, members({}));
    EXPECT_THAT(told(), ElementsAre("7 0/0"));
    EXPECT_THAT(outcomes(), ElementsAre("1 0/0 0ms"));
}

TEST_F(ConfirmationsTest, NothingIsToldBeforeItIsPublished) {
    hear({7});
    EXPECT_THAT(told(), IsEmpty());
    ms += 10 * kPatience;
    EXPECT_THAT(told(), IsEmpty());
    EXPECT_THAT(confirmations.untold(), ElementsAre(7));
    publish(1, {7}, all_alive());
    EXPECT_THAT(told(), IsEmpty()) << "late, but the workers get their time";
    ms += kPatience - 1;
    EXPECT_THAT(told(), IsEmpty());
    ms += 1;
    EXPECT_THAT(told(), ElementsAre("7 0/3"));
}

TEST_F(ConfirmationsTest, NobodyElsesConfirmationCounts) {
    hear({7});
    publish(1, {7}, members({{"a", ms + 1000}}));
    confirm({"b", "aa", "A", ""}, 1);
    confirm({"a"}, 2);
    confirm({"a"}, 0);
    EXPECT_THAT(told(), IsEmpty());
    confirm({"a", "a", "a"}, 1);
    EXPECT_THAT(told(), ElementsAre("7 1/1"));
}

TEST_F(ConfirmationsTest, WhoseLeaseHadEndedNeedNotConfirm) {
    hear({7});
    publish(1, {7}, members({{"a", ms + 1000}, {"dead", ms - 101}, {"long dead", ms - 50'000}}));
    confirm({"dead"}, 1);
    EXPECT_THAT(told(), IsEmpty());
    confirm({"a"}, 1);
    EXPECT_THAT(told(), ElementsAre("7 1/1"));
}

TEST_F(ConfirmationsTest, ALeaseCountsALittleLongerThanItLasts) {
    hear({7});
    publish(1, {7}, members({{"a", ms - 99}}));
    EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ConfirmationsTest, ASilentWorkerIsWaitedForUntilItsLeaseHasEnded) {
    hear({7});
    const std::int64_t ends = ms + 800;
    publish(1, {7}, members({{"a", ends}, {"silent", ends}}));
    confirm({"a"}, 1);
    EXPECT_EQ(confirmations.next_event(), time() + Confirmations::kReadEvery);
    ms = ends + 99;
    confirmations.read(members({{"a", ms + 1000}, {"silent", ends}}));
    EXPECT_THAT(told(), IsEmpty());
    ms = ends + 100;
    EXPECT_THAT(told(), IsEmpty()) << "only a new look at the members can tell that it has not registered again";
    confirmations.read(members({{"a", ms + 1000}, {"silent", ends}}));
    EXPECT_THAT(told(), ElementsAre("7 1/1"));
    EXPECT_THAT(outcomes(), ElementsAre("1 1/1 900ms"));
}

TEST_F(ConfirmationsTest, ASilentWorkerThatLivesOnIsReportedAsMissing) {
    hear({7});
    publish(1, {7}, all_alive());
    confirm({"a", "b"}, 1);
    for (int i = 0; i < 17; ++i) {
        ms += 100;
        confirmations.read(all_alive());
        EXPECT_THAT(told(), IsEmpty());
        EXPECT_THAT(outcomes(), IsEmpty());
    }
    ms += 100;
    EXPECT_THAT(told(), ElementsAre("7 2/3"));
    EXPECT_THAT(outcomes(), ElementsAre("1 2/3 1800ms c"));
    EXPECT_FALSE(confirmations.is_waiting());
    confirm({"c"}, 1);
    EXPECT_THAT(told(), IsEmpty()) << "once is enough";
    EXPECT_THAT(outcomes(), IsEmpty());
}

TEST_F(ConfirmationsTest, AWorkerThatLeavesNeedNotConfirm) {
    hear({7});
    publish(1, {7}, all_alive());
    confirm({"a"}, 1);
    confirmations.read(members({{"a", ms + 1000}, {"c", ms + 1000}}));
    confirm({"b"}, 1);
    EXPECT_THAT(told(), IsEmpty());
    confirm({"c"}, 1);
    EXPECT_THAT(told(), ElementsAre("7 2/2"));
}

TEST_F(ConfirmationsTest, AWorkerThatComesLaterNeedNotConfirm) {
    hear({7});
    publish(1, {7}, members({{"a", ms + 1000}}));
    confirmations.read(all_alive());
    confirm({"a"}, 1);
    EXPECT_THAT(told(), ElementsAre("7 1/1"));
}

TEST_F(ConfirmationsTest, AReceiptInTwoBatchesWaitsForBoth) {
    for (const bool first_first : {true, false}) {
        hear({7, 7, 8});
        publish(1, {7}, all_alive());
        publish(2, {7, 8}, all_alive());
        confirm({"a", "b", "c"}, first_first ? 1 : 2);
        EXPECT_THAT(told(), first_first ? std::vector<std::string>{} : std::vector<std::string>{"8 3/3"});
        confirm({"a", "b", "c"}, first_first ? 2 : 1);
        EXPECT_THAT(told(),
                    first_first ? std::vector<std::string>({"7 3/3", "8 3/3"}) : std::vector<std::string>({"7 3/3"}));
    }
}

TEST_F(ConfirmationsTest, AReceiptWaitsForPartsThatAreNotPublishedYet) {
    hear({7, 7});
    publish(1, {7}, all_alive());
    confirm({"a", "b", "c"}, 1);
    EXPECT_THAT(outcomes(), ElementsAre("1 3/3 0ms"));
    ms += kPatience + 1;
    EXPECT_THAT(told(), IsEmpty()) << "how far it is cannot be said";
    publish(2, {7}, members({{"a", ms + 1000}}));
    EXPECT_THAT(told(), IsEmpty());
    confirm({"a"}, 2);
    EXPECT_THAT(told(), ElementsAre("7 3/3"));
}

TEST_F(ConfirmationsTest, PartsThatTurnOutToBeTheSameAreOne) {
    hear({7, 7});
    confirmations.same_as_another(7);
    confirmations.same_as_another(99);
    publish(1, {7}, members({}));
    EXPECT_THAT(told(), ElementsAre("7 0/0"));
}

TEST_F(ConfirmationsTest, FiguresOfSeveralBatchesCountEachWorkerOnce) {
    hear({7, 7});
    publish(1, {7}, members({{"a", ms + 1000}, {"b", ms + 1000}}));
    confirm({"a", "b"}, 1);
    publish(2, {7}, members({{"b", ms + 1000}, {"c", ms + 1000}}));
    confirm({"c"}, 2);
    ms += kPatience;
    EXPECT_THAT(told(), ElementsAre("7 2/3"));
}

TEST_F(ConfirmationsTest, StarTakesThePlaceOfAllBefore) {
    hear({7, 8});
    publish(1, {7}, all_alive());
    confirm({"a", "b"}, 1);
    publish(2, {8}, members({{"b", ms + 1000}, {"c", ms + 1000}}), true);
    confirm({"c"}, 1);
    EXPECT_THAT(told(), IsEmpty());
    confirm({"b"}, 2);
    EXPECT_THAT(told(), IsEmpty());
    confirm({"c"}, 2);
    EXPECT_THAT(told(), ElementsAre("7 2/2", "8 2/2"));
    EXPECT_THAT(outcomes(), ElementsAre("* 2/2 0ms"));
}

TEST_F(ConfirmationsTest, WhileHeldNothingIsInForce) {
    hear({7});
    confirmations.hold();
    publish(1, {7}, members({}), true);
    EXPECT_THAT(told(), IsEmpty()) << "the members were lost; their leases may go on";
    EXPECT_THAT(outcomes(), IsEmpty());
    confirm({"a", "b"}, 1);
    EXPECT_THAT(told(), IsEmpty());
    EXPECT_EQ(confirmations.next_event(), Confirmations::Time::max());
    ms += 1500;
    EXPECT_TRUE(confirmations.release(members({{"a", ms + 1000}, {"b", ms + 1000}})));
    EXPECT_THAT(told(), ElementsAre("7 2/2"));
    EXPECT_THAT(outcomes(), ElementsAre("* 2/2 1500ms"));
}

TEST_F(ConfirmationsTest, WhoHasNotConfirmedWhileHeldIsAskedAgain) {
    hear({7});
    confirmations.hold();
    publish(1, {7}, members({{"a", ms + 1500}, {"gone", ms + 1500}}), true);
    confirm({"a", "stranger"}, 1);
    ms += 1500;
    EXPECT_FALSE(confirmations.release(members({{"a", ms + 1000}, {"late", ms + 1000}})));
    EXPECT_THAT(told(), IsEmpty());
    publish(2, {}, members({{"a", ms + 1000}, {"late", ms + 1000}}), true);
    confirm({"late"}, 2);
    EXPECT_THAT(told(), IsEmpty());
    confirm({"a"}, 2);
    EXPECT_THAT(told(), ElementsAre("7 2/2"));
}

TEST_F(ConfirmationsTest, WhatIsPublishedWhileHeldNeedsEveryoneOfTheEnd) {
    hear({7, 8});
    confirmations.hold();
    publish(1, {7}, members({}));
    publish(2, {8}, members({{"a", ms + 1500}}));
    confirm({"a"}, 1);
    confirm({"a", "b"}, 2);
    EXPECT_FALSE(confirmations.release(members({{"a", ms + 1000}, {"b", ms + 1000}})));
    EXPECT_THAT(told(), ElementsAre("8 2/2"));
    confirm({"b"}, 1);
    EXPECT_THAT(told(), ElementsAre("7 2/2")) << "it was under way";
}

TEST_F(ConfirmationsTest, AnyNumberOfNamesMayConfirmWhileHeld) {
    confirmations.hold();
    publish(1, {7}, members({}), true);
    for (int i = 0; i < 30'000; ++i)
        confirmations.confirmed("x" + std::to_string(i), 1, time());
    EXPECT_FALSE(confirmations.release(members({{"x29999", ms + 1000}}))) << "beyond the bound they are forgotten";
    confirm({"x29999"}, 1);
    EXPECT_THAT(told(), ElementsAre("7 1/1"));
}

// --- clocks ------------------------------------------------------------------------------------------------------

TEST_F(ConfirmationsTest, AClockThatIsPutForwardEndsNoLease) {
    confirmations.read(all_alive());
    hear({7});
    ms += 10;
    skew = 3'600'000;  // an hour; the members' scores are of before
    publish(1, {7}, all_alive());
    confirm({"a", "b"}, 1);
    ms += 1000;
    confirmations.read(members({{"a", ms}, {"b", ms}, {"c", ms}}));
    EXPECT_THAT(told(), IsEmpty()) << "c may hold its lease, whatever Redis' clock says";
    ms += 501;
    confirmations.read(members({{"a", ms}, {"b", ms}, {"c", ms}}));
    EXPECT_THAT(told(), ElementsAre("7 2/2")) << "by now it would have registered by the new time";
}

TEST_F(ConfirmationsTest, AtFirstTheClockIsNotBelieved) {
    confirmations = Confirmations();
    hear({7});
    publish(1, {7}, members({{"a", ms - 5000}}));
    EXPECT_THAT(told(), IsEmpty()) << "the clock may have been put forward just now";
    ms += 1500;
    confirmations.read(members({{"a", ms - 6500}}));
    EXPECT_THAT(told(), ElementsAre("7 0/0"));
}

TEST_F(ConfirmationsTest, AClockThatIsPutBackKeepsNobodyAlive) {
    const std::int64_t ends = ms + 1400;
    confirmations.read(members({{"dead", ends}}));
    skew = -3'600'000;
    hear({7});
    ms += 1499;
    publish(1, {7}, members({{"dead", ends}}));
    EXPECT_THAT(told(), IsEmpty());
    ms += 1;
    confirmations.read(members({{"dead", ends}}));
    EXPECT_THAT(told(), ElementsAre("7 0/0"));
}

TEST_F(ConfirmationsTest, ASlowAnswerHidesNoJump) {
    Membership slow = members({{"a", ms + 1000}});
    ms += 900;  // the answer was under way for so long: Redis' clock may be 900 ms ahead by now
    slow.received = time();
    confirmations.read(slow);
    skew = 900;
    hear({7});
    publish(1, {7}, members({{"a", ms + 100}}));
    ms += 400;
    confirmations.read(members({{"a", ms - 300}}));
    EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ConfirmationsTest, AnswersThatAreALittleLateChangeNothing) {
    hear({7});
    const std::int64_t ended = ms - 3000;
    for (int i = 0; i < 20; ++i) {
        Membership late = members({{"dead", ended}});
        ms += 90;
        late.received = time();
        confirmations.read(late);
        ms += 10;
    }
    publish(1, {7}, members({{"dead", ended}, {"dead too", ms - 2000}}));
    EXPECT_THAT(told(), ElementsAre("7 0/0"));
}

TEST_F(ConfirmationsTest, AScoreThatIsNoTimeBlocksNobodyForLong) {
    Membership odd = members({});
    odd.members.push_back({"odd", std::numeric_limits<double>::infinity()});
    hear({7});
    publish(1, {7}, odd);
    EXPECT_THAT(told(), IsEmpty());
    ms += Confirmations::kRegistration.count();
    Membership later = members({});
    later.members = odd.members;
    confirmations.read(later);
    EXPECT_THAT(told(), ElementsAre("7 0/0"));
}

// --- bounds --------------------------------------------------------------------------------------------------------

TEST_F(ConfirmationsTest, ManyBatchesThatNobodyConfirmsAreForgotten) {
    for (Receipt marker = 1; marker <= 1000; ++marker) {
        hear({marker});
        publish(marker, {marker}, all_alive());
    }
    ms += kPatience;
    EXPECT_EQ(told().size(), 1000U);
    EXPECT_EQ(outcomes().size(), 1000U);
    EXPECT_FALSE(confirmations.is_waiting());
    EXPECT_THAT(confirmations.untold(), IsEmpty());
}

TEST_F(ConfirmationsTest, AReportedBatchIsKeptForWhoStillWaits) {
    hear({7, 7});
    publish(1, {7}, members({{"a", ms + 1000}}));
    ms += kPatience;
    EXPECT_THAT(outcomes(), ElementsAre("1 0/1 1800ms a"));
    EXPECT_THAT(told(), IsEmpty());
    EXPECT_TRUE(confirmations.is_waiting());
    publish(2, {7}, members({{"a", ms + 1000}}));
    confirm({"a"}, 1);
    confirm({"a"}, 2);
    EXPECT_THAT(told(), ElementsAre("7 1/1"));
    EXPECT_THAT(outcomes(), ElementsAre("1 1/1 0ms")) << "the first is not reported again";
}

}  // namespace
}  // namespace apikey
