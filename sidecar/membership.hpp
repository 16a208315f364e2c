// Who must confirm changes: apikey:workers as it was at one moment (DESIGN §3.5). Each nginx worker that uses cached
// verdicts is a member, scored by when its lease ends at the latest, in milliseconds of Redis' clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/redis/reply.hpp"

namespace apikey {

struct Member {
    std::string worker;
    double lease_ends = 0;  // Redis' ms; anybody may have written it
};

struct Membership {
    using Clock = std::chrono::steady_clock;

    Clock::time_point asked;     // before the question was sent
    Clock::time_point received;  // when the answer had come
    std::int64_t redis_now = 0;  // Redis' ms when it was read
    std::vector<Member> members;
    bool was_broken = false;  // something else stood in its place, and who was a member is lost
};

// Redis' clock in unix milliseconds, from the reply to TIME. Throws RedisError.
std::int64_t redis_millis(const redis::ReplyView& time);

// From the replies to TIME and to ZRANGE … WITHSCORES; the caller fills in `asked` and `received`. Throws RedisError.
Membership membership_of(std::int64_t redis_now, const redis::ReplyView& members);
inline Membership membership_of(const redis::ReplyView& time, const redis::ReplyView& members) {
    return membership_of(redis_millis(time), members);
}

}  // namespace apikey
