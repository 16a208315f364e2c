// The key cache's writers. One at a time: the caller holds the lock.
#include <optional>
#include <span>

#include "core/key_cache.hpp"
#include "core/key_cache_bucket.hpp"

namespace apikey {

using key_cache::Bucket;
using key_cache::Candidates;
using key_cache::Draft;
using key_cache::EntryHead;
using key_cache::Header;
using key_cache::load;
using key_cache::Probe;
using key_cache::Room;
using key_cache::Spot;
using key_cache::store;

namespace {

// From so many taken ways on, an entry goes into its second bucket if that has more room. Keys for 87 % of all ways: 0.9 %
// find no place (9 % with one bucket for each), and 16 % are found in their second bucket; at 50 %, none and 5 %.
constexpr std::size_t kCrowded = 6;

// The buckets of one digest. At most one of them has a live entry of it.
struct Place {
    Probe probe;
    std::array<Bucket, 2> known;
    std::array<Bucket, 1> unknown;

    Place(Header& header, const Digest& digest) noexcept
        : probe(digest, header.secret),
          known{key_cache::known_bucket(header, probe.first_place()),
                key_cache::known_bucket(header, probe.second_place())},
          unknown{key_cache::unknown_bucket(header, probe)} {}

    [[nodiscard]] std::optional<Spot> locate() const noexcept {
        for (const Bucket& bucket : {known[0], known[1], unknown[0]}) {
            for (Candidates left(load(bucket.header->tags), probe.tag); left.any(); left.next()) {
                const std::size_t way = left.way();
                if (bucket.is_live(way) && key_cache::is_entry_of(bucket.entry(way), probe)) return Spot{bucket, way};
            }
        }
        return std::nullopt;
    }
};

// Has the key, or any, been changed since the question; or has a later answer been kept, which this one, come in late, must
// not replace?
bool is_outdated(Header& header, const Place& place, const std::optional<Spot>& present, const EntryHead& answer,
                 std::uint32_t changes) noexcept {
    if (answer.says.generation != load(header.generation, std::memory_order_acquire)) return true;
    if (changes != load(place.known[0].header->changes)) return true;
    if (!present) return false;
    const auto [validated_at, generation] = present->bucket.freshness(present->way);
    return generation == answer.says.generation && validated_at > answer.says.validated_at;
}

Room better_room(std::span<const Bucket> buckets, std::size_t span, std::uint32_t now_seconds) noexcept {
    const Room first = find_room(buckets.front(), span, now_seconds);
    if (buckets.size() == 1 || (first.age == Room::kFree && first.taken < kCrowded)) return first;
    const Room second = find_room(buckets.back(), span, now_seconds);
    if (first.age != second.age) return first.age > second.age ? first : second;
    return first.taken <= second.taken ? first : second;
}

// Puts the draft into one of the buckets, in place of what is `present` of its key; gives how many usable entries of other
// keys had to go.
std::uint64_t put(const Place& place, std::span<const Bucket> buckets, const std::optional<Spot>& present,
                  const Draft& draft, std::uint32_t now_seconds) noexcept {
    if (present && present->bucket.way_words == buckets.front().way_words &&
        present->bucket.span(present->way) == draft.span) {
        write(*present, draft, place.probe.tag, now_seconds);
        return 0;
    }
    if (present) remove(*present);
    const Spot spot = better_room(buckets, draft.span, now_seconds).spot;
    const std::uint64_t evicted = clear(spot, draft.span, draft.head.says.generation);
    write(spot, draft, place.probe.tag, now_seconds);
    return evicted;
}

bool fits(const KeyFacts& facts) noexcept {
    return facts.user.size() <= KeyCache::kMaxUserBytes && facts.scopes.size() <= KeyCache::kMaxScopesBytes &&
           text_bytes(facts) <= CachedKey::kMaxTextBytes;
}

void write_facts(const KeyFacts& facts, Draft& draft) noexcept {
    const PackedFacts packed = pack(facts, draft.text.data());
    draft.head.says.lengths = packed.lengths;
    draft.head.says.expires = packed.expires;
    const std::size_t at = packed.lengths.sum();
    draft.text_words = key_cache::words_of(at);
    draft.head.says.text_words = static_cast<std::uint16_t>(draft.text_words);
    draft.span = key_cache::ways_for(at);
    std::fill_n(draft.text.data() + at, draft.text_words * 8 - at, '\0');  // nothing of the stack gets into the memory
}

EntryHead head_of(const Place& place, KeyCache::Ticket asked_under, KeyCache::Millis validated_at) noexcept {
    EntryHead head{};
    head.digest = std::bit_cast<decltype(head.digest)>(place.probe.digest);
    head.says.validated_at = validated_at;
    head.says.generation = asked_under.generation;
    return head;
}

void count(std::uint64_t& counter, std::uint64_t more) noexcept {
    if (more != 0) store(counter, load(counter) + more);
}

}  // namespace

KeyCache::Stored KeyCache::insert_known(const Digest& digest, Ticket asked_under, Millis validated_at,
                                        std::uint32_t now_seconds, const KeyFacts& facts) noexcept {
    const Place place(*header_, digest);
    const std::optional<Spot> present = place.locate();
    Draft draft(head_of(place, asked_under, validated_at));
    if (is_outdated(*header_, place, present, draft.head, asked_under.changes)) return Stored::outdated;
    if (!fits(facts)) {
        if (present) remove(*present);
        return Stored::too_long;
    }
    write_facts(facts, draft);
    count(header_->evictions, put(place, place.known, present, draft, now_seconds));
    return Stored::stored;
}

KeyCache::Stored KeyCache::insert_unknown(const Digest& digest, Ticket asked_under, Millis validated_at,
                                          std::uint32_t now_seconds) noexcept {
    const Place place(*header_, digest);
    const std::optional<Spot> present = place.locate();
    Draft draft(head_of(place, asked_under, validated_at));
    if (is_outdated(*header_, place, present, draft.head, asked_under.changes)) return Stored::outdated;
    draft.head_words = key_cache::kUnknownWords;
    count(header_->unknown_evictions, put(place, place.unknown, present, draft, now_seconds));
    return Stored::stored;
}

void KeyCache::invalidate(const Digest& digest) noexcept {
    const Place place(*header_, digest);
    std::uint32_t& changes = place.known[0].header->changes;
    store(changes, load(changes) + 1, std::memory_order_release);
    if (const std::optional<Spot> present = place.locate()) remove(*present);
}

}  // namespace apikey
