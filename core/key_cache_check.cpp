// The key cache looked over as a whole: how full it is, and whether it is sound.
#include "core/key_cache.hpp"
#include "core/key_cache_layout.hpp"

namespace apikey {

using key_cache::Bucket;
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

bool has_live(const Bucket& bucket, const Probe& probe, std::size_t from) noexcept {
    for (std::size_t way = from; way < kWays; ++way) {
        if (bucket.is_live(way) && key_cache::is_entry_of(bucket.entry(way), probe)) return true;
    }
    return false;
}

bool has_plausible_texts(const EntryHead& head, std::size_t span) noexcept {
    return head.user <= KeyCache::kMaxUserBytes && head.scopes <= KeyCache::kMaxScopesBytes &&
           head.text_bytes() <= CachedKey::kMaxTextBytes && key_cache::ways_for(head.text_bytes()) == span;
}

// Live entries have the tag of their digest, lie in its bucket, once, and do not overlap.
bool is_sound_bucket(Header& header, const Bucket& bucket, bool is_known) noexcept {
    std::size_t free_from = 0;
    for (std::size_t way = 0; way < kWays; ++way) {
        if (!bucket.is_live(way)) continue;
        const std::size_t span = bucket.span(way);
        if (way < free_from || span == 0 || way + span > kWays) return false;
        free_from = way + span;
        const EntryHead head = read_head(bucket, way);
        const Probe probe(digest_of(head), header.secret);
        if (bucket.tag(way) != probe.tag || has_live(bucket, probe, way + 1)) return false;
        const Bucket known = key_cache::known_bucket(header, probe);
        const Bucket unknown = key_cache::unknown_bucket(header, probe);
        if (bucket.header != (is_known ? known : unknown).header) return false;
        if (is_known ? !has_plausible_texts(head, span) || has_live(unknown, probe, 0) : span != 1) return false;
    }
    return true;
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
    if (!attach(header_, header_->bytes)) return false;
    for (std::size_t at = 0; at < header_->known_buckets; ++at)
        if (!is_sound_bucket(*header_, key_cache::known_bucket_at(*header_, at), true)) return false;
    for (std::size_t at = 0; at < header_->unknown_buckets; ++at)
        if (!is_sound_bucket(*header_, key_cache::unknown_bucket_at(*header_, at), false)) return false;
    return true;
}

}  // namespace apikey
