#include "sidecar/user_slots.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace apikey {
namespace {

TEST(UserSlots, SoManyForOneUserAndInAll) {
    UserSlots slots(2, 3);
    auto first = slots.take("alice");
    auto second = slots.take("alice");
    EXPECT_TRUE(first && second);
    EXPECT_FALSE(slots.take("alice")) << "the third of one user";
    auto third = slots.take("bob");
    EXPECT_TRUE(third);
    EXPECT_FALSE(slots.take("carol")) << "the fourth in all";
    first.reset();
    EXPECT_TRUE(slots.take("carol")) << "one was given back";
    EXPECT_TRUE(slots.take("alice")) << "and carol's, too";
}

TEST(UserSlots, AMovedSlotIsGivenBackOnce) {
    UserSlots slots(1, 1);
    {
        auto slot = slots.take("alice");
        const UserSlots::Slot moved = std::move(*slot);
        slot.reset();
        EXPECT_FALSE(slots.take("alice"));
    }
    EXPECT_TRUE(slots.take("alice"));
}

TEST(UserSlots, NeverMoreThanAllowedBetweenThreads) {
    constexpr int kInAll = 3;
    UserSlots slots(2, kInAll);
    std::atomic<int> now = 0;
    std::atomic<int> most = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&, user = std::string(1, static_cast<char>('a' + i % 4))] {
            for (int n = 0; n < 2'000; ++n) {
                const auto slot = slots.take(user);
                if (!slot) continue;
                const int running = ++now;
                for (int seen = most; running > seen && !most.compare_exchange_weak(seen, running);) {
                }
                --now;
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_LE(most, kInAll);
    auto first = slots.take("a");
    auto second = slots.take("a");
    auto third = slots.take("b");
    EXPECT_TRUE(first && second && third) << "all were given back";
}

}  // namespace
}  // namespace apikey
