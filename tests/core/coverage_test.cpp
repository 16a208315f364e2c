#include "core/coverage.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "tests/core/stepped_process.hpp"

namespace apikey {
namespace {

struct Zone {
    Zone() { std::memset(static_cast<void*>(&coverage), 0, sizeof coverage); }
    Coverage coverage;
};

TEST(Coverage, NewMemoryKnowsNothing) {
    Zone zone;
    EXPECT_EQ(zone.coverage.add({1000, 1200}), 1000);
    EXPECT_EQ(zone.coverage.get(), (Interval{1000, 1200}));
}

TEST(Coverage, AWorkerThatComesWhileAnotherWatchesTrustsItsTime) {
    Zone zone;
    zone.coverage.add({1000, 5000});
    EXPECT_EQ(zone.coverage.add({5100, 5200}), 5100) << "nobody has watched from 5000 to 5100, as far as is known";
    EXPECT_EQ(zone.coverage.add({1000, 5250}), 1000) << "the older one did";
    EXPECT_EQ(zone.coverage.get(), (Interval{1000, 5250}));
    EXPECT_EQ(zone.coverage.add({5100, 5450}), 1000);
    EXPECT_EQ(zone.coverage.get(), (Interval{1000, 5450}));
}

TEST(Coverage, AGapEndsTheTrust) {
    Zone zone;
    zone.coverage.add({1000, 5000});
    EXPECT_EQ(zone.coverage.add({5001, 5100}), 5001);
    EXPECT_EQ(zone.coverage.get(), (Interval{5001, 5100}));
    EXPECT_EQ(zone.coverage.add({5001, 5300}), 5001);
}

TEST(Coverage, AClaimThatIsOverDoesNotReplaceAYoungerOne) {
    Zone zone;
    zone.coverage.add({5000, 6000});
    EXPECT_EQ(zone.coverage.add({1000, 4000}), 1000) << "it watches still";
    EXPECT_EQ(zone.coverage.get(), (Interval{5000, 6000}));
    EXPECT_EQ(zone.coverage.add({1000, 6100}), 1000);
    EXPECT_EQ(zone.coverage.get(), (Interval{1000, 6100}));
}

// Its first PING may have been sent in the millisecond of the acknowledgement.
TEST(Coverage, AnEmptyClaimAddsNothingAndTrustsAllTheSame) {
    Zone zone;
    zone.coverage.add({1000, 5000});
    EXPECT_EQ(zone.coverage.add({4500, 4499}), 1000);
    EXPECT_EQ(zone.coverage.add({5500, 5499}), 5500);
    EXPECT_EQ(zone.coverage.get(), (Interval{1000, 5000}));
}

// An old master that is cut off has workers, and so has the one in its place.
TEST(Coverage, AnotherRedisBeginsAnew) {
    Zone zone;
    EXPECT_EQ(zone.coverage.redis(), 0U);
    EXPECT_EQ(zone.coverage.connected(7, 900), 900);
    zone.coverage.add({1000, 5000});
    EXPECT_EQ(zone.coverage.connected(7, 4000), 900) << "the same one: nothing changes";
    EXPECT_EQ(zone.coverage.get(), (Interval{1000, 5000}));
    EXPECT_EQ(zone.coverage.connected(8, 4500), 4500);
    EXPECT_EQ(zone.coverage.redis(), 8U);
    EXPECT_EQ(zone.coverage.add({4400, 4600}), 4500) << "subscribed before the zone was its Redis': others wrote to it";
    EXPECT_EQ(zone.coverage.get(), (Interval{4500, 4600}));
    EXPECT_EQ(zone.coverage.add({4400, 4450}), 4500) << "an empty claim";
}

// A worker that is killed at any store leaves an interval that claims no more than it knew.
// Hazards: N23
TEST(Coverage, AKilledWriterClaimsNothingThatIsNot) {
    struct Case {
        Interval zone, claim;
        bool meet;
    };
    for (const Case& each : {Case{{1000, 2000}, {1500, 2500}, true}, Case{{1000, 2000}, {500, 2500}, true},
                             Case{{1000, 2000}, {500, 1500}, true}, Case{{1000, 2000}, {2100, 2500}, false}}) {
        void* memory = mmap(nullptr, sizeof(Coverage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ASSERT_NE(memory, MAP_FAILED);
        auto& coverage = *static_cast<Coverage*>(memory);
        coverage.store(each.zone);
        const auto is_within = [](const Interval& inner, const Interval& outer) {
            return inner.since >= outer.since && inner.until <= outer.until;
        };
        const Interval wanted = joined(each.zone, each.claim);
        test::SteppedProcess writer([&] { coverage.add(each.claim); });
        if (!writer.is_traced()) GTEST_SKIP() << "this machine lets nobody trace its own child";
        while (writer.step()) {
            const Interval left = coverage.get();
            const bool is_true = left.until < left.since || is_within(left, each.zone) || is_within(left, each.claim) ||
                                 (each.meet && is_within(left, wanted));
            ASSERT_TRUE(is_true) << left.since << " to " << left.until;
        }
        EXPECT_EQ(coverage.get(), wanted);
        munmap(memory, sizeof(Coverage));
    }
}

}  // namespace
}  // namespace apikey
