// A usage slot against its model, by chance.
//
// Hazards: U1, U5, U6
#include "tests/core/usage_slot_model.hpp"

#include <random>

namespace apikey::test {
namespace {

using usage::UsageSlot;

struct World : SlotWorld {
    const char* name;
};
void PrintTo(const World& world, std::ostream* out) {
    *out << world.name;
}

class UsageSlotModels : public testing::TestWithParam<World> {};

TEST_P(UsageSlotModels, CountsEverythingOnce) {
    for (std::uint32_t seed = 1; seed <= 2; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        UsageSlotModel model(
            GetParam(), [random = std::mt19937_64(seed)](std::uint64_t limit) mutable { return random() % limit; });
        for (int step = 0; step < 12'000 && !HasFatalFailure(); ++step)
            model.step();
        ASSERT_FALSE(HasFatalFailure());
        model.end();
        // All of it has happened.
        EXPECT_GT(model.added, 5'000u);
        EXPECT_GT(model.batches, 50u);
        if (GetParam().bytes > UsageSlot::kFewestBytes) continue;
        EXPECT_GT(model.others, 100u);
        EXPECT_GT(model.full, 20u);
        EXPECT_GT(model.ring_full, 20u);
        EXPECT_GT(model.multiple, 20u);
    }
}

constexpr std::size_t kSmallest = UsageSlot::kFewestBytes;
INSTANTIATE_TEST_SUITE_P(, UsageSlotModels,
                         testing::Values(World{{kSmallest, 300, 40, 4, 0}, "ManyEndpoints"},
                                         World{{kSmallest, 20, 3, 60, 0xffff'ffff - 50}, "ManyModels"},
                                         World{{200'000, 300, 10, 10, 1}, "MoreRoom"},
                                         World{{1 << 20, 5'000, 40, 4, 1}, "MuchRoom"}),
                         [](const auto& world) { return std::string(world.param.name); });

}  // namespace
}  // namespace apikey::test
