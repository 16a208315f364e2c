// Asks Redis how it is, over one connection, with commands that change nothing.
#pragma once

#include <string>

#include "sidecar/doctor/findings.hpp"
#include "sidecar/settings.hpp"

namespace apikey::doctor {

// Everything about Redis: redis.*, usage.*, clock.redis. `place` is where the file names Redis, FILE:LINE. Never throws
// because of Redis, and takes no longer than two of its timeouts when it is away.
void check_redis(const Settings& settings, const std::string& place, Findings& findings);

}  // namespace apikey::doctor
