#include "core/usage/shipment.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace apikey::usage {
namespace {

constexpr redis::Millis kT = 1000;

TEST(Shipment, SendsEachBatchOnceAndFreesItWhenItHasSettled) {
    Shipment shipment(7);
    EXPECT_EQ(shipment.next(7), std::nullopt);
    EXPECT_EQ(shipment.next(9), 7);
    shipment.sent(7);
    EXPECT_EQ(shipment.next(9), 8);
    shipment.sent(8);
    EXPECT_EQ(shipment.next(9), std::nullopt);
    shipment.answered(7, true, kT);
    EXPECT_FALSE(shipment.all_taken(9));
    shipment.answered(8, true, kT + 10);
    EXPECT_TRUE(shipment.all_taken(9));
    EXPECT_FALSE(shipment.all_taken(10));
    EXPECT_EQ(shipment.settled(kT + Shipment::kSettle - 1), 7);
    EXPECT_EQ(shipment.settled(kT + Shipment::kSettle), 8);
    shipment.freed(8);
    EXPECT_EQ(shipment.settled(kT + Shipment::kSettle + 10), 9);
}

TEST(Shipment, WhatIsUnderWayIsNotFreedHoweverLongItTakes) {
    Shipment shipment(0);
    shipment.sent(0);
    shipment.sent(1);
    shipment.answered(0, true, kT);
    EXPECT_EQ(shipment.settled(kT + 100 * Shipment::kSettle), 1);
}

TEST(Shipment, TellsWhatRedisHasTakenHoweverShortlyAgo) {
    Shipment shipment(3);
    EXPECT_EQ(shipment.taken(), 3);
    for (std::uint64_t n = 3; n < 6; ++n)
        shipment.sent(n);
    EXPECT_EQ(shipment.taken(), 3);
    shipment.answered(3, true, kT);
    EXPECT_EQ(shipment.taken(), 4);
    shipment.answered(4, false, kT);
    shipment.answered(5, true, kT);
    EXPECT_EQ(shipment.taken(), 4);  // in their order
    shipment.freed(4);
    EXPECT_EQ(shipment.taken(), 4);
    shipment.disconnected();
    EXPECT_EQ(shipment.taken(), 4);
}

TEST(Shipment, SendsAgainWhatWasRefused) {
    Shipment shipment(0);
    shipment.sent(0);
    shipment.sent(1);
    shipment.answered(0, false, kT);
    shipment.answered(1, true, kT);
    EXPECT_EQ(shipment.next(2), 0);
    EXPECT_EQ(shipment.settled(kT + Shipment::kSettle), 0);  // in their order
    shipment.sent(0);
    EXPECT_EQ(shipment.next(2), std::nullopt);
    shipment.answered(0, true, kT + 5);
    EXPECT_EQ(shipment.settled(kT + 5 + Shipment::kSettle), 2);
}

TEST(Shipment, SendsEverythingAgainOnANewConnection) {
    Shipment shipment(0);
    for (std::uint64_t n = 0; n < 3; ++n)
        shipment.sent(n);
    shipment.answered(0, true, kT);
    EXPECT_EQ(shipment.disconnected(), 3);
    EXPECT_FALSE(shipment.is_under_way());
    EXPECT_EQ(shipment.settled(kT + 100 * Shipment::kSettle), 0);
    for (std::uint64_t n = 0; n < 3; ++n) {
        EXPECT_EQ(shipment.next(3), n);
        shipment.sent(n);
    }
}

TEST(Shipment, WhatRedisMayHaveLostGoesAgainAndWhatIsUnderWayDoesNot) {
    Shipment shipment(0);
    shipment.sent(0);
    shipment.sent(1);
    shipment.answered(0, true, kT);
    EXPECT_EQ(shipment.lost(), 1);
    EXPECT_EQ(shipment.next(2), 0);
    shipment.sent(0);
    EXPECT_EQ(shipment.next(2), std::nullopt);
    shipment.answered(1, true, kT);
    shipment.answered(0, true, kT);
    EXPECT_EQ(shipment.settled(kT + Shipment::kSettle), 2);
}

TEST(Shipment, AnswersAboutWhatWasFreedMeanwhileChangeNothing) {
    Shipment shipment(0);
    shipment.sent(0);
    shipment.sent(1);
    shipment.freed(1);  // spooled
    shipment.answered(0, false, kT);
    EXPECT_TRUE(shipment.is_under_way());
    EXPECT_EQ(shipment.next(2), std::nullopt);
    shipment.answered(1, true, kT);
    EXPECT_FALSE(shipment.is_under_way());
    EXPECT_TRUE(shipment.all_taken(2));
    shipment.freed(5);  // also what was never sent
    EXPECT_EQ(shipment.next(6), 5);
    EXPECT_EQ(shipment.next(5), std::nullopt);
}

// Whatever happens, in any order: what is freed was taken on one connection, and confirmed kSettle before something was heard
// there; and when all goes well again, everything is freed.
TEST(Shipment, FreesOnlyWhatIsSafe) {
    std::mt19937_64 random(20261128);
    for (int run = 0; run < 200; ++run) {
        Shipment shipment(0);
        std::uint64_t end = 0;
        std::uint64_t freed = 0;
        redis::Millis now = 0;
        redis::Millis heard = 0;
        std::map<std::uint64_t, redis::Millis> safe_since;
        std::deque<std::uint64_t> wire;
        const auto answer = [&](bool taken) {
            const std::uint64_t number = wire.front();
            wire.pop_front();
            heard = now;
            shipment.answered(number, taken, now);
            if (taken && number >= freed) safe_since[number] = now;
        };
        const auto free = [&] {
            for (const std::uint64_t settled = shipment.settled(heard); freed < settled; ++freed) {
                ASSERT_TRUE(safe_since.contains(freed));
                ASSERT_GE(heard - safe_since[freed], Shipment::kSettle);
            }
            shipment.freed(freed);
        };
        const auto send = [&] {
            const auto number = shipment.next(end);
            if (!number) return false;
            EXPECT_LT(*number, end);
            EXPECT_GE(*number, freed);
            EXPECT_EQ(std::count(wire.begin(), wire.end(), *number), 0);
            EXPECT_FALSE(safe_since.contains(*number));
            shipment.sent(*number);
            wire.push_back(*number);
            return true;
        };
        for (int step = 0; step < 300; ++step) {
            now += static_cast<redis::Millis>(random() % 1000);
            switch (random() % 8) {
                case 0: ++end; break;
                case 1:
                case 2: send(); break;
                case 3:
                case 4:
                    if (!wire.empty()) answer(random() % 4 != 0);
                    break;
                case 5: free(); break;
                case 6:
                    if (random() % 4 != 0) break;
                    shipment.disconnected();
                    wire.clear();
                    safe_since.clear();
                    break;
                default:
                    if (random() % 4 != 0) break;
                    shipment.lost();
                    safe_since.clear();
                    break;
            }
        }
        while (send()) {
        }
        while (!wire.empty())
            answer(true);
        heard = now + Shipment::kSettle;
        EXPECT_EQ(shipment.settled(heard), end);
    }
}

}  // namespace
}  // namespace apikey::usage
