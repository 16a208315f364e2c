// Time as the sessions with Redis are given it: milliseconds of any clock that does not go back.
#pragma once

#include <cstdint>

namespace apikey::redis {

using Millis = std::int64_t;

}  // namespace apikey::redis
