// How the key cache lies in memory; for its own sources and tests.
//
//   block  := Header  bucket of known keys*  bucket of unknown keys*
//   bucket := BucketHeader (one cache line)  way[8]
//   way    := 248 bytes (known), 48 bytes (unknown)
//   entry  := EntryHead  text                text := id user name prefix scopes, nothing between them
//
// An entry begins in a way and takes as many as it needs. It is live when the tag of its first way is not 0 and the
// sequence counter there is even; ways that no live entry covers are free, whatever they hold. Unknown keys have the
// first kUnknownWords words of an EntryHead and no text.
//
// Every word that two processes may touch at once is read and written through std::atomic_ref. The order of accesses is
// that of seqlocks in H.-J. Boehm, "Can seqlocks get along with programming language memory models?" (MSPC 2012), §4.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/key_cache.hpp"

namespace apikey::key_cache {

inline constexpr std::size_t kLine = 64;
inline constexpr std::size_t kWays = 8;
inline constexpr std::size_t kKnownWayWords = 248 / 8;  // a bucket of known keys is half a page: one entry of the TLB
inline constexpr std::size_t kUnknownWords = 48 / 8;
inline constexpr std::size_t kUnknownShare = 20;                // a twentieth of the memory
inline constexpr std::uint64_t kMagic = 0x6568'6361'6379'656b;  // "keycache"

struct Header {
    std::uint64_t magic;  // written last
    std::uint32_t layout;
    std::uint32_t generation;
    KeyCache::Secret secret;
    std::uint64_t bytes;
    std::uint64_t known_at;  // bytes from here
    std::uint64_t unknown_at;
    std::uint32_t known_buckets;
    std::uint32_t unknown_buckets;
    // Away from the line that every lookup reads.
    std::uint64_t evictions;
    std::uint64_t unknown_evictions;
};
static_assert(offsetof(Header, evictions) == kLine && std::is_trivially_copyable_v<Header>);

struct BucketHeader {
    std::uint64_t tags;                     // a byte for each way: of the entry that begins there, or 0
    std::array<std::uint16_t, kWays> used;  // seconds: when it was last found
    std::array<std::uint32_t, kWays> seqs;
    std::uint32_t changes;  // see KeyCache::Ticket
    std::uint32_t spans;    // four bits for each way: how many the entry takes that begins there
};
static_assert(sizeof(BucketHeader) == kLine && std::is_trivially_copyable_v<BucketHeader>);

struct EntryHead {
    std::array<std::uint64_t, kDigestBytes / 8> digest;
    Statement says;
};
static_assert(sizeof(EntryHead) == kLine && std::is_trivially_copyable_v<EntryHead>);

inline constexpr std::size_t kHeadWords = sizeof(EntryHead) / 8;
inline constexpr std::size_t kDigestWords = offsetof(EntryHead, says) / 8;
inline constexpr std::size_t kStatementWords = kHeadWords - kDigestWords;
static_assert(offsetof(Statement, generation) + 4 <= (kUnknownWords - kDigestWords) * 8);
static_assert(kHeadWords + CachedKey::kMaxTextBytes / 8 <= kWays * kKnownWayWords);

template <class T>
T load(T& word, std::memory_order order = std::memory_order_relaxed) noexcept {
    return std::atomic_ref<T>(word).load(order);
}
template <class T>
void store(T& word, T value, std::memory_order order = std::memory_order_relaxed) noexcept {
    std::atomic_ref<T>(word).store(value, order);
}

constexpr std::size_t words_of(std::size_t bytes) noexcept {
    return (bytes + 7) / 8;
}
constexpr std::size_t ways_for(std::size_t text_bytes) noexcept {
    return (kHeadWords + words_of(text_bytes) + kKnownWayWords - 1) / kKnownWayWords;
}

// Copies whole words, each at once. `private_copy` is memory that nobody else sees. Unrolled: a hit copies 23 words.
inline void load_words(std::uint64_t* shared, std::size_t words, void* private_copy) noexcept {
    auto* to = static_cast<unsigned char*>(private_copy);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < words; ++i) {
        const std::uint64_t word = load(shared[i]);
        std::memcpy(to + 8 * i, &word, 8);
    }
}
inline void store_words(std::uint64_t* shared, std::size_t words, const void* private_copy) noexcept {
    const auto* from = static_cast<const unsigned char*>(private_copy);
    for (std::size_t i = 0; i < words; ++i) {
        std::uint64_t word = 0;
        std::memcpy(&word, from + 8 * i, 8);
        store(shared[i], word);
    }
}

// Where to look for a digest.
struct Probe {
    const KeyCache::Secret& secret;
    const Digest& digest;  // the caller's
    std::uint8_t tag;      // never 0

    Probe(const Digest& of, const KeyCache::Secret& secret_of_cache) noexcept
        : secret(secret_of_cache), digest(of), tag(std::max<std::uint8_t>(of.back(), 1)) {}
    Probe(const Digest&& of, const KeyCache::Secret& secret_of_cache) = delete;

    [[nodiscard]] std::uint64_t word(std::size_t at) const noexcept {
        std::uint64_t word = 0;
        std::memcpy(&word, digest.data() + 8 * at, 8);
        return word;
    }
    // Below 2^32. Made when it is asked for: most lookups need the first alone.
    [[nodiscard]] std::uint64_t first_place() const noexcept { return hash(word(0), secret); }
    [[nodiscard]] std::uint64_t second_place() const noexcept { return hash(word(1), secret); }

