// Readers, and what a cache is: layout, tickets, generations. Writers are in key_cache_write.cpp.
#include "core/key_cache.hpp"

#include "core/key_cache_layout.hpp"

namespace apikey {

using key_cache::Bucket;
using key_cache::Candidates;
using key_cache::Header;
using key_cache::load;
using key_cache::Probe;
using key_cache::store;

namespace {

// Where everything lies in `bytes` bytes at `memory`.
Header plan(const void* memory, std::size_t bytes, const KeyCache::Secret& secret) noexcept {
    constexpr std::size_t kKnown = key_cache::bucket_bytes(key_cache::kKnownWayWords);
    constexpr std::size_t kUnknown = key_cache::bucket_bytes(key_cache::kUnknownWords);
    const auto end_of_header = reinterpret_cast<std::uintptr_t>(memory) + sizeof(Header);
    const std::size_t padding = (0 - end_of_header) % kKnown;  // no bucket lies across two pages

    Header header{};
    header.layout = KeyCache::kLayout;
    header.secret = secret;
    header.bytes = bytes;
    header.unknown_buckets =
        static_cast<std::uint32_t>(std::max(bytes / key_cache::kUnknownShare / kUnknown, key_cache::kFewestUnknown));
    header.known_at = sizeof(Header) + padding;
    const std::size_t left = bytes - header.known_at - header.unknown_buckets * kUnknown;
    header.known_buckets = static_cast<std::uint32_t>(left / kKnown);
    header.unknown_at = header.known_at + header.known_buckets * kKnown;
    return header;
}

// An entry of the probe's key that was whole when it was looked at, or none.
struct Hit {
    std::uint64_t* entry = nullptr;  // null: none
    key_cache::BucketHeader* header = nullptr;
    std::size_t way = 0;
    std::uint32_t seq = 0;

    explicit operator bool() const noexcept { return entry != nullptr; }
    // It has not been written since: what was read of it is true.
    [[nodiscard]] bool is_still_whole() const noexcept {
        std::atomic_thread_fence(std::memory_order_acquire);
        return load(header->seqs[way]) == seq;
    }
};

inline Hit look(const Bucket& bucket, const Probe& probe) noexcept {
    for (Candidates left(load(bucket.header->tags), probe.tag); left.any(); left.next()) {
        const std::size_t way = left.way();
        const std::uint32_t seq = load(bucket.header->seqs[way], std::memory_order_acquire);
        std::uint64_t* const entry = bucket.entry(way);
        if (seq % 2 == 0 && key_cache::is_entry_of(entry, probe)) return {entry, bucket.header, way, seq};
    }
    return {};
}

// False when it finds no room, or is being written.
inline bool read_known(const Hit& hit, const TextRoom& room, CachedKey& out) noexcept {
    key_cache::load_words(hit.entry + key_cache::kDigestWords, key_cache::kStatementWords, &out.says);
    // A torn statement may say anything, but what is read lies within the cache (kFewestUnknown).
    const std::size_t words = out.says.text_words;
    if (words > CachedKey::kMaxTextBytes / 8) return false;
    char* const texts = room.take(words * 8);
    if (texts == nullptr) return false;
    key_cache::load_words(hit.entry + key_cache::kHeadWords, words, texts);
    out.texts = texts;
    return hit.is_still_whole();
}

bool read_unknown(const Hit& hit, CachedKey& out) noexcept {
    key_cache::load_words(hit.entry + key_cache::kDigestWords, key_cache::kUnknownWords - key_cache::kDigestWords,
                          &out.says);
    return hit.is_still_whole();
}

// For eviction. Written at most once a second, so that readers do not take the line from each other all the time.
void mark_used(const Hit& hit, std::uint32_t now_seconds) noexcept {
    const auto now = static_cast<std::uint16_t>(now_seconds);
    std::uint16_t& used = hit.header->used[hit.way];
    if (load(used) != now) store(used, now);
}

// What is found, unless it is of another generation.
inline KeyCache::Found found(KeyCache::Found what, const Hit& hit, std::uint32_t generation, std::uint32_t now_seconds,
                             const CachedKey& out) noexcept {
    if (out.says.generation != generation) return KeyCache::Found::nothing;
    mark_used(hit, now_seconds);
    return what;
}

inline KeyCache::Found found_known(const Hit& hit, std::uint32_t generation, std::uint32_t now_seconds,
                                   const TextRoom& room, CachedKey& out) noexcept {
    if (!read_known(hit, room, out)) return KeyCache::Found::nothing;
    return found(KeyCache::Found::known, hit, generation, now_seconds, out);
}

// Few keys are there: not in the way of all others.
[[gnu::noinline]] KeyCache::Found find_elsewhere(Header& header, const Digest& digest, std::uint32_t generation,
                                                 std::uint32_t now_seconds, const TextRoom& room,
                                                 CachedKey& out) noexcept {
    const Probe probe(digest, header.secret);
    if (const Hit hit = look(key_cache::known_bucket(header, probe.second_place()), probe))
        return found_known(hit, generation, now_seconds, room, out);
    const Hit hit = look(key_cache::unknown_bucket(header, probe), probe);
    if (!hit || !read_unknown(hit, out)) return KeyCache::Found::nothing;
    return found(KeyCache::Found::unknown, hit, generation, now_seconds, out);
}

}  // namespace

KeyCache KeyCache::create(void* memory, std::size_t bytes, const Secret& secret) noexcept {
    if (bytes < kMinBytes) return {};
    std::memset(memory, 0, bytes);
    auto* const header = new (memory) Header(plan(memory, bytes, secret));
    store(header->magic, key_cache::kMagic, std::memory_order_release);
    return KeyCache(header);
}

KeyCache KeyCache::attach(void* memory, std::size_t bytes) noexcept {
    if (bytes < kMinBytes) return {};
    auto* const header = static_cast<Header*>(memory);
    if (load(header->magic, std::memory_order_acquire) != key_cache::kMagic || header->layout != kLayout ||
        header->bytes != bytes) {
        return {};
    }
    return KeyCache(header);
}

KeyCache::Found KeyCache::find(const Digest& digest, std::uint32_t now_seconds, const TextRoom& room,
                               CachedKey& out) const noexcept {
    Header& header = *header_;
    const std::uint32_t generation = load(header.generation, std::memory_order_acquire);
    const Probe probe(digest, header.secret);
    const Bucket first = key_cache::known_bucket(header, probe.first_place());
    first.prefetch_home();
    if (const Hit hit = look(first, probe)) return found_known(hit, generation, now_seconds, room, out);
    return find_elsewhere(header, digest, generation, now_seconds, room, out);
}

KeyCache::Ticket KeyCache::ticket(const Digest& digest) const noexcept {
    const Bucket bucket = key_cache::known_bucket(*header_, Probe(digest, header_->secret).first_place());
    return {load(header_->generation, std::memory_order_acquire),
            load(bucket.header->changes, std::memory_order_acquire)};
}

void KeyCache::invalidate_all() noexcept {
    std::atomic_ref<std::uint32_t>(header_->generation).fetch_add(1, std::memory_order_acq_rel);
}

}  // namespace apikey
