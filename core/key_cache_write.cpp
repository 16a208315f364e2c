// The key cache's writers. One at a time: the caller holds the lock. Readers look on, and the process may be killed after
// any store, so that every state in between must read as a miss or as one whole entry.
#include "core/key_cache.hpp"
#include "core/key_cache_layout.hpp"

namespace apikey {

using key_cache::Bucket;
using key_cache::Candidates;
using key_cache::EntryHead;
using key_cache::Header;
using key_cache::kWays;
using key_cache::load;
using key_cache::Probe;
using key_cache::store;

namespace {

constexpr std::size_t kNowhere = kWays;

void set_tag(const Bucket& bucket, std::size_t way, std::uint64_t tag) noexcept {
    const std::uint64_t others = load(bucket.header->tags) & ~(std::uint64_t{0xff} << (8 * way));
    store(bucket.header->tags, others | (tag << (8 * way)));
}

// From here on the way is a miss, until publish(); also when the last writer died in between.
void open(const Bucket& bucket, std::size_t way) noexcept {
    std::uint32_t& seq = bucket.header->seqs[way];
    store(seq, (load(seq) + 1) | 1);
}

void publish(const Bucket& bucket, std::size_t way) noexcept {
    std::uint32_t& seq = bucket.header->seqs[way];
    store(seq, load(seq) + 1, std::memory_order_release);
}

void remove(const Bucket& bucket, std::size_t way) noexcept {
    open(bucket, way);
    set_tag(bucket, way, 0);
}

// The way where the probe's entry begins, or kNowhere.
std::size_t locate(const Bucket& bucket, const Probe& probe) noexcept {
    for (Candidates left(load(bucket.header->tags), probe.tag); left.any(); left.next()) {
        if (bucket.is_live(left.way()) && key_cache::is_entry_of(bucket.entry(left.way()), probe)) return left.way();
    }
    return kNowhere;
}

void forget(const Bucket& bucket, const Probe& probe) noexcept {
    if (const std::size_t way = locate(bucket, probe); way != kNowhere) remove(bucket, way);
}

EntryHead head_of(const Bucket& bucket, std::size_t way) noexcept {
    EntryHead head{};
    key_cache::load_words(bucket.entry(way), key_cache::kUnknownWords, &head);
    return head;
}

// Seconds since the entry was found. Stamps have 16 bits: one that lies a little ahead is another worker's clock, which
// nginx reads once per turn of its event loop; an entry that nobody asks for seems young for that long in 18 hours.
std::uint32_t age(const Bucket& bucket, std::size_t way, std::uint32_t now_seconds) noexcept {
    constexpr std::uint32_t kAhead = 0x10000 - 60;
    const std::uint32_t seconds = (now_seconds - load(bucket.header->used[way])) & 0xffff;
    return seconds < kAhead ? seconds : 0;
}

// The first of `span` neighbouring ways to be taken: those that are free, else those whose last use is longest ago.
std::size_t choose(const Bucket& bucket, std::size_t span, std::uint32_t now_seconds) noexcept {
    constexpr std::uint32_t kFree = 0x10000;
    std::array<std::uint32_t, kWays> ages;
    ages.fill(kFree);
    for (std::size_t way = 0; way < kWays; ++way) {
        if (!bucket.is_live(way)) continue;
        const auto begin = ages.begin() + static_cast<std::ptrdiff_t>(way);
        std::fill_n(begin, bucket.span(way), age(bucket, way, now_seconds));
    }
    std::size_t best = 0;
    std::uint32_t best_age = 0;
    for (std::size_t way = 0; way + span <= kWays; ++way) {
        const auto begin = ages.begin() + static_cast<std::ptrdiff_t>(way);
        const std::uint32_t youngest = *std::min_element(begin, begin + static_cast<std::ptrdiff_t>(span));
        if (youngest > best_age) {
            best = way;
            best_age = youngest;
        }
    }
    return best;
}

// Removes what overlaps the ways; gives how many usable entries that were.
std::uint64_t clear(const Bucket& bucket, std::size_t from, std::size_t span, std::uint32_t generation) noexcept {
    std::uint64_t usable = 0;
    for (std::size_t way = 0; way < from + span; ++way) {
        if (!bucket.is_live(way) || way + bucket.span(way) <= from) continue;
        if (head_of(bucket, way).generation == generation) ++usable;
        remove(bucket, way);
    }
    return usable;
}

// An entry that is to be written.
struct Draft {
    EntryHead head{};
    std::size_t words = 0;  // of head and text
    std::size_t span = 1;
    std::array<char, CachedKey::kMaxTextBytes> text;  // NOLINT: only what is used is written and read
};

// Puts the draft into its bucket; gives how many usable entries of other keys had to go.
std::uint64_t put(const Bucket& bucket, const Probe& probe, const Draft& draft, std::uint32_t now_seconds) noexcept {
    std::size_t way = locate(bucket, probe);
    std::uint64_t evicted = 0;
    if (way == kNowhere || bucket.span(way) != draft.span) {
        if (way != kNowhere) remove(bucket, way);
        way = choose(bucket, draft.span, now_seconds);
        evicted = clear(bucket, way, draft.span, draft.head.generation);
    }
    open(bucket, way);
    std::atomic_thread_fence(std::memory_order_release);  // who sees any of the following sees the odd counters too
    const std::uint32_t other_spans = load(bucket.header->spans) & ~(std::uint32_t{15} << (4 * way));
    store(bucket.header->spans, other_spans | static_cast<std::uint32_t>(draft.span << (4 * way)));
    const std::size_t head_words = std::min(draft.words, key_cache::kHeadWords);
    key_cache::store_words(bucket.entry(way), head_words, &draft.head);
    key_cache::store_words(bucket.entry(way) + head_words, draft.words - head_words, draft.text.data());
    store(bucket.header->used[way], static_cast<std::uint16_t>(now_seconds));
    set_tag(bucket, way, probe.tag);
    publish(bucket, way);
    return evicted;
}

bool fits(const KeyFacts& facts) noexcept {
    return facts.user.size() <= KeyCache::kMaxUserBytes && facts.scopes.size() <= KeyCache::kMaxScopesBytes &&
           facts.id.size() + facts.user.size() + facts.name.size() + facts.prefix.size() + facts.scopes.size() <=
               CachedKey::kMaxTextBytes;
}

void write_facts(const KeyFacts& facts, Draft& draft) noexcept {
    std::size_t at = 0;
    const auto append = [&](const std::string& text) {
        text.copy(draft.text.data() + at, text.size());
        at += text.size();
        return static_cast<std::uint16_t>(text.size());
    };
    draft.head.id = append(facts.id);
    draft.head.user = append(facts.user);
    draft.head.name = append(facts.name);
    draft.head.prefix = append(facts.prefix);
    draft.head.scopes = append(facts.scopes);
    draft.head.expires = facts.expires;
    const std::size_t text_words = key_cache::words_of(at);
    std::fill_n(draft.text.data() + at, text_words * 8 - at, '\0');  // nothing of the stack goes into shared memory
    draft.words = key_cache::kHeadWords + text_words;
    draft.span = key_cache::ways_for(at);
}

void count(std::uint64_t& counter, std::uint64_t more) noexcept {
    if (more != 0) store(counter, load(counter) + more);
}

// Everything that is known of one digest: a live entry in one of the two buckets, never in both.
struct Place {
    Probe probe;
    Bucket known;
    Bucket unknown;

