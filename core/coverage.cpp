#include "core/coverage.hpp"

#include <algorithm>

namespace apikey {

Interval joined(const Interval& zone, const Interval& claim) noexcept {
    if (claim.until < claim.since) return zone;
    if (zone.until < zone.since) return claim;
    if (claim.since <= zone.until && zone.since <= claim.until) {
        return {std::min(zone.since, claim.since), std::max(zone.until, claim.until)};
    }
    return claim.until > zone.until ? claim : zone;
}

Interval Coverage::get() const noexcept {
    return {since_.load(std::memory_order_relaxed), until_.load(std::memory_order_relaxed)};
}

std::int64_t Coverage::add(const Interval& whole_claim) noexcept {
    const std::int64_t first = redis_since_.load(std::memory_order_relaxed);
    const Interval claim{std::max(whole_claim.since, first), whole_claim.until};
    const Interval zone = get();
    store(joined(zone, claim));
    const bool was_watched = zone.since <= zone.until && claim.since <= zone.until;
    return was_watched ? std::min(zone.since, claim.since) : claim.since;
}

// The number comes last: a worker that dies before it leaves a zone of the old Redis that nobody has watched.
std::int64_t Coverage::connected(std::uint64_t redis, std::int64_t now) noexcept {
    if (this->redis() != redis) {
        store({now, now - 1});
        redis_since_.store(now, std::memory_order_release);
        redis_.store(redis, std::memory_order_release);
    }
    return redis_since_.load(std::memory_order_relaxed);
}

// A union begins no later and ends no earlier than before: half of it is a part of it. An interval that takes the place of
// another begins after the other's end: half of it is empty.
void Coverage::store(const Interval& next) noexcept {
    since_.store(next.since, std::memory_order_release);
    until_.store(next.until, std::memory_order_release);
}

}  // namespace apikey
