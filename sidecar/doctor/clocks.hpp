// Clocks that differ: nginx judges a key's expiry by its own, leases are in Redis' time, and Postgres says when a key ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "sidecar/doctor/findings.hpp"

namespace apikey::doctor {

using Millis = std::chrono::milliseconds;

// More than that between two clocks is a warning, or an error.
inline constexpr Millis kSkewWarning{1000};
inline constexpr Millis kSkewError{5000};

// Another clock beside this machine's.
struct Skew {
    Millis ahead{0};        // negative: it is behind
    Millis uncertainty{0};  // half the time that the question took
};

// Asks it once: `ask` gives its unix milliseconds. What `ask` throws goes through.
Skew measure_skew(const std::function<std::int64_t()>& ask);

// The same from given moments: this machine's unix time before the question, how long it took, and the answer.
Skew skew_of(Millis before, Millis took, std::int64_t answer);

// `whose` as in "Postgres' clock". What is within the uncertainty is not held against it.
void judge_skew(const std::string& check, const std::string& whose, const Skew& skew, Findings& findings);

}  // namespace apikey::doctor
