// Questions to Redis, and who waits for them. However many requests bring a key at once, it is asked for once (single
// flight); the answer goes to all of them and into the key cache.
//
// A request joins a question that is under way only where it could as well have asked itself: the question is not on its
// way yet, or a live subscription has watched since it was asked and has not heard of a change of its key. So nobody
// gets an answer from before a change that was confirmed before the request began.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "core/digest.hpp"
#include "core/key_cache.hpp"
#include "ngx_module/redis_link.hpp"
#include "ngx_module/request_ctx.hpp"

namespace apikey::ngx {

class KeyZone;

// One question. Lives in Lookups, from the first asker to the answer or the last one's leaving.
struct Flight {
    Digest digest{};
    KeyCache::Ticket asked_under{};
    redis::Millis asked_at = 0;    // as nginx counts
    std::int64_t asked_at_us = 0;  // as the clock says, for the histogram
    redis::LookupSession::Lookup* lookup = nullptr;
    RequestCtx* first = nullptr;  // who waits, in the order of their coming
    RequestCtx* last = nullptr;
    bool keep_known = false;  // an asker's location caches such answers
    bool keep_unknown = false;
};

class Lookups {
  public:
    static constexpr std::size_t kMostWaiting = 8192;  // requests at once

    // Both outlive it.
    Lookups(RedisLink& link, KeyZone& zone);

    // Puts the request among those who wait for what Redis says about ctx.digest; resume() of park.hpp brings it, never
    // before this returns. False: Redis cannot be asked now. Throws std::bad_alloc, and then nothing has changed.
    bool ask(RequestCtx& ctx, const CacheTimes& times);
    // The request is gone. A question that nobody waits for any more is not waited for by a stopping worker.
    void abandon(RequestCtx& ctx) noexcept;
    // The link has the answer. The flight is gone afterwards.
    void answered(Flight& flight, const redis::LookupSession::Lookup& lookup);

  private:
    struct KeyedHash {
        std::array<std::uint64_t, 2> secret;
        std::size_t operator()(const Digest& digest) const noexcept;
    };
    // More than one of a key, where the older ones must not be joined any more.
    using Flights = std::unordered_multimap<Digest, Flight, KeyedHash>;

    Flight* joinable(const Digest& digest);
    Flight* start(const Digest& digest);
    Flights::iterator find(const Flight& flight);
    void append(Flight& flight, RequestCtx& ctx) noexcept;
    void remove(RequestCtx& ctx) noexcept;
    void keep(const Flight& flight, const redis::LookupSession::Lookup& lookup) noexcept;
    [[nodiscard]] bool store(const Flight& flight, const redis::LookupSession::Lookup& lookup) noexcept;
    [[nodiscard]] bool contradicts_cache(const Digest& digest, const redis::LookupSession::Lookup& lookup) noexcept;
    void count(const Flight& flight, const redis::LookupSession::Lookup& lookup) noexcept;

    RedisLink& link_;
    KeyZone& zone_;
    Flights flights_;
    std::size_t waiting_ = 0;
};

}  // namespace apikey::ngx
