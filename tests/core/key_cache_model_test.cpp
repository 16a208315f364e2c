// The key cache against its model, by chance.
//
// Hazards: C1
#include "tests/core/key_cache_model.hpp"

#include <random>

namespace apikey::test {
namespace {

TEST(KeyCacheModel, ForgetsButDoesNotLie) {
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        KeyCacheModel model([random = std::mt19937(seed)](std::uint64_t limit) mutable { return random() % limit; },
                            300, 64 * 1024);
        for (int i = 0; i < 20'000 && !testing::Test::HasFatalFailure(); ++i) {
            model.step();
            if (i % 500 == 0) model.check_all();
        }
        ASSERT_FALSE(testing::Test::HasFatalFailure());
        // The test would be content with a cache that keeps nothing.
        EXPECT_GT(model.hits, model.looked_up / 4);
        EXPECT_GT(model.unknown_hits, model.hits / 100);
        EXPECT_GT(model.stored, 2'000u);
        EXPECT_GT(model.refused - model.refused_in_vain, 20u);
        EXPECT_LT(model.refused_in_vain, model.stored / 4);
    }
}

}  // namespace
}  // namespace apikey::test
