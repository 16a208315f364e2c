#include "core/usage/stream_look.hpp"

#include <gtest/gtest.h>

namespace apikey::usage {
namespace {

constexpr std::int64_t kT = 1'795'831'507'000;
constexpr std::int64_t kInterval = 5000;

// Looks every kInterval; each time `entries` are there, and `added` more were added since.
struct Looks {
    UsageStream stream{};
    std::uint64_t added = 0;
    std::int64_t now = kT;

    std::int64_t waits_for(std::uint64_t entries, std::uint64_t more, std::optional<std::int64_t> pending = {}) {
        added += more;
        now += kInterval;
        stream = after_look(stream,
                            {.entries = entries, .oldest_pending = pending, .added = added, .workers = 2, .now = now});
        return stream.waits_since == 0 ? -1 : now - stream.waits_since;
    }
};

TEST(StreamLook, AnEmptyStreamWaitsForNothing) {
    Looks looks;
    EXPECT_EQ(looks.waits_for(0, 0), -1);
    EXPECT_EQ(looks.waits_for(0, 10), -1);
}

TEST(StreamLook, WhatWasHandedOutSaysItself) {
    Looks looks;
    EXPECT_EQ(looks.waits_for(7, 7, kT - 1000), kInterval + 1000);
}

TEST(StreamLook, WhatNobodyTakesWaitsLonger) {
    Looks looks;
    for (int n = 0; n < 20; ++n)
        EXPECT_EQ(looks.waits_for(10 + 10 * n, n == 0 ? 10 : 10), n * kInterval) << n;
}

TEST(StreamLook, AlsoWhereAnswersAreCountedLate) {
    Looks looks;
    looks.waits_for(12, 10);
    for (int n = 1; n < 20; ++n)
        EXPECT_EQ(looks.waits_for(12 + 10 * n, n % 2 == 0 ? 8 : 12), n * kInterval) << n;
}

TEST(StreamLook, AlsoWhereNothingIsAddedAnyMore) {
    Looks looks;
    looks.waits_for(3, 3);
    EXPECT_EQ(looks.waits_for(3, 0), kInterval);
    EXPECT_EQ(looks.waits_for(3, 0), 2 * kInterval);
    EXPECT_EQ(looks.waits_for(2, 0), 0) << "one was applied";
}

TEST(StreamLook, AsManyOfOthersDoNotWait) {
    Looks looks;
    looks.waits_for(16, 16);
    for (int n = 0; n < 20; ++n)
        EXPECT_EQ(looks.waits_for(16, 50), 0) << n;
    EXPECT_EQ(looks.waits_for(17, 50), 0);
}

}  // namespace
}  // namespace apikey::usage
