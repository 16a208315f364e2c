// Looks at the streams of usage: for doctor, and for `apikeyctl usage --pipeline`.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/redis/names.hpp"
#include "sidecar/doctor/redis_questions.hpp"
#include "sidecar/doctor/usage_stream.hpp"

namespace apikey::doctor {

// What Redis holds of usage.
struct UsageInRedis {
    std::optional<Stream> stream;  // nothing: there is none, or it could not be read
    std::vector<Consumer> consumers;
    std::optional<Stream> dead;
};

// usage.stream, usage.group, usage.dead. `now` is Redis' unix ms. Throws RedisError.
UsageInRedis check_usage(RedisQuestions& redis, const redis::Names& names, std::int64_t now, Findings& findings);

}  // namespace apikey::doctor
