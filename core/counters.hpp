// What the workers count, for api_key_metrics: plain data in shared memory. Each worker adds to a block of its own, so
// that counting needs no lock; a reader adds the blocks up. Counters only grow, also when a block passes to another
// worker; gauges are of now.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "core/verdict.hpp"

namespace apikey {

// Durations, as Prometheus counts them: how many took at most so long.
struct DurationHistogram {
    static constexpr std::array<std::uint32_t, 12> kBoundsMicroseconds = {100,   250,   500,   1000,   2500,   5000,
                                                                          10000, 25000, 50000, 100000, 250000, 1000000};

    void add(std::int64_t microseconds) noexcept {
        const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(microseconds, 0));
        const auto* bound = std::lower_bound(kBoundsMicroseconds.begin(), kBoundsMicroseconds.end(), value);
        ++buckets[static_cast<std::size_t>(bound - kBoundsMicroseconds.begin())];
        sum_microseconds += value;
    }

    std::array<std::uint64_t, kBoundsMicroseconds.size() + 1> buckets;  // each its own range, the last without an end
    std::uint64_t sum_microseconds;
};

// What became of a response that was to be looked at.
enum class ResponseSeen : std::uint8_t { found, absent, malformed, encoded, other_type };
inline constexpr std::size_t kResponseUsages = 5;

// The usage stream in Redis, as a worker has last seen it. Words that several processes touch: through std::atomic_ref.
struct UsageStream {
    std::uint64_t entries;     // not yet applied by apikeyd
    std::uint64_t dead;        // refused by Postgres for their content
    std::int64_t waits_since;  // unix ms: at least since then an entry has been waiting; 0: none does
    std::uint64_t added;       // by this nginx, ever, when it was seen
    std::int64_t seen;         // unix ms; 0: never
    std::int64_t asked;        // unix ms: the last question about it
};

struct Counters {
    // Main requests that a protected location judged, by their last verdict.
    std::array<std::uint64_t, kVerdicts> requests;

    // Of these, where the verdict came from ($api_key_cache).
    std::array<std::uint64_t, kCacheUses> cache_requests;
    std::uint64_t cache_too_long;  // keys whose facts do not fit an entry: looked up every time

    // Questions to Redis.
    std::uint64_t lookups_found;
    std::uint64_t lookups_unknown;
    std::uint64_t lookups_unavailable;
    std::uint64_t lookups_joined;  // requests that shared another one's question
    DurationHistogram lookup_time;
    std::uint64_t pairing_mismatches;
    std::uint64_t corrupt_keys;
    std::uint64_t untrusted_batches;
    std::uint64_t link_failures;

    // Changes of keys.
    std::uint64_t subscription_failures;
    std::uint64_t changes;            // messages that named one key
    std::uint64_t changes_of_all;     // that named all
    std::uint64_t changes_malformed;  // that were no message of ours
    // All that was cached was given up: for a message that named all, for too many at once, for want of the lock.
    std::uint64_t cache_flushes;
    std::uint64_t confirmations;
    std::uint64_t confirmations_refused;  // by Redis
    DurationHistogram confirmation_time;  // from reading the message to Redis' taking the confirmation

    // Usage.
    std::uint64_t usage_requests;      // recorded
    std::uint64_t usage_lost;          // not recorded: no room in the zone, or texts too long for a batch
    std::uint64_t usage_other_labels;  // recorded under another label, because there were too many
    std::uint64_t usage_bad_values;    // of api_key_usage_tokens and api_key_usage_cost: no numbers
    std::uint64_t usage_saturated;     // sums that stay at 2^63 - 1
    std::uint64_t usage_batches_sealed;
    std::uint64_t usage_batches_taken;  // by Redis
    std::uint64_t usage_batches_refused;
    std::uint64_t usage_batches_repeated;  // sent again, because Redis may have lost them
    std::uint64_t usage_batches_spooled;
    std::uint64_t usage_batches_replayed;  // out of the spool
    std::uint64_t usage_batches_hurried;   // freed before Redis had had time to make them safe, for want of room
    std::uint64_t usage_spool_failures;
    std::uint64_t usage_slots_adopted;                     // from workers that died
    std::array<std::uint64_t, kResponseUsages> responses;  // that api_key_usage_response looked at, by what it found

    struct Gauges {
        std::uint64_t parked;  // requests that wait for Redis
        std::uint64_t link_up;
        std::uint64_t subscription_up;
        std::uint64_t workers;        // 1: this one
        std::uint64_t usage_slots;    // that this worker owns
        std::uint64_t usage_batches;  // sealed and not yet in safe hands
        std::uint64_t spool_files;    // that this worker is sending
        std::uint64_t private_slots;  // of these slots, outside the zone: they die with the worker
        std::uint64_t watching;       // the lease holds: cached verdicts are used without asking
    } gauges;
};

// Summed word by word: nothing but std::uint64_t is in there.
static_assert(sizeof(Counters) % sizeof(std::uint64_t) == 0);

}  // namespace apikey
