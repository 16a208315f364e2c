// How long to wait before the next attempt: doubling from 50 to 500 ms, the later half of it by
// chance, so that many workers do not come back in the same millisecond.
#pragma once

#include <cstdint>
#include <random>

namespace apikey::redis {

class Backoff {
  public:
    static constexpr std::int64_t kFirstMs = 50;
    static constexpr std::int64_t kMostMs = 500;

    // Any seed will do, also one of many that are close together (process ids).
    explicit Backoff(std::uint64_t seed);

    // Milliseconds to wait after another failure: between half of the step and the step.
    std::int64_t next_ms();
    // After a success: start from the first step again.
    void reset() noexcept { step_ms_ = kFirstMs; }

  private:
    std::int64_t step_ms_ = kFirstMs;
    std::minstd_rand random_;
};

}  // namespace apikey::redis
