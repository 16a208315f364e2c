#include "core/key_cache_bucket.hpp"

#include <numeric>

namespace apikey::key_cache {
namespace {

using Ages = std::array<std::uint32_t, kWays>;

void set_tag(const Spot& spot, std::uint64_t tag) noexcept {
    std::uint64_t& tags = spot.bucket.header->tags;
    store(tags, (load(tags) & ~(std::uint64_t{0xff} << (8 * spot.way))) | (tag << (8 * spot.way)));
}

void set_span(const Spot& spot, std::size_t span) noexcept {
    std::uint32_t& spans = spot.bucket.header->spans;
    store(spans,
          (load(spans) & ~(std::uint32_t{15} << (4 * spot.way))) | static_cast<std::uint32_t>(span << (4 * spot.way)));
}

// From here on the entry is a miss, until publish(); also when the last writer died in between.
void open(const Spot& spot) noexcept {
    std::uint32_t& seq = spot.bucket.header->seqs[spot.way];
    store(seq, (load(seq) + 1) | 1);
}

void publish(const Spot& spot) noexcept {
    std::uint32_t& seq = spot.bucket.header->seqs[spot.way];
    store(seq, load(seq) + 1, std::memory_order_release);
}

// Seconds since the entry was found. Stamps have 16 bits: an entry that nobody asks for seems young again every 18 hours,
// for a moment. One that lies ahead was made by a worker whose clock is, as nginx reads it once per turn of its event loop.
std::uint32_t age(const Bucket& bucket, std::size_t way, std::uint32_t now_seconds) noexcept {
    constexpr std::uint32_t kAhead = 0x10000 - 60;
    const std::uint32_t seconds = (now_seconds - load(bucket.header->used[way])) & 0xffff;
    return seconds < kAhead ? seconds : 0;
}

// For each way, the age of the entry that covers it.
Ages ages_of(const Bucket& bucket, std::uint32_t now_seconds) noexcept {
    Ages ages;
    ages.fill(Room::kFree);
    for (std::size_t way = 0; way < kWays; ++way) {
        if (!bucket.is_live(way)) continue;
        const std::size_t end = std::min(way + bucket.span(way), kWays);
        std::fill(ages.begin() + way, ages.begin() + end, age(bucket, way, now_seconds));
    }
    return ages;
}

}  // namespace

Room find_room(const Bucket& bucket, std::size_t span, std::uint32_t now_seconds) noexcept {
    const Ages ages = ages_of(bucket, now_seconds);
    const auto free = static_cast<std::size_t>(std::count(ages.begin(), ages.end(), Room::kFree));
    Room best{{bucket, 0}, 0, kWays - free};
    for (std::size_t at = 0; at < kWays; ++at) {
        const std::size_t way = (bucket.home + at) % kWays;
        if (way + span > kWays) continue;
        const std::uint32_t youngest = *std::min_element(ages.begin() + way, ages.begin() + way + span);
        if (youngest <= best.age) continue;
        best.age = youngest;
        best.spot.way = way;
    }
    return best;
}

void remove(const Spot& spot) noexcept {
    open(spot);
    set_tag(spot, 0);
}

std::uint64_t clear(const Spot& spot, std::size_t span, std::uint32_t generation) noexcept {
    std::uint64_t usable = 0;
    for (std::size_t way = 0; way < spot.way + span; ++way) {
        if (!spot.bucket.is_live(way) || way + spot.bucket.span(way) <= spot.way) continue;
        if (spot.bucket.freshness(way).generation == generation) ++usable;
        remove({spot.bucket, way});
    }
    return usable;
}

void write(const Spot& spot, const Draft& draft, std::uint8_t tag, std::uint32_t now_seconds) noexcept {
    open(spot);
    std::atomic_thread_fence(std::memory_order_release);  // who sees any of the following sees the odd counters too
    std::uint64_t* const entry = spot.bucket.entry(spot.way);
    store_words(entry, draft.head_words, &draft.head);
    store_words(entry + draft.head_words, draft.text_words, draft.text.data());
    store(spot.bucket.header->used[spot.way], static_cast<std::uint16_t>(now_seconds));
    set_span(spot, draft.span);
    set_tag(spot, tag);
    publish(spot);
}

}  // namespace apikey::key_cache
