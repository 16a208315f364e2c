// What writers do to a bucket of the key cache. Readers look on, and the process may be killed after any store, so that
// every state in between reads as a miss or as one whole entry.
#pragma once

#include "core/key_cache_layout.hpp"

namespace apikey::key_cache {

// An entry that is to be written.
struct Draft {
    explicit Draft(const EntryHead& of) noexcept : head(of) {}

    EntryHead head;
    std::size_t text_words = 0;
    std::size_t head_words = kHeadWords;
    std::size_t span = 1;                             // ways that it takes
    std::array<char, CachedKey::kMaxTextBytes> text;  // the first `text_words` words of it
};

// Where an entry begins.
struct Spot {
    Bucket bucket;
    std::size_t way;
};

// Neighbouring ways that an entry could take.
struct Room {
    static constexpr std::uint32_t kFree = 0x10000;

    Spot spot;
    std::uint32_t age;  // kFree, or seconds since the last use of what was used last of the entries there
    std::size_t taken;  // ways of the whole bucket
};

// The best `span` neighbouring ways: free ones, those at the home way first, else those whose last use is longest ago.
Room find_room(const Bucket& bucket, std::size_t span, std::uint32_t now_seconds) noexcept;

// Makes the entry a miss.
void remove(const Spot& spot) noexcept;

// Removes what overlaps `span` ways; gives how many entries of this generation that were.
std::uint64_t clear(const Spot& spot, std::size_t span, std::uint32_t generation) noexcept;

// Writes an entry. Nothing else may be live in the ways that it takes but an entry of the same key and span.
void write(const Spot& spot, const Draft& draft, std::uint8_t tag, std::uint32_t now_seconds) noexcept;

}  // namespace apikey::key_cache
