// What was decided about one request. Every path through the module ends in exactly one of these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace apikey {

enum class Verdict : std::uint8_t {
    valid,
    missing,      // no key was presented
    malformed,    // what was presented cannot be a key; nothing was looked up
    invalid,      // nobody's key: unknown or revoked
    expired,      // somebody's key, but its time is over
    forbidden,    // a good key without a scope that is required here
    unavailable,  // cannot be known now; says nothing about the key
};

inline constexpr std::size_t kVerdicts = 7;

// The value of $api_key_status (DESIGN §3.1).
constexpr std::string_view status_name(Verdict verdict) noexcept {
    switch (verdict) {
        case Verdict::valid: return "valid";
        case Verdict::missing: return "missing";
        case Verdict::malformed: return "malformed";
        case Verdict::invalid: return "invalid";
        case Verdict::expired: return "expired";
        case Verdict::forbidden: return "forbidden";
        case Verdict::unavailable: break;
    }
    return "unavailable";
}

// Where the verdict about a key came from.
enum class CacheUse : std::uint8_t {
    none,      // no key was looked for
    hit,       // the cache
    miss,      // Redis was asked
    stale,     // the cache, past its time, because Redis could not be reached
    negative,  // the cache: nobody's
};

inline constexpr std::size_t kCacheUses = 5;

// The value of $api_key_cache (DESIGN §3.1).
constexpr std::string_view cache_use_name(CacheUse use) noexcept {
    switch (use) {
        case CacheUse::hit: return "hit";
        case CacheUse::miss: return "miss";
        case CacheUse::stale: return "stale";
        case CacheUse::negative: return "negative";
        case CacheUse::none: break;
    }
    return "";
}

}  // namespace apikey