    Place(Header& header, const Digest& digest) noexcept
        : probe(digest, header.secret),
          known(key_cache::known_bucket(header, probe)),
          unknown(key_cache::unknown_bucket(header, probe)) {}

    // Has the key, or any, been changed since the question; or has a later answer been kept, which this one, come in late,
    // must not replace?
    [[nodiscard]] bool is_outdated(Header& header, KeyCache::Ticket asked_under,
                                   KeyCache::Millis validated_at) const noexcept {
        if (asked_under.generation != load(header.generation, std::memory_order_acquire)) return true;
        if (asked_under.changes != load(known.header->changes)) return true;
        return is_later(known, asked_under.generation, validated_at) ||
               is_later(unknown, asked_under.generation, validated_at);
    }

  private:
    [[nodiscard]] bool is_later(const Bucket& bucket, std::uint32_t generation,
                                KeyCache::Millis validated_at) const noexcept {
        const std::size_t way = locate(bucket, probe);
        if (way == kNowhere) return false;
        const EntryHead head = head_of(bucket, way);
        return head.generation == generation && head.validated_at > validated_at;
    }
};

}  // namespace

KeyCache::Stored KeyCache::insert_known(const Digest& digest, Ticket asked_under, Millis validated_at,
                                        std::uint32_t now_seconds, const KeyFacts& facts) noexcept {
    const Place place(*header_, digest);
    if (place.is_outdated(*header_, asked_under, validated_at)) return Stored::outdated;
    forget(place.unknown, place.probe);
    if (!fits(facts)) {
        forget(place.known, place.probe);
        return Stored::too_long;
    }
    Draft draft;
    draft.head.digest = place.probe.digest;
    draft.head.validated_at = validated_at;
    draft.head.generation = asked_under.generation;
    write_facts(facts, draft);
    count(header_->evictions, put(place.known, place.probe, draft, now_seconds));
    return Stored::stored;
}

KeyCache::Stored KeyCache::insert_unknown(const Digest& digest, Ticket asked_under, Millis validated_at,
                                          std::uint32_t now_seconds) noexcept {
    const Place place(*header_, digest);
    if (place.is_outdated(*header_, asked_under, validated_at)) return Stored::outdated;
    forget(place.known, place.probe);
    Draft draft;
    draft.head.digest = place.probe.digest;
    draft.head.validated_at = validated_at;
    draft.head.generation = asked_under.generation;
    draft.words = key_cache::kUnknownWords;
    count(header_->unknown_evictions, put(place.unknown, place.probe, draft, now_seconds));
    return Stored::stored;
}

void KeyCache::invalidate(const Digest& digest) noexcept {
    const Place place(*header_, digest);
    std::uint32_t& changes = place.known.header->changes;
    store(changes, load(changes) + 1, std::memory_order_release);
    forget(place.known, place.probe);
    forget(place.unknown, place.probe);
}

}  // namespace apikey
