// A key cache that is full, and those who would like to fill it.
// Hazards: N26, X1, X3
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/key_cache_layout.hpp"
#include "tests/core/key_cache_block.hpp"

namespace apikey {
namespace {

using test::Block;
using test::common_facts;
using test::digest_of;
using Found = KeyCache::Found;

class FullKeyCache : public testing::Test {
  protected:
    void insert(const Digest& digest, std::uint32_t now, const KeyFacts& facts = common_facts()) {
        ASSERT_EQ(cache_.insert_known(digest, cache_.ticket(digest), now, now, facts), KeyCache::Stored::stored);
    }
    void insert_unknown(const Digest& digest, std::uint32_t now) {
        ASSERT_EQ(cache_.insert_unknown(digest, cache_.ticket(digest), now, now), KeyCache::Stored::stored);
    }
    Found find(const Digest& digest, std::uint32_t now) { return cache_.find(digest, now, out_); }
    std::uint64_t count_known(std::uint64_t from, std::uint64_t to, std::uint32_t now) {
        std::uint64_t found = 0;
        for (std::uint64_t key = from; key < to; ++key)
            found += find(digest_of(key), now) == Found::known ? 1 : 0;
        return found;
    }

    Block block_{1024 * 1024};
    KeyCache cache_ = block_.create();
    RoomyCachedKey out_;
};

// DESIGN §6: at most 320 bytes of zone per key. Not only when more keys than fit have filled the last way: so many keys
// also find their place.
TEST_F(FullKeyCache, NeedsAtMost320BytesPerKey) {
    const std::uint64_t keys = block_.bytes() / 320;
    for (std::uint64_t key = 0; key < keys; ++key)
        insert(digest_of(key), 1);
    EXPECT_GT(count_known(0, keys, 1), keys * 98 / 100);
    for (std::uint64_t key = keys; key < 8 * keys; ++key)
        insert(digest_of(key), 1);
    EXPECT_EQ(cache_.counts().known, cache_.counts().known_capacity);
    EXPECT_LE(block_.bytes() / cache_.counts().known, 280u);
    RecordProperty("bytes_per_key", std::to_string(block_.bytes() / cache_.counts().known));
}

TEST_F(FullKeyCache, CountsWhatItEvicts) {
    for (std::uint64_t key = 0; key < 20'000; ++key)
        insert(digest_of(key), 1);
    EXPECT_EQ(cache_.counts().known + cache_.counts().evictions, 20'000u);
    EXPECT_EQ(cache_.counts().known, count_known(0, 20'000, 1));
    EXPECT_TRUE(cache_.is_sound());
    const auto evictions = cache_.counts().evictions;
    cache_.invalidate_all();
    for (std::uint64_t key = 20'000; key < 20'100; ++key)
        insert(digest_of(key), 2);
    EXPECT_EQ(cache_.counts().evictions, evictions) << "what nobody can use any more is no loss";
}

TEST_F(FullKeyCache, KeepsWhatIsUsed) {
    constexpr std::uint64_t kUsed = 1'000;
    constexpr std::uint32_t kSeconds = 300;
    std::uint64_t next = kUsed;
    std::uint64_t misses = 0;
    for (std::uint32_t now = 1; now <= kSeconds; ++now) {
        for (std::uint64_t key = 0; key < kUsed; ++key) {
            if (find(digest_of(key), now) == Found::known) continue;
            ++misses;
            insert(digest_of(key), now);
        }
        for (int i = 0; i < 100; ++i)
            insert(digest_of(next++), now);
    }
    EXPECT_GT(cache_.counts().evictions, 20'000u);
    EXPECT_LT(misses, kUsed + kSeconds * kUsed / 1'000);
}

TEST_F(FullKeyCache, KeepsAnUnknownKeyThatIsAskedForAllTheTime) {
    insert_unknown(digest_of(0), 1);
    std::uint64_t next = 1;
    for (std::uint32_t now = 2; now < 100; ++now) {
        ASSERT_EQ(find(digest_of(0), now), Found::unknown) << now;
        for (int i = 0; i < 100; ++i)
            insert_unknown(digest_of(next++), now);
    }
    EXPECT_EQ(cache_.counts().unknown + cache_.counts().unknown_evictions, next);
}

// The stamps have 16 bits, and workers read the clock at different times.
TEST_F(FullKeyCache, EvictsWhatWasUsedLongestAgoWhereverTheClockIs) {
    for (const std::uint32_t start : {0U, 65'530U, 0xffff'fff0U}) {
        cache_ = block_.create();
        for (std::uint64_t key = 0; key < 2'000; ++key)
            insert(digest_of(key), start);
        for (std::uint64_t key = 2'000; key < 3'500; ++key)
            insert(digest_of(key), start + 12);  // a worker whose clock is two seconds ahead of what follows
        for (std::uint64_t key = 3'500; key < 5'000; ++key)
            insert(digest_of(key), start + 10);
        EXPECT_GT(count_known(2'000, 5'000, start + 12), 3'000u * 98 / 100) << start;
    }
}

// Known keys and unknown keys have nothing to do with each other, and a twentieth of the memory is enough for these.
// Hazards: X1
TEST_F(FullKeyCache, AFloodOfUnknownKeysEvictsNobody) {
    for (std::uint64_t key = 0; key < 2'000; ++key)
        insert(digest_of(key), 1);
    const std::uint64_t known_before = count_known(0, 2'000, 1);
    const Block before(block_.bytes());
    before.take(block_);
    for (std::uint64_t key = 0; key < 300'000; ++key)
        insert_unknown(digest_of(1'000'000 + key), 2);
    std::uint64_t first = block_.bytes();
    std::uint64_t last = 0;
    for (std::uint64_t at = sizeof(key_cache::Header); at < block_.bytes(); ++at) {
        const auto is_changed = [at](const Block& a, const Block& b) {
            return static_cast<const char*>(a.memory())[at] != static_cast<const char*>(b.memory())[at];
        };
        if (!is_changed(block_, before)) continue;
        first = std::min(first, at);
        last = at;
    }
    EXPECT_LE(last - first, block_.bytes() / 20);
    EXPECT_EQ(cache_.counts().unknown, cache_.counts().unknown_capacity);
    EXPECT_EQ(count_known(0, 2'000, 2), known_before);
    EXPECT_EQ(cache_.counts().evictions, 2'000 - known_before);
}

// Digests whose first 48 bits somebody ground to be the same, and the last byte, which is the tag.
// Hazards: X3
TEST_F(FullKeyCache, GroundDigestsSpreadLikeAnyOthers) {
    std::vector<Digest> ground;
    for (std::uint64_t number = 0; number < 1'000; ++number) {
        ground.push_back(digest_of(number));
        std::fill_n(ground.back().begin(), 6, std::uint8_t{0xab});
        ground.back().back() = 0xab;
    }
    std::size_t kept = 0;
    for (const Digest& digest : ground)
        insert(digest, 1);
    for (const Digest& digest : ground)
        kept += find(digest, 1) == Found::known ? 1 : 0;
    EXPECT_GE(kept, 990u);
}

// Who has found digests that share a bucket here has found nothing for a cache with another secret.
// Hazards: X3
TEST(KeyCacheIndex, DependsOnTheSecret) {
    const KeyCache::Secret other = {0xa409'3822'299f'31d0, 0x082e'fa98'ec4e'6c89};
    constexpr std::uint64_t kBuckets = 1'000;
    const auto bucket = [](const Digest& digest, const KeyCache::Secret& secret, std::size_t choice) {
        const key_cache::Probe probe(digest, secret);
        return ((choice == 0 ? probe.first_place() : probe.second_place()) * kBuckets) >> 32;
    };
    for (std::size_t choice = 0; choice < 2; ++choice) {
        std::vector<int> load(kBuckets);
        int sharing = 0;
        for (std::uint64_t number = 0; number < 200'000; ++number) {
            const Digest digest = digest_of(number);
            if (bucket(digest, test::kSecret, choice) != 7) continue;
            ++sharing;
            ++load[bucket(digest, other, choice)];
        }
        EXPECT_GT(sharing, 150);
        EXPECT_LT(*std::max_element(load.begin(), load.end()), 6);
    }
}

// Long keys take several ways, and must find neighbouring ones among short ones.
TEST_F(FullKeyCache, ShortAndLongKeysShareTheMemory) {
    std::mt19937 random(1);
    for (std::uint32_t i = 0; i < 30'000; ++i) {
        const std::uint64_t key = random() % 4'000;
        insert(digest_of(key), i / 100, test::telling_facts(key, i));
        ASSERT_EQ(find(digest_of(key), i / 100), Found::known);
        ASSERT_TRUE(out_.facts() == test::telling_facts(key, i));
    }
    const auto counts = cache_.counts();
    EXPECT_TRUE(cache_.is_sound());
    EXPECT_GT(counts.long_known, 500u);
    EXPECT_GT(counts.known - counts.long_known, 100u);
    EXPECT_GT(counts.known_ways, counts.known_capacity * 80 / 100) << "too much of the memory is waste";
}

}  // namespace
}  // namespace apikey
