// Hazards: R24
#include "sidecar/own_thread.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>

namespace apikey {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(OwnThread, GivesWhatTheCallGives) {
    const std::function<std::string()> call = [] { return std::string("value"); };
    EXPECT_EQ(in_own_thread(call, seconds(10), nullptr), "value");
}

TEST(OwnThread, ThrowsWhatTheCallThrows) {
    const std::function<int()> call = []() -> int { throw std::runtime_error("no"); };
    EXPECT_THROW(static_cast<void>(in_own_thread(call, seconds(10), nullptr)), std::runtime_error);
}

// A call that ends when it is let go, and whose value is counted while it lives.
struct Hanging {
    struct Value {
        std::shared_ptr<std::atomic<int>> alive;
        explicit Value(std::shared_ptr<std::atomic<int>> counter) : alive(std::move(counter)) { ++*alive; }
        Value(Value&& other) noexcept : alive(std::move(other.alive)) {}
        ~Value() {
            if (alive) --*alive;
        }
    };
    std::shared_ptr<EventFd> go = std::make_shared<EventFd>();
    std::shared_ptr<EventFd> made = std::make_shared<EventFd>();
    std::shared_ptr<std::atomic<int>> alive = std::make_shared<std::atomic<int>>(0);

    [[nodiscard]] std::function<Value()> call() const {
        return [go = go, made = made, alive = alive] {
            wait_readable({go->fd()}, seconds(10));
            Value value(alive);
            made->set();
            return value;
        };
    }
    // Its thread gives the value to nobody.
    void expect_destroyed() const {
        go->set();
        ASSERT_TRUE(wait_readable({made->fd()}, seconds(10)));
        for (int i = 0; *alive != 0 && i < 1000; ++i)
            std::this_thread::sleep_for(milliseconds(5));
        EXPECT_EQ(*alive, 0);
    }
};

TEST(OwnThread, IsLeftToItselfWhenTheTimeIsUp) {
    const Hanging hanging;
    const auto began = std::chrono::steady_clock::now();
    EXPECT_FALSE(in_own_thread(hanging.call(), milliseconds(20), nullptr).has_value());
    EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(5));
    hanging.expect_destroyed();
}

TEST(OwnThread, TheProcessEndsBesideIt) {
    const Hanging hanging;
    EXPECT_FALSE(in_own_thread(hanging.call(), milliseconds(20), nullptr).has_value());
    EXPECT_EXIT(exit_beside_own_threads(3), testing::ExitedWithCode(3), "");
    hanging.expect_destroyed();
    for (int i = 0; own_threads != 0 && i < 1000; ++i)
        std::this_thread::sleep_for(milliseconds(5));
    exit_beside_own_threads(3);  // nobody hangs: main() goes on
    EXPECT_EQ(own_threads, 0);
}

TEST(OwnThread, IsLeftToItselfWhenAllIsToStop) {
    const Hanging hanging;
    EventFd stop;
    stop.set();
    EXPECT_FALSE(in_own_thread(hanging.call(), seconds(10), &stop).has_value());
    hanging.expect_destroyed();
}

}  // namespace
}  // namespace apikey
