#include "ngx_module/lookups.hpp"

#include <openssl/rand.h>

#include <cstring>
#include <new>

#include "ngx_module/clock.hpp"
#include "ngx_module/key_zone.hpp"
#include "ngx_module/park.hpp"
#include "ngx_module/worker.hpp"

namespace apikey::ngx {

namespace {

using Lookup = redis::LookupSession::Lookup;
using Outcome = redis::LookupSession::Outcome;

std::array<std::uint64_t, 2> new_secret() {
    std::array<std::uint64_t, 2> secret{};
    if (RAND_bytes(reinterpret_cast<unsigned char*>(secret.data()), sizeof(secret)) != 1) throw std::bad_alloc();
    secret[1] |= 1;
    return secret;
}

}  // namespace

// Digests can be ground to share some bytes; what a secret makes of them cannot.
std::size_t Lookups::KeyedHash::operator()(const Digest& digest) const noexcept {
    std::array<std::uint64_t, 4> words;
    static_assert(sizeof(words) == sizeof(Digest));
    std::memcpy(words.data(), digest.data(), sizeof(words));
    std::uint64_t hash = secret[0];
    for (const std::uint64_t word : words) {
        hash = (hash ^ word) * secret[1];
        hash ^= hash >> 32U;
    }
    return hash;
}

Lookups::Lookups(RedisLink& link, KeyZone& zone) : link_(link), zone_(zone), flights_(0, KeyedHash{new_secret()}) {}

bool Lookups::ask(RequestCtx& ctx, const CacheTimes& times) {
    if (waiting_ >= kMostWaiting) return false;
    Flight* flight = joinable(ctx.digest);
    if (flight != nullptr) {
        ++zone_.counters().lookups_joined;
    } else {
        flight = start(ctx.digest);
    }
    if (flight == nullptr) return false;
    flight->keep_known |= times.valid + times.stale > 0;
    flight->keep_unknown |= times.invalid > 0;
    append(*flight, ctx);
    return true;
}

Flight* Lookups::joinable(const Digest& digest) {
    const auto [first, last] = flights_.equal_range(digest);
    for (auto each = first; each != last; ++each) {
        Flight& flight = each->second;
        if (!link_.is_sent(*flight.lookup)) return &flight;
        if (!this_worker()->watched_since(flight.asked_at)) continue;
        if (zone_.cache().ticket(digest) == flight.asked_under) return &flight;
    }
    return nullptr;
}

Flight* Lookups::start(const Digest& digest) {
    const auto place = flights_.emplace(digest, Flight{});
    Flight& flight = place->second;
    flight.digest = digest;
    flight.asked_under = zone_.cache().ticket(digest);
    flight.asked_at = turn_began();
    flight.asked_at_us = now_us();
    try {
        flight.lookup = link_.ask(digest, &flight);
    } catch (...) {
        flights_.erase(place);  // else the next one who asks would join it
        throw;
    }
    if (flight.lookup != nullptr) return &flight;
    flights_.erase(place);
    return nullptr;
}

Lookups::Flights::iterator Lookups::find(const Flight& flight) {
    auto each = flights_.equal_range(flight.digest).first;
    while (&each->second != &flight)
        ++each;
    return each;
}

void Lookups::append(Flight& flight, RequestCtx& ctx) noexcept {
    ctx.flight = &flight;
    ctx.next_waiting = nullptr;
    ctx.previous_waiting = flight.last;
    (flight.last != nullptr ? flight.last->next_waiting : flight.first) = &ctx;
    flight.last = &ctx;
    zone_.counters().gauges.parked = ++waiting_;
}

void Lookups::remove(RequestCtx& ctx) noexcept {
    Flight& flight = *std::exchange(ctx.flight, nullptr);
    (ctx.previous_waiting != nullptr ? ctx.previous_waiting->next_waiting : flight.first) = ctx.next_waiting;
    (ctx.next_waiting != nullptr ? ctx.next_waiting->previous_waiting : flight.last) = ctx.previous_waiting;
    zone_.counters().gauges.parked = --waiting_;
}

void Lookups::abandon(RequestCtx& ctx) noexcept {
    Flight& flight = *ctx.flight;
    remove(ctx);
    if (flight.first != nullptr || flight.lookup == nullptr) return;  // null: answered() is at it
    link_.abandon(flight.lookup);
    flights_.erase(find(flight));
}

void Lookups::answered(Flight& flight, const Lookup& lookup) {
    const auto node = flights_.extract(find(flight));  // nobody joins any more
    flight.lookup = nullptr;
    count(flight, lookup);
    keep(flight, lookup);
    while (flight.first != nullptr) {
        RequestCtx& ctx = *flight.first;
        remove(ctx);
        resume(ctx, lookup);
    }
}

void Lookups::count(const Flight& flight, const Lookup& lookup) noexcept {
    Counters& counters = zone_.counters();
    switch (lookup.outcome) {
        case Outcome::found: ++counters.lookups_found; break;
        case Outcome::unknown: ++counters.lookups_unknown; break;
        case Outcome::unavailable: ++counters.lookups_unavailable; break;
    }
    counters.lookup_time.add(now_us() - flight.asked_at_us);
}

// What Redis says ends what the cache says, also where the answer itself is not to be kept: when Redis goes away, the cache
// is all there is (hazard C19).
void Lookups::keep(const Flight& flight, const Lookup& lookup) noexcept {
    if (lookup.outcome == Outcome::unavailable) return;
    const bool wanted = lookup.outcome == Outcome::found ? flight.keep_known : flight.keep_unknown;
    if (wanted && store(flight, lookup)) return;
    if (contradicts_cache(flight.digest, lookup)) zone_.forget({&flight.digest, 1});
}

// Not kept where the mutex is taken: the next request asks again. False: not kept.
bool Lookups::store(const Flight& flight, const Lookup& lookup) noexcept {
    const KeyZone::Lock lock = zone_.try_lock();
    if (!lock || !this_worker()->invalidation.asks_redis_of_zone()) return false;
    KeyCache& cache = zone_.cache();
    const std::uint32_t now = turn_began_seconds();
    if (lookup.outcome == Outcome::unknown)
        return cache.insert_unknown(flight.digest, flight.asked_under, flight.asked_at, now) ==
               KeyCache::Stored::stored;
    const auto stored = cache.insert_known(flight.digest, flight.asked_under, flight.asked_at, now, lookup.facts);
    if (stored == KeyCache::Stored::too_long) ++zone_.counters().cache_too_long;
    return stored != KeyCache::Stored::outdated;
}

// Does the cache hold the key with other facts than these?
bool Lookups::contradicts_cache(const Digest& digest, const Lookup& lookup) noexcept {
    RoomyCachedKey cached;
    if (zone_.cache().find(digest, turn_began_seconds(), cached) != KeyCache::Found::known) return false;
    return lookup.outcome == Outcome::unknown || cached.facts() != lookup.facts;
}

}  // namespace apikey::ngx
