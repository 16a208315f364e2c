#include "sidecar/redis_subscriber.hpp"

#include "sidecar/weather.hpp"

namespace apikey {

RedisSubscriber::RedisSubscriber(const RedisTarget& target, const std::string& channel)
    : client_(target), next_ping_(Clock::now() + kPingEvery) {
    client_.send({"SUBSCRIBE", channel});
    client_.exchange([](std::size_t, const redis::ReplyView& reply) { must_succeed(reply); });
}

void RedisSubscriber::take(const std::function<void(std::string_view)>& on_message) {
    client_.take([&](std::size_t, const redis::ReplyView& reply) {
        must_succeed(reply);
        if (reply.size() == 2 && reply[0].text() == "pong") awaiting_pong_ = false;
        if (reply.size() == 3 && reply[0].text() == "message") on_message(reply[2].text());
    });
    const auto now = Clock::now();
    if (now < next_ping_) return;
    if (awaiting_pong_) throw RedisError("the subscription is silent");
    client_.send({"PING"});
    client_.push();
    awaiting_pong_ = true;
    next_ping_ = now + kPingEvery;
}

}  // namespace apikey
