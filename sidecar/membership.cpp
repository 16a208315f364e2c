#include "sidecar/membership.hpp"

#include <charconv>
#include <limits>
#include <optional>
#include <string_view>

#include "sidecar/redis_client.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

template <class Number>
std::optional<Number> number(std::string_view text) {
    Number value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::int64_t millis_of(const redis::ReplyView& time) {
    must_succeed(time);
    if (time.size() == 2) {
        const auto seconds = number<std::int64_t>(time[0].text());
        const auto micros = number<std::int64_t>(time[1].text());
        if (seconds && micros) return *seconds * 1000 + *micros / 1000;
    }
    throw RedisError("Redis answers TIME in another form");
}

}  // namespace

Membership membership_of(const redis::ReplyView& time, const redis::ReplyView& members) {
    Membership read;
    read.redis_now = millis_of(time);
    must_succeed(members);
    if (!members.is(redis::ReplyType::array) || members.size() % 2 != 0) {
        throw RedisError("Redis answers ZRANGE in another form");
    }
    read.members.reserve(members.size() / 2);
    bool is_score = false;
    members.for_each([&](const redis::ReplyView& element) {
        if (is_score) {
            // What is no number is taken for a lease that goes on.
            constexpr double kEndless = std::numeric_limits<double>::max();
            read.members.back().lease_ends = number<double>(element.text()).value_or(kEndless);
        } else {
            read.members.push_back({std::string(element.text()), 0});
        }
        is_score = !is_score;
    });
    return read;
}

}  // namespace apikey
