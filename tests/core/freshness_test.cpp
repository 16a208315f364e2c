#include "core/freshness.hpp"

#include <gtest/gtest.h>

namespace apikey {
namespace {

constexpr CacheTimes kTimes{.valid = 1600, .invalid = 100, .stale = 400};

Digest ending_in(std::uint8_t last) {
    Digest digest{};
    digest.back() = last;
    return digest;
}

TEST(Freshness, WatchedEntriesAreUsedAtOnceUntilTheirTime) {
    const Digest digest = ending_in(0);
    EXPECT_TRUE(use_at_once(0, kTimes.valid, digest, true));
    EXPECT_TRUE(use_at_once(1599, kTimes.valid, digest, true));
    EXPECT_FALSE(use_at_once(1600, kTimes.valid, digest, true));
}

TEST(Freshness, NothingIsUsedAtOnceWithoutAWatch) {
    EXPECT_FALSE(use_at_once(0, kTimes.valid, ending_in(0), false));
}

TEST(Freshness, ZeroMeansNever) {
    EXPECT_FALSE(use_at_once(0, 0, ending_in(0), true));
    EXPECT_FALSE(use_at_once(-5, 0, ending_in(0), true)) << "another worker has just asked";
    EXPECT_EQ(fall_back(0, {.valid = 0, .invalid = 0, .stale = 0}, false), Fallback::no);
    EXPECT_EQ(fall_back(-5, {.valid = 0, .invalid = 0, .stale = 0}, false), Fallback::no);
}

// Keys cached in one moment end at different ones, none late, none more than 1/16 early.
TEST(Freshness, EndsAreSpreadOverTheLastSixteenth) {
    std::int64_t before = kTimes.valid + 1;
    for (int last = 0; last < 256; ++last) {
        const std::int64_t end = shortened(kTimes.valid, ending_in(static_cast<std::uint8_t>(last)));
        EXPECT_LE(end, kTimes.valid);
        EXPECT_GE(end, kTimes.valid - kTimes.valid / 16);
        EXPECT_LE(end, before);
        before = end;
    }
    EXPECT_LT(before, kTimes.valid - kTimes.valid / 20);
    EXPECT_EQ(shortened(1, ending_in(255)), 1);
}

// Hazards: C19
TEST(Freshness, StaleServesOnlyWhileRedisCannotBeReached) {
    EXPECT_EQ(fall_back(1599, kTimes, false), Fallback::fresh);
    EXPECT_EQ(fall_back(1599, kTimes, true), Fallback::fresh);
    EXPECT_EQ(fall_back(1600, kTimes, false), Fallback::stale);
    EXPECT_EQ(fall_back(1600, kTimes, true), Fallback::no);
    EXPECT_EQ(fall_back(1999, kTimes, false), Fallback::stale);
    EXPECT_EQ(fall_back(2000, kTimes, false), Fallback::no);
}

}  // namespace
}  // namespace apikey
