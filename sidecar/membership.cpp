#include "sidecar/membership.hpp"

#include <charconv>
#include <limits>
#include <optional>
#include <string_view>

#include "sidecar/redis_client.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

std::optional<double> number(std::string_view text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

std::int64_t redis_millis(const redis::ReplyView& time) {
    must_succeed(time);
    const auto micros = redis::micros_of_time(time);
    if (!micros) throw RedisError("Redis answers TIME in another form");
    return *micros / 1000;  // rounded down: no lease is taken to end too early
}

Membership membership_of(std::int64_t redis_now, const redis::ReplyView& members) {
    Membership read;
    read.redis_now = redis_now;
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
            read.members.back().lease_ends = number(element.text()).value_or(kEndless);
        } else {
            read.members.push_back({std::string(element.text()), 0});
        }
        is_score = !is_score;
    });
    return read;
}

}  // namespace apikey
