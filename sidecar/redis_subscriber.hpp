// One subscription: a connection to Redis of its own, from which messages are taken as they come. What is published
// while it is away is missed; whoever needs to know sees it by the exception.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "sidecar/redis_client.hpp"

namespace apikey {

class RedisSubscriber {
  public:
    static constexpr std::chrono::seconds kPingEvery{2};  // one that has no answer by the next is the last

    // Connects and subscribes: what is published from now on arrives. Throws RedisError.
    RedisSubscriber(const RedisTarget& target, const std::string& channel);

    // Readable when something may have come.
    [[nodiscard]] int descriptor() { return client_.descriptor(); }
    // Hands over the messages that have come, without waiting; asks for a sign of life when it is time. Throws
    // RedisError when the connection is gone or silent.
    void take(const std::function<void(std::string_view message)>& on_message);
    // When to call take() although nothing has come.
    [[nodiscard]] std::chrono::steady_clock::time_point next_event() const noexcept { return next_ping_; }

  private:
    using Clock = std::chrono::steady_clock;

    RedisClient client_;
    Clock::time_point next_ping_;
    bool awaiting_pong_ = false;
};

}  // namespace apikey
