// What a worker makes of a look at the usage stream: since when its oldest entry has been waiting for apikeyd.
//
// Redis tells cheaply how many entries there are, and which was handed to an apikeyd and is not yet applied. Of those that nobody
// was handed it tells only the number: the same ones as at the last look, unless some of these have been applied since. Under
// load there are always some, and as many as at the last look, so what this nginx has added meanwhile counts, too.
#pragma once

#include <cstdint>
#include <optional>

#include "core/counters.hpp"

namespace apikey::usage {

struct StreamLook {
    std::uint64_t entries = 0;
    std::uint64_t dead = 0;
    std::optional<std::int64_t> oldest_pending;  // unix ms
    std::uint64_t added = 0;                     // by this nginx, ever: what Redis has taken of it
    std::uint64_t workers = 1;  // of this nginx: of each some answers may be on their way, uncounted at either look
    std::int64_t now = 0;       // unix ms
};

// `last`: what was known before. Keeps its `asked`.
inline UsageStream after_look(const UsageStream& last, const StreamLook& look) noexcept {
    constexpr std::uint64_t kUnderWay = 2;  // batches of a worker
    UsageStream stream{look.entries, look.dead, 0, look.added, look.now, last.asked};
    if (look.oldest_pending) {
        stream.waits_since = *look.oldest_pending;
    } else if (look.entries != 0) {
        const std::uint64_t unapplied = last.entries + (look.added - last.added);
        const bool are_fewer = look.entries < last.entries || look.entries + kUnderWay * look.workers < unapplied;
        stream.waits_since = last.waits_since != 0 && !are_fewer ? last.waits_since : look.now;
    }
    return stream;
}

}  // namespace apikey::usage