  private:
    // Multilinear hashing (Lemire, Kaser: "Strongly universal string hashing is fast", 2014): whoever does not know the
    // secret cannot make two digests share a bucket more often than by chance, whatever prefixes he grinds.
    static std::uint64_t hash(std::uint64_t word, const KeyCache::Secret& secret) noexcept {
        return (secret[0] * (word & 0xffff'ffff) + secret[1] * (word >> 32)) >> 32;
    }
};

struct Freshness {
    std::int64_t validated_at;
    std::uint32_t generation;
};

// One bucket in the shared memory.
struct Bucket {
    BucketHeader* header;
    std::size_t way_words;
    std::size_t home = 0;  // the way that an entry of the key in question takes where it can

    [[nodiscard]] std::uint64_t* entry(std::size_t way) const noexcept {
        return reinterpret_cast<std::uint64_t*>(header + 1) + way * way_words;
    }
    // The processor fetches the key's home way together with the header: mostly the entry is there, and a lookup waits for
    // memory once, not twice.
    [[gnu::always_inline]] void prefetch_home() const noexcept {  // else GCC 12 takes it for one that does nothing
        const std::uint64_t* const way = entry(home);
#pragma GCC unroll 4
        for (std::size_t line = 0; line < kKnownWayWords; line += kLine / 8)
            __builtin_prefetch(way + line);
    }
    [[nodiscard]] bool is_live(std::size_t way) const noexcept {
        return tag(way) != 0 && load(header->seqs[way]) % 2 == 0;
    }
    [[nodiscard]] std::uint8_t tag(std::size_t way) const noexcept {
        return static_cast<std::uint8_t>(load(header->tags) >> (8 * way));
    }
    // Of a live entry, for writers.
    [[nodiscard]] Freshness freshness(std::size_t way) const noexcept {
        EntryHead head{};
        load_words(entry(way), kUnknownWords, &head);
        return {head.says.validated_at, head.says.generation};
    }
    [[nodiscard]] std::size_t span(std::size_t way) const noexcept { return (load(header->spans) >> (4 * way)) & 15; }
};

constexpr std::size_t bucket_bytes(std::size_t way_words) noexcept {
    return sizeof(BucketHeader) + kWays * way_words * 8;
}
static_assert(bucket_bytes(kKnownWayWords) == 2048);

// So many buckets of unknown keys, at least, that a reader who begins in the last way of known ones and is told the longest of
// texts does not leave the memory.
inline constexpr std::size_t kFewestUnknown = 4;
static_assert(kFewestUnknown * bucket_bytes(kUnknownWords) + kKnownWayWords * 8 >=
              sizeof(EntryHead) + CachedKey::kMaxTextBytes);

// The bucket of number `at`.
inline Bucket known_bucket_at(Header& header, std::size_t at) noexcept {
    auto* first = reinterpret_cast<std::byte*>(&header) + header.known_at;
    return {reinterpret_cast<BucketHeader*>(first + at * bucket_bytes(kKnownWayWords)), kKnownWayWords};
}
inline Bucket unknown_bucket_at(Header& header, std::size_t at) noexcept {
    auto* first = reinterpret_cast<std::byte*>(&header) + header.unknown_at;
    return {reinterpret_cast<BucketHeader*>(first + at * bucket_bytes(kUnknownWords)), kUnknownWords};
}
// The bucket of a place of a Probe. Multiplied and shifted: any number of buckets will do, and nothing is divided.
inline Bucket known_bucket(Header& header, std::uint64_t place) noexcept {
    Bucket bucket = known_bucket_at(header, (place * header.known_buckets) >> 32);
    bucket.home = place % kWays;
    return bucket;
}
inline Bucket unknown_bucket(Header& header, const Probe& probe) noexcept {
    return unknown_bucket_at(header, (probe.first_place() * header.unknown_buckets) >> 32);
}

// A bit for each way whose entry may have this tag; the digest decides. Eight bytes are compared at once ("has zero
// byte", Hacker's Delight §6-1: a byte above a match may be taken for one).
class Candidates {
  public:
    Candidates(std::uint64_t tags, std::uint8_t tag) noexcept {
        const std::uint64_t differences = tags ^ (kOnes * tag);
        left_ = (differences - kOnes) & ~differences & (kOnes << 7);
    }
    [[nodiscard]] bool any() const noexcept { return left_ != 0; }
    [[nodiscard]] std::size_t way() const noexcept { return static_cast<std::size_t>(std::countr_zero(left_)) / 8; }
    void next() noexcept { left_ &= left_ - 1; }

  private:
    static constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101;
    std::uint64_t left_;
};

// Without a branch for each word: constant time costs nothing here, although a digest that somebody guesses bit by bit
// would not lead him to a key.
inline bool is_entry_of(std::uint64_t* entry, const Probe& probe) noexcept {
    return ((load(entry[0]) ^ probe.word(0)) | (load(entry[1]) ^ probe.word(1)) | (load(entry[2]) ^ probe.word(2)) |
            (load(entry[3]) ^ probe.word(3))) == 0;
}

}  // namespace apikey::key_cache
