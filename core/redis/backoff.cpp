#include "core/redis/backoff.hpp"

#include <algorithm>

namespace apikey::redis {
namespace {

// splitmix64's finalizer (Steele, Lea, Flood 2014): a linear generator's first number follows its
// seed so closely that neighbouring seeds would wait the same time.
std::uint64_t mixed(std::uint64_t seed) {
    seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9U;
    seed = (seed ^ (seed >> 27)) * 0x94d049bb133111ebU;
    return seed ^ (seed >> 31);
}

}  // namespace

Backoff::Backoff(std::uint64_t seed) : random_(mixed(seed)) {}

std::int64_t Backoff::next_ms() {
    const std::int64_t step = step_ms_;
    step_ms_ = std::min(step * 2, kMostMs);
    return std::uniform_int_distribution<std::int64_t>(step / 2, step)(random_);
}

}  // namespace apikey::redis
