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

std::int64_t Coverage::add(const Interval& claim) noexcept {
    const Interval zone = get();
    store(joined(zone, claim));
    const bool was_watched = zone.since <= zone.until && claim.since <= zone.until;
    return was_watched ? std::min(zone.since, claim.since) : claim.since;
}

// A union begins no later and ends no earlier than before: half of it is a part of it. An interval that takes the place of
// another begins after the other's end: half of it is empty.
void Coverage::store(const Interval& next) noexcept {
    since_.store(next.since, std::memory_order_release);
    until_.store(next.until, std::memory_order_release);
}

}  // namespace apikey
