#include "core/redis/backoff.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace apikey::redis {
namespace {

const std::vector<std::int64_t> kSteps = {50, 100, 200, 400, 500, 500, 500, 500};

// Hazards: R5
TEST(Backoff, WaitsBetweenHalfAStepAndTheStep) {
    for (std::uint64_t seed = 0; seed < 1000; ++seed) {
        Backoff backoff(seed);
        for (const std::int64_t step : kSteps) {
            const std::int64_t wait = backoff.next_ms();
            ASSERT_GE(wait, step / 2) << "seed " << seed;
            ASSERT_LE(wait, step) << "seed " << seed;
        }
    }
}

TEST(Backoff, StartsAgainAfterASuccess) {
    Backoff backoff(11);
    for (int round = 0; round < 100; ++round) {
        for (std::size_t failures = 0; failures <= kSteps.size(); ++failures)
            (void)backoff.next_ms();
        backoff.reset();
        const std::int64_t wait = backoff.next_ms();
        ASSERT_GE(wait, Backoff::kFirstMs / 2);
        ASSERT_LE(wait, Backoff::kFirstMs);
        backoff.reset();
    }
}

TEST(Backoff, IsDecidedByItsSeed) {
    Backoff one(12);
    Backoff same(12);
    Backoff other(13);
    bool differs = false;
    for (int i = 0; i < 100; ++i) {
        const std::int64_t wait = one.next_ms();
        ASSERT_EQ(wait, same.next_ms());
        differs |= wait != other.next_ms();
    }
    EXPECT_TRUE(differs);
}

// Workers that lost the same Redis at once do not come back at once.
TEST(Backoff, SpreadsWorkersOut) {
    std::vector<std::int64_t> waits;
    for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
        Backoff backoff(seed);
        for (int failures = 0; failures < 5; ++failures)
            (void)backoff.next_ms();
        waits.push_back(backoff.next_ms());
    }
    EXPECT_GT(std::set<std::int64_t>(waits.begin(), waits.end()).size(), 200u);
    EXPECT_LT(*std::min_element(waits.begin(), waits.end()), 260);
    EXPECT_GT(*std::max_element(waits.begin(), waits.end()), 490);
}

// Seeds are often small and close together (process ids): their first waits must differ too.
TEST(Backoff, SpreadsNeighbouringSeeds) {
    std::set<std::int64_t> firsts;
    for (std::uint64_t pid = 1000; pid < 1064; ++pid)
        firsts.insert(Backoff(pid).next_ms());
    EXPECT_GT(firsts.size(), 10u);
}

}  // namespace
}  // namespace apikey::redis
