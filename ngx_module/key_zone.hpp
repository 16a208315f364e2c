// api_key_zone: the shared memory of all workers, and what lives in it: the key cache, what is known of its coverage, the
// counters, and the slots in which usage is counted (usage_slots.hpp).
//
//   zone := slab pool of nginx [ ZoneHeader (with the coverage), key cache, counter blocks …, usage slots … ]
//
// A reload that leaves name, size and Redis alone hands the memory on, keys and counters included; another size, Redis,
// database or prefix (or another copy of the module) gets new memory, and the old workers end with the old one. The slab pool's mutex is the only lock:
// nginx's master releases it when a worker dies.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "core/counters.hpp"
#include "core/coverage.hpp"
#include "core/key_cache.hpp"
#include "core/metrics.hpp"
#include "ngx_module/conf.hpp"

namespace apikey::ngx {

// Reads `api_key_zone name:size`. Takes the directive's words from `cf`; throws std::bad_alloc.
char* declare_key_zone(ngx_conf_t* cf, MainConf& conf);

// Once all of the http block is read: what is in the zone was said by this Redis, and is handed on to nobody who asks
// another. Throws std::bad_alloc.
void tie_to_redis(MainConf& conf);

struct ZoneHeader;
struct CounterBlock;

// One worker's look at the zone. Make it in the worker: it takes a block of counters for this process.
class KeyZone {
  public:
    // Holds the zone's mutex while it lives, if it got it.
    class Lock {
      public:
        explicit Lock(ngx_shmtx_t* held) noexcept : held_(held) {}
        ~Lock() {
            if (held_ != nullptr) ngx_shmtx_unlock(held_);
        }
        Lock(Lock&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
        Lock& operator=(Lock&&) = delete;
        explicit operator bool() const noexcept { return held_ != nullptr; }

      private:
        ngx_shmtx_t* held_;
    };

    // `zone` outlives it: the cycle's.
    explicit KeyZone(ngx_shm_zone_t& zone) noexcept;
    ~KeyZone();
    KeyZone(const KeyZone&) = delete;
    KeyZone& operator=(const KeyZone&) = delete;

    [[nodiscard]] KeyCache& cache() noexcept { return cache_; }
    // Only under the lock, but for redis().
    [[nodiscard]] Coverage& coverage() noexcept { return coverage_; }
    [[nodiscard]] const Coverage& coverage() const noexcept { return coverage_; }
    // Of this worker; never null.
    [[nodiscard]] Counters& counters() noexcept { return *counters_; }
    // As sum_counters().
    [[nodiscard]] Counters counters_of_all() const noexcept;

    // The usage stream, as any worker has last seen it.
    [[nodiscard]] UsageStream usage_stream() const noexcept;
    void set_usage_stream(const UsageStream& stream) noexcept;

    // Tries once: for what may as well be left undone.
    [[nodiscard]] Lock try_lock() noexcept;
    // Spins for some microseconds: for what has another, dearer way when the mutex cannot be had.
    [[nodiscard]] Lock lock_briefly() noexcept;
    // What the cache says of these keys is not used any more, nor is any answer about them that is under way; where the
    // mutex cannot be had, of all keys.
    void forget(std::span<const Digest> keys) noexcept;
    void forget_all() noexcept;  // without the mutex

  private:
    void take_counters() noexcept;

    ngx_slab_pool_t& pool_;
    ZoneHeader& header_;
    Coverage& coverage_;
    KeyCache cache_;
    CounterBlock* block_ = nullptr;  // null: no memory for one; then own_counters_, which nobody else sees
    Counters own_counters_{};
    Counters* counters_ = &own_counters_;
};

// How full it is.
ZoneFill fill_of(const ngx_shm_zone_t& zone) noexcept;

// The sum of all workers' counters, gauges of those alive. For any process that has the zone.
Counters sum_counters(const ngx_shm_zone_t& zone) noexcept;

}  // namespace apikey::ngx
