// May what the cache says about a key be used, and for how long (DESIGN §4.6, §5)? Pure rules: the age of an entry and
// how much is known go in, a decision comes out. What was invalidated is no entry any more and never gets here.
//
//   age            a live subscription has watched since    no subscription watches
//   < valid        use it                                   ask Redis; where Redis cannot say: use it
//   < valid+stale  ask; where Redis cannot be reached: use it
//   older          ask
//
// "Cannot be reached" and "cannot say" differ: an answer that came but is not trusted (Redis was flushed, say) keeps a
// verdict alive only until `valid`. Of an unknown key nothing is kept beyond `invalid`, and nothing without a watch.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/digest.hpp"

namespace apikey {

// api_key_cache, in milliseconds.
struct CacheTimes {
    std::int64_t valid = 30000;
    std::int64_t invalid = 2000;
    std::int64_t stale = 0;
};

// Keys that were cached in the same moment shall not all be asked for in the same moment again: their time ends up to
// 1/16 early, each at its own.
inline std::int64_t shortened(std::int64_t time, const Digest& digest) noexcept {
    constexpr std::uint64_t kParts = std::uint64_t{256} * 16;
    return time - static_cast<std::int64_t>(static_cast<std::uint64_t>(time) * digest[kDigestBytes - 1] / kParts);
}

// Without asking Redis? Never where `time` is 0, although an entry that another worker has just made may seem to be of the
// future (a negative age) to one whose turn of the event loop began before.
inline bool use_at_once(std::int64_t age, std::int64_t time, const Digest& digest, bool watched) noexcept {
    return watched && std::max<std::int64_t>(age, 0) < shortened(time, digest);
}

// How a known key may be used after Redis was asked in vain.
enum class Fallback : std::uint8_t { no, fresh, stale };

inline Fallback fall_back(std::int64_t age, const CacheTimes& times, bool reached) noexcept {
    age = std::max<std::int64_t>(age, 0);  // as above
    if (age < times.valid) return Fallback::fresh;
    return !reached && age < times.valid + times.stale ? Fallback::stale : Fallback::no;
}

}  // namespace apikey
