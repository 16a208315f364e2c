// The key cache looked over as a whole: how full it is, and whether it is sound.
#include "core/key_cache.hpp"
#include "core/key_cache_layout.hpp"

namespace apikey {

using key_cache::Bucket;
using key_cache::bucket_bytes;
using key_cache::EntryHead;
using key_cache::Header;
using key_cache::kWays;
using key_cache::load;
using key_cache::Probe;

namespace {

Digest digest_of(const EntryHead& head) noexcept {
    return std::bit_cast<Digest>(head.digest);
}

EntryHead read_head(const Bucket& bucket, std::size_t way) noexcept {
    EntryHead head{};
    key_cache::load_words(bucket.entry(way), std::min(bucket.way_words, key_cache::kHeadWords), &head);
    return head;
}

// How many live entries of the probe's key there are.
std::size_t count_live(const Bucket& bucket, const Probe& probe) noexcept {
    std::size_t count = 0;
    for (std::size_t way = 0; way < kWays; ++way) {
        if (bucket.is_live(way) && key_cache::is_entry_of(bucket.entry(way), probe)) ++count;
    }
    return count;
}

// Is the only live entry of its key in this bucket, which is one of the key's?
bool is_in_its_place(Header& header, const Bucket& bucket, const Probe& probe) noexcept {
    const std::array<Bucket, 3> buckets = {key_cache::known_bucket(header, probe.first_place()),
                                           key_cache::known_bucket(header, probe.second_place()),
                                           key_cache::unknown_bucket(header, probe)};
    std::size_t here = 0;
    std::size_t elsewhere = 0;
    for (const Bucket& other : buckets)
        (other.header == bucket.header ? here : elsewhere) += count_live(other, probe);
    const bool counted_twice = buckets[0].header == buckets[1].header && bucket.header == buckets[0].header;
    return here == (counted_twice ? 2 : 1) && elsewhere == 0;
}

bool has_plausible_texts(const Statement& says, std::size_t span) noexcept {
    return says.lengths.user <= KeyCache::kMaxUserBytes && says.lengths.scopes <= KeyCache::kMaxScopesBytes &&
           says.lengths.sum() <= CachedKey::kMaxTextBytes && key_cache::ways_for(says.lengths.sum()) == span &&
           says.text_words == key_cache::words_of(says.lengths.sum());
}

// Live entries have the tag of their digest, lie in one of its buckets, once, and do not overlap.
bool is_sound_bucket(Header& header, const Bucket& bucket) noexcept {
    std::size_t free_from = 0;
    for (std::size_t way = 0; way < kWays; ++way) {
        if (!bucket.is_live(way)) continue;
        const std::size_t span = bucket.span(way);
        if (way < free_from || span == 0 || way + span > kWays) return false;
        free_from = way + span;
        const EntryHead head = read_head(bucket, way);
        const Digest digest = digest_of(head);
        const Probe probe(digest, header.secret);
        if (bucket.tag(way) != probe.tag || !is_in_its_place(header, bucket, probe)) return false;
        if (!has_plausible_texts(head.says, span)) return false;
    }
    return true;
}

bool is_sound_header(const Header& header) noexcept {
    const std::uint64_t known_end = header.known_at + header.known_buckets * bucket_bytes(key_cache::kKnownWayWords);
    const std::uint64_t end = header.unknown_at + header.unknown_buckets * bucket_bytes(key_cache::kUnknownWords);
    // Where a torn statement may send a reader to who begins in the last way.
    const std::uint64_t torn_end =
        known_end - key_cache::kKnownWayWords * 8 + sizeof(EntryHead) + CachedKey::kMaxTextBytes;
    return header.known_buckets > 0 && header.unknown_buckets > 0 && header.known_at >= sizeof(Header) &&
           known_end <= header.unknown_at && end <= header.bytes && torn_end <= header.bytes;
}

}  // namespace

KeyCache::Counts KeyCache::counts() const noexcept {
    Counts counts;
    counts.known_capacity = std::uint64_t{header_->known_buckets} * kWays;
    counts.unknown_capacity = std::uint64_t{header_->unknown_buckets} * kWays;
    counts.evictions = load(header_->evictions);
    counts.unknown_evictions = load(header_->unknown_evictions);
    for (std::size_t at = 0; at < header_->known_buckets; ++at) {
        const Bucket bucket = key_cache::known_bucket_at(*header_, at);
        for (std::size_t way = 0; way < kWays; ++way) {
            if (!bucket.is_live(way)) continue;
            ++counts.known;
            counts.known_ways += bucket.span(way);
            if (bucket.span(way) > 1) ++counts.long_known;
        }
    }
    for (std::size_t at = 0; at < header_->unknown_buckets; ++at) {
        const Bucket bucket = key_cache::unknown_bucket_at(*header_, at);
        for (std::size_t way = 0; way < kWays; ++way)
            if (bucket.is_live(way)) ++counts.unknown;
    }
    return counts;
}

bool KeyCache::is_sound() const noexcept {
    if (!attach(header_, header_->bytes) || !is_sound_header(*header_)) return false;
    for (std::size_t at = 0; at < header_->known_buckets; ++at) {
        if (!is_sound_bucket(*header_, key_cache::known_bucket_at(*header_, at))) return false;
    }
    for (std::size_t at = 0; at < header_->unknown_buckets; ++at) {
        if (!is_sound_bucket(*header_, key_cache::unknown_bucket_at(*header_, at))) return false;
    }
    return true;
}

}  // namespace apikey
