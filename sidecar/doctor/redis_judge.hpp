// What Redis says of itself, judged: texts in, findings out. redis_checks.hpp asks.
#pragma once

#include <string>
#include <string_view>

#include "sidecar/doctor/findings.hpp"
#include "sidecar/membership.hpp"

namespace apikey::doctor {

// Below this share of maxmemory there is room.
inline constexpr int kMemoryWarningPercent = 90;

// `info` is the whole text that INFO gives.

// redis.version, redis.role, redis.cluster.
void judge_server(std::string_view info, Findings& findings);
// redis.eviction: keys, and the stream of usage, must never be evicted. redis.memory.
void judge_memory(std::string_view info, Findings& findings);
// redis.persistence: what a restart loses; redis.saving: whether the last attempts succeeded.
void judge_persistence(std::string_view info, Findings& findings);

// What apikey:epoch and apikey:leader hold; empty where there is none.
struct Filling {
    std::string run_id;  // of INFO; empty where the Redis user may not ask
    std::string epoch;
    std::string leader;
};
// redis.epoch: whether nginx may believe what is in Redis (core/redis/trust.hpp).
void judge_epoch(const Filling& filling, Findings& findings);
// redis.leader: whether an apikeyd writes changes. `key` is the lease's name.
void judge_leader(const Filling& filling, const std::string& key, Findings& findings);

// redis.workers: who hears of changes, with what is left of each lease. `key` is the members' name.
void judge_workers(const Membership& membership, const std::string& key, Findings& findings);

// What an error reply to `command` means for `check`. Where the ACL denies it, the advice is the rule that `user` lacks;
// `prefix` is that of all keys.
struct Refused {
    std::string check;
    std::string command;
    std::string user;
    std::string prefix;
};
void judge_refusal(const Refused& refused, std::string_view error_text, Findings& findings);

// What to do where a connection fails with this message of RedisClient's. `place` is the setting's, FILE:LINE.
std::string advice_for_connection(const std::string& message, const std::string& place);

}  // namespace apikey::doctor
