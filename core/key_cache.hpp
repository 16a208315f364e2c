// The key cache (DESIGN §4.7): what Redis said about keys, in memory that all workers of one nginx share.
//
// Two set-associative tables over one block: known keys, and unknown keys in a twentieth of the memory (of a tiny one
// more), so that a flood of random keys evicts nobody (hazard X1). A lookup touches one bucket of each: its header line,
// then the entry.
// A known key takes one of the eight 248-byte ways of its bucket, or as many neighbouring ones as its texts need.
//
// Readers take no lock: each entry has a sequence counter, odd while it is written. Writers hold one lock that is the
// caller's; a writer begins with (seq + 1) | 1, so an entry that a dying writer left half done is a miss and nothing else
// (hazard N23). The index is keyed with a secret, so that nobody can grind keys into one bucket (hazard X3). The memory
// holds digests and what Redis says of them, never a key (hazard V21).
//
// What was true but need not be any more is told by two counters, see Ticket, invalidate() and invalidate_all(). Whether
// an entry is fresh enough is the caller's to decide, by `validated_at`.
//
// Plain data without pointers: the block may be mapped anywhere, by several processes at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/digest.hpp"
#include "core/key_facts.hpp"
#include "core/packed_facts.hpp"

namespace apikey {

namespace key_cache {
struct Header;
}

// Where the texts of a key that was found are copied to.
struct TextRoom {
    std::span<char> usual;                                  // where they fit in
    char* (*more)(void* from, std::size_t bytes) noexcept;  // else; it gives null where there is no room
    void* from;

    [[nodiscard]] char* take(std::size_t bytes) const noexcept {
        return bytes <= usual.size() ? usual.data() : more(from, bytes);
    }
};

// What an entry of the cache says of its key, but for the texts.
struct Statement {
    std::int64_t validated_at;  // monotonic ms: when the question that this answers was sent
    std::uint32_t generation;   // the cache's then
    TextLengths lengths;
    std::uint16_t text_words;  // of eight bytes, that the texts take
    std::int64_t expires;
};

// A copy of one cached key.
struct CachedKey {
    static constexpr std::size_t kMaxTextBytes = 1536;  // id, user, name, prefix and scopes together

    Statement says;
    const char* texts;

    [[nodiscard]] PackedFacts facts() const noexcept { return {texts, says.lengths, says.expires}; }
};

// The same with room for its texts, so that it stays where it is.
struct RoomyCachedKey : CachedKey {
    RoomyCachedKey() noexcept : CachedKey{} {}  // leaves `text` as it is
    RoomyCachedKey(const RoomyCachedKey&) = delete;
    RoomyCachedKey& operator=(const RoomyCachedKey&) = delete;

    std::array<char, kMaxTextBytes> text;
};

class KeyCache {
  public:
    using Millis = std::int64_t;
    using Secret = std::array<std::uint64_t, 2>;

    static constexpr std::uint32_t kLayout = 3;  // changes with every change of what the memory looks like
    static constexpr std::size_t kMinBytes = std::size_t{16} * 1024;
    static constexpr std::size_t kMaxUserBytes = 255;  // DESIGN §3.4
    static constexpr std::size_t kMaxScopesBytes = 255;

    // What a question was asked under: taken before it is sent. Its answer is kept only if the key has not changed since.
    struct Ticket {
        std::uint32_t generation = 0;
        std::uint32_t changes = 0;  // of the keys that share the bucket
        bool operator==(const Ticket&) const noexcept = default;
    };
    enum class Found : std::uint8_t { nothing, known, unknown };
    enum class Stored : std::uint8_t {
        stored,
        outdated,  // the key may have changed since it was asked for, or a later answer is there: nothing was done
        too_long   // not kept, and what was there of it is gone
    };

    // In entries, except where it says ways; capacities are in ways. What invalidate_all() made useless still counts as
    // long as it takes room.
    struct Counts {
        std::uint64_t known = 0;
        std::uint64_t long_known = 0;  // of these: with more than one way
        std::uint64_t known_ways = 0;  // taken by them
        std::uint64_t known_capacity = 0;
        std::uint64_t unknown = 0;
        std::uint64_t unknown_capacity = 0;
        std::uint64_t evictions = 0;          // usable known entries that had to give way, ever
        std::uint64_t unknown_evictions = 0;  // the same of unknown ones
    };

    // Looks at nothing: only operator bool may be asked.
    KeyCache() noexcept = default;

    // Lays out an empty cache in the `bytes` bytes at `memory` (aligned to 8, whatever they hold), which stay the caller's.
    // `secret`: random, new for each block. False when there are fewer than kMinBytes.
    static KeyCache create(void* memory, std::size_t bytes, const Secret& secret) noexcept;
    // Looks at the cache that create() made at `memory`, perhaps in another process. False when there is none of this
    // layout and size (hazard N18).
    static KeyCache attach(void* memory, std::size_t bytes) noexcept;

    explicit operator bool() const noexcept { return header_ != nullptr; }

    // --- readers: no lock, no allocation, no system call ---

    // known: `out` is filled, its texts are in what `room` gave; unknown: only `validated_at`. `now_seconds` (any clock
    // that all workers share) marks the entry as used. An entry that is being written at this moment is not found, nor is
    // one that `room` has no room for.
    [[nodiscard]] Found find(const Digest& digest, std::uint32_t now_seconds, const TextRoom& room,
                             CachedKey& out) const noexcept;
    [[nodiscard]] Found find(const Digest& digest, std::uint32_t now_seconds, RoomyCachedKey& out) const noexcept {
        const auto none = [](void*, std::size_t) noexcept -> char* { return nullptr; };
        return find(digest, now_seconds, {out.text, none, nullptr}, out);
    }

    [[nodiscard]] Ticket ticket(const Digest& digest) const noexcept;

    // --- writers: the caller holds the lock; no allocation, no system call ---

    // Keeps what Redis answered to a question that was sent at `validated_at`, in place of what was there of the key.
    // A full bucket gives up what was not used for longest (hazard N26).
    Stored insert_known(const Digest& digest, Ticket asked_under, Millis validated_at, std::uint32_t now_seconds,
                        const KeyFacts& facts) noexcept;
    Stored insert_unknown(const Digest& digest, Ticket asked_under, Millis validated_at,
                          std::uint32_t now_seconds) noexcept;

    // The key changed: forgets it, and refuses every answer that is still under way.
    void invalidate(const Digest& digest) noexcept;

    // Is every header and every entry what it may be? (For tests, after a writer was killed.)
    [[nodiscard]] bool is_sound() const noexcept;

    // --- without the lock ---

    // Any key may have changed: nothing that is in the cache or under way is used any more. The generation has 32 bits: it
    // would have to come round while an entry or a question of the same number is still of use, that is 4 * 10^9 calls
    // within `valid` + `stale`.
    void invalidate_all() noexcept;

    // Walks over the header lines of all buckets, about a millisecond for 100 MiB.
    [[nodiscard]] Counts counts() const noexcept;

  private:
    explicit KeyCache(key_cache::Header* header) noexcept : header_(header) {}

    key_cache::Header* header_ = nullptr;
};

}  // namespace apikey
