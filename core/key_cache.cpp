// Readers, and what a cache is: layout, tickets, generations. Writers are in key_cache_write.cpp.
#include "core/key_cache.hpp"

#include "core/key_cache_layout.hpp"

namespace apikey {

using key_cache::Bucket;
using key_cache::Candidates;
using key_cache::Header;
using key_cache::load;
using key_cache::Probe;
using key_cache::Statement;
using key_cache::store;

namespace {

// Where everything lies in `bytes` bytes at `memory`.
Header plan(const void* memory, std::size_t bytes, const KeyCache::Secret& secret) noexcept {
    constexpr std::size_t kKnown = key_cache::bucket_bytes(key_cache::kKnownWayWords);
    constexpr std::size_t kUnknown = key_cache::bucket_bytes(key_cache::kUnknownWords);
    const auto end_of_header = reinterpret_cast<std::uintptr_t>(memory) + sizeof(Header);
    const std::size_t padding = (0 - end_of_header) % key_cache::kLine;

    Header header{};
    header.layout = KeyCache::kLayout;
    header.secret = secret;
    header.bytes = bytes;
    header.unknown_buckets = static_cast<std::uint32_t>(bytes / key_cache::kUnknownShare / kUnknown);
    header.known_at = sizeof(Header) + padding;
    const std::size_t left = bytes - header.known_at - header.unknown_buckets * kUnknown;
    header.known_buckets = static_cast<std::uint32_t>(left / kKnown);
    header.unknown_at = header.known_at + header.known_buckets * kKnown;
    return header;
}

// False when the entry is not the probe's, or is being written, or finds no room.
bool read_known(const Bucket& bucket, std::size_t way, const Probe& probe, TextRoom room, Statement& says,
                CachedKey& out) noexcept {
    const std::uint32_t seq = load(bucket.header->seqs[way], std::memory_order_acquire);
    std::uint64_t* const entry = bucket.entry(way);
    if (seq % 2 != 0 || !key_cache::is_entry_of(entry, probe)) return false;
    key_cache::load_words(entry + key_cache::kDigestWords, key_cache::kStatementWords, &says);
    // A torn statement may say anything, also a text that ends outside.
    const std::size_t words = key_cache::words_of(says.lengths.sum());
    const std::size_t most = (key_cache::kWays - way) * key_cache::kKnownWayWords - key_cache::kHeadWords;
    if (words > std::min(most, CachedKey::kMaxTextBytes / 8)) return false;
    char* const texts = room.take(room.from, words * 8);
    if (texts == nullptr) return false;
    key_cache::load_words(entry + key_cache::kHeadWords, words, texts);
    out.validated_at = says.validated_at;
    out.facts = {texts, says.lengths, says.expires};
    std::atomic_thread_fence(std::memory_order_acquire);
    return load(bucket.header->seqs[way]) == seq;
}

bool read_unknown(const Bucket& bucket, std::size_t way, const Probe& probe, Statement& says) noexcept {
    const std::uint32_t seq = load(bucket.header->seqs[way], std::memory_order_acquire);
    std::uint64_t* const entry = bucket.entry(way);
    if (seq % 2 != 0 || !key_cache::is_entry_of(entry, probe)) return false;
    key_cache::load_words(entry + key_cache::kDigestWords, key_cache::kUnknownWords - key_cache::kDigestWords, &says);
    std::atomic_thread_fence(std::memory_order_acquire);
    return load(bucket.header->seqs[way]) == seq;
}

// For eviction. Written at most once a second, so that readers do not take the line from each other all the time.
void mark_used(const Bucket& bucket, std::size_t way, std::uint32_t now_seconds) noexcept {
    const auto now = static_cast<std::uint16_t>(now_seconds);
    if (load(bucket.header->used[way]) != now) store(bucket.header->used[way], now);
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

KeyCache::Found KeyCache::find(const Digest& digest, std::uint32_t now_seconds, TextRoom room,
                               CachedKey& out) const noexcept {
    const std::uint32_t generation = load(header_->generation, std::memory_order_acquire);
    const Probe probe(digest, header_->secret);
    Statement says;
    for (const std::uint64_t place : probe.places) {
        const Bucket known = key_cache::known_bucket(*header_, place);
        for (Candidates left(load(known.header->tags), probe.tag); left.any(); left.next()) {
            if (!read_known(known, left.way(), probe, room, says, out)) continue;
            if (says.generation != generation) return Found::nothing;
            mark_used(known, left.way(), now_seconds);
            return Found::known;
        }
    }
    const Bucket unknown = key_cache::unknown_bucket(*header_, probe);
    for (Candidates left(load(unknown.header->tags), probe.tag); left.any(); left.next()) {
        if (!read_unknown(unknown, left.way(), probe, says)) continue;
        if (says.generation != generation) return Found::nothing;
        mark_used(unknown, left.way(), now_seconds);
        out.validated_at = says.validated_at;
        return Found::unknown;
    }
    return Found::nothing;
}

KeyCache::Ticket KeyCache::ticket(const Digest& digest) const noexcept {
    const Bucket bucket = key_cache::known_bucket(*header_, Probe(digest, header_->secret).places[0]);
    return {load(header_->generation, std::memory_order_acquire),
            load(bucket.header->changes, std::memory_order_acquire)};
}

void KeyCache::invalidate_all() noexcept {
    std::atomic_ref<std::uint32_t>(header_->generation).fetch_add(1, std::memory_order_acq_rel);
}

}  // namespace apikey
