// How long changes have been listened to on behalf of the key cache in shared memory (DESIGN §4.6).
//
// A worker whose subscription has been up since `s`, and whose last answered PING was sent at `p`, has applied every change
// of [s, p] to the zone: that is its claim. The zone keeps one such interval. Claims that meet are one: together they leave
// no moment out. So a new worker, whose subscription is young, may trust what an older one has watched over, and a reload
// keeps the cache warm; after a gap in which nobody watched, nothing of before it is trusted.
//
// All of it is about one Redis, the zone's. Where workers are connected to different ones (an old master that is cut off,
// and the one in its place), the zone is that of who connected last: the others neither trust it nor add to it.
//
// Times are monotonic milliseconds that all workers share. `since` is never too early, `until` never too late.
#pragma once

#include <atomic>
#include <cstdint>

namespace apikey {

struct Interval {
    std::int64_t since = 0;
    std::int64_t until = 0;  // before since: empty

    bool operator==(const Interval&) const = default;
};

// What both say of one zone: their union where they meet, else the later one, since what is worth trusting is young.
Interval joined(const Interval& zone, const Interval& claim) noexcept;

// The zone's. Plain data for shared memory; where all bytes are zero it knows nothing. The caller holds the zone's lock.
class Coverage {
  public:
    [[nodiscard]] Interval get() const noexcept;
    // Adds the claim of a worker that goes on watching the zone's Redis, and gives the time since when it may trust the
    // zone: claim.since, or earlier where others had watched until it came. The next claim of that worker begins there.
    std::int64_t add(const Interval& claim) noexcept;

    // A worker has connected to `redis` (any number but 0 that stands for one run of it). Where that is not the zone's, it
    // is from `now` on (not before any time that an entry of the cache bears), and nothing has been watched. Gives since
    // when it is the zone's: no claim begins before.
    std::int64_t connected(std::uint64_t redis, std::int64_t now) noexcept;
    // 0: none yet. Without the lock, too.
    [[nodiscard]] std::uint64_t redis() const noexcept { return redis_.load(std::memory_order_acquire); }

    // Keeps `next`, which is joined() of what it is now. A worker that dies between the two stores leaves an interval
    // that says less, or an empty one (hazard N23).
    void store(const Interval& next) noexcept;

  private:
    std::atomic<std::int64_t> since_;
    std::atomic<std::int64_t> until_;
    std::atomic<std::int64_t> redis_since_;
    std::atomic<std::uint64_t> redis_;
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

}  // namespace apikey
