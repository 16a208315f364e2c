// The rules of the key cache, one by one; what happens when it is full is in key_cache_full_test.cpp.
// Hazards: C1, N18, V21
#include "core/key_cache.hpp"

#include <gtest/gtest.h>

#include "core/key_cache_layout.hpp"
#include "tests/core/allocations.hpp"
#include "tests/core/key_cache_block.hpp"

namespace apikey {
namespace {

using test::Block;
using test::common_facts;
using test::digest_of;
using Found = KeyCache::Found;
using Stored = KeyCache::Stored;

constexpr std::uint32_t kNow = 1'000;

class KeyCacheTest : public testing::Test {
  protected:
    // Stores the answer to a question that was asked just now.
    Stored insert(const Digest& digest, const KeyFacts& facts, KeyCache::Millis validated_at = 1) {
        return cache_.insert_known(digest, cache_.ticket(digest), validated_at, kNow, facts);
    }
    Stored insert_unknown(const Digest& digest, KeyCache::Millis validated_at = 1) {
        return cache_.insert_unknown(digest, cache_.ticket(digest), validated_at, kNow);
    }
    Found find(const Digest& digest) { return cache_.find(digest, kNow, out_); }

    const Digest key_ = digest_of(1);
    Block block_;
    KeyCache cache_ = block_.create();
    RoomyCachedKey out_;
};

TEST_F(KeyCacheTest, KnowsNothingAtFirst) {
    EXPECT_EQ(find(key_), Found::nothing);
    EXPECT_EQ(find(Digest{}), Found::nothing);
    EXPECT_TRUE(cache_.is_sound());
}

TEST_F(KeyCacheTest, GivesBackWhatWasStored) {
    ASSERT_EQ(insert(key_, common_facts(), 1234), Stored::stored);
    ASSERT_EQ(find(key_), Found::known);
    EXPECT_TRUE(out_.facts() == common_facts());
    EXPECT_EQ(out_.says.validated_at, 1234);
    EXPECT_EQ(find(digest_of(2)), Found::nothing);
}

TEST_F(KeyCacheTest, AsksForMoreRoomWhereTextsDoNotFitIntoTheUsual) {
    ASSERT_EQ(insert(key_, common_facts()), Stored::stored);
    const std::size_t needed = key_cache::words_of(text_bytes(common_facts())) * 8;
    std::array<char, CachedKey::kMaxTextBytes> usual;
    std::string more(needed, 'x');
    const auto give = [](void* from, std::size_t bytes) noexcept {
        auto& text = *static_cast<std::string*>(from);
        return text.size() == bytes ? text.data() : nullptr;
    };
    const auto none = [](void*, std::size_t) noexcept -> char* { return nullptr; };

    CachedKey out;
    ASSERT_EQ(cache_.find(key_, kNow, {{usual.data(), needed}, none, nullptr}, out), Found::known);
    EXPECT_EQ(out.texts, usual.data());
    ASSERT_EQ(cache_.find(key_, kNow, {{usual.data(), needed - 1}, give, &more}, out), Found::known);
    EXPECT_EQ(out.texts, more.data());
    EXPECT_TRUE(out.facts() == common_facts());
    EXPECT_EQ(cache_.find(key_, kNow, {{usual.data(), needed - 1}, none, nullptr}, out), Found::nothing);
}

TEST_F(KeyCacheTest, RemembersUnknownKeys) {
    ASSERT_EQ(insert_unknown(key_, 77), Stored::stored);
    ASSERT_EQ(find(key_), Found::unknown);
    EXPECT_EQ(out_.says.validated_at, 77);
}

// Digests that differ in one bit share their bucket, or their tag, or both.
TEST_F(KeyCacheTest, TakesNoKeyForAnother) {
    ASSERT_EQ(insert(key_, common_facts()), Stored::stored);
    ASSERT_EQ(insert_unknown(digest_of(2)), Stored::stored);
    for (std::size_t bit = 0; bit < 8 * kDigestBytes; ++bit) {
        for (const Digest& stored : {key_, digest_of(2)}) {
            Digest other = stored;
            other[bit / 8] = static_cast<std::uint8_t>(other[bit / 8] ^ (1U << (bit % 8)));
            ASSERT_EQ(find(other), Found::nothing) << "bit " << bit;
        }
    }
}

TEST_F(KeyCacheTest, KeepsTextsOfEveryLengthThatFits) {
    for (std::size_t length = 0; length <= CachedKey::kMaxTextBytes; ++length) {
        KeyFacts facts;
        facts.name.assign(length, 'n');
        ASSERT_EQ(insert(key_, facts), Stored::stored) << length;
        ASSERT_EQ(find(key_), Found::known) << length;
        ASSERT_TRUE(out_.facts() == facts) << length;
        ASSERT_EQ(cache_.counts().known, 1u) << length;
        ASSERT_EQ(cache_.counts().known_ways, (64 + (length + 7) / 8 * 8 + 247) / 248) << length;
        ASSERT_TRUE(cache_.is_sound()) << length;
    }
}

TEST_F(KeyCacheTest, DoesNotKeepWhatIsTooLongNorWhatItKnewBefore) {
    const auto with = [](std::size_t user, std::size_t scopes, std::size_t name) {
        KeyFacts facts;
        facts.user.assign(user, 'u');
        facts.name.assign(name, 'n');
        facts.scopes.assign(scopes, 's');
        return facts;
    };
    EXPECT_EQ(insert(key_, with(255, 255, 1536 - 510)), Stored::stored);
    for (const KeyFacts& facts :
         {with(256, 1, 1), with(1, 256, 1), with(255, 255, 1537 - 510), with(1, 1, 65536 + 5)}) {
        ASSERT_EQ(insert(key_, common_facts()), Stored::stored);
        EXPECT_EQ(insert(key_, facts), Stored::too_long);
        EXPECT_EQ(find(key_), Found::nothing);
        ASSERT_EQ(insert_unknown(key_), Stored::stored);
        EXPECT_EQ(insert(key_, facts), Stored::too_long);
        EXPECT_EQ(find(key_), Found::nothing);
    }
}

TEST_F(KeyCacheTest, HasOneEntryOfAKeyWhateverItBecomes) {
    KeyFacts longer = common_facts();
    longer.name.assign(700, 'n');
    for (int round = 0; round < 3; ++round) {
        ASSERT_EQ(insert(key_, common_facts()), Stored::stored);
        ASSERT_EQ(find(key_), Found::known);
        EXPECT_EQ(out_.facts().name(), common_facts().name);
        ASSERT_EQ(insert(key_, longer), Stored::stored);
        ASSERT_EQ(find(key_), Found::known);
        EXPECT_EQ(out_.facts().name(), longer.name);
        EXPECT_EQ(cache_.counts().known, 1u);
        ASSERT_EQ(insert_unknown(key_), Stored::stored);
        EXPECT_EQ(find(key_), Found::unknown);
        EXPECT_EQ(cache_.counts().known, 0u);
        EXPECT_TRUE(cache_.is_sound());
    }
    ASSERT_EQ(insert(key_, common_facts()), Stored::stored);
    EXPECT_EQ(cache_.counts().unknown, 0u);
}

TEST_F(KeyCacheTest, ForgetsAKeyThatChanged) {
    insert(key_, common_facts());
    cache_.invalidate(key_);
    EXPECT_EQ(find(key_), Found::nothing);
    insert_unknown(key_);
    cache_.invalidate(key_);
    EXPECT_EQ(find(key_), Found::nothing);
    insert(digest_of(2), common_facts());
    cache_.invalidate(key_);
    EXPECT_EQ(find(digest_of(2)), Found::known);
}

TEST_F(KeyCacheTest, RefusesAnAnswerThatWasUnderWayWhenItsKeyChanged) {
    const auto ticket = cache_.ticket(key_);
    cache_.invalidate(key_);
    EXPECT_EQ(cache_.insert_known(key_, ticket, 5, kNow, common_facts()), Stored::outdated);
    EXPECT_EQ(cache_.insert_unknown(key_, ticket, 5, kNow), Stored::outdated);
    EXPECT_EQ(find(key_), Found::nothing);
    EXPECT_EQ(insert(key_, common_facts()), Stored::stored);
}

TEST_F(KeyCacheTest, AChangeOfOneKeyLeavesQuestionsAboutOthersAlone) {
    int refused = 0;
    for (std::uint64_t other = 2; other < 1002; ++other) {
        const auto ticket = cache_.ticket(digest_of(other));
        cache_.invalidate(key_);
        if (cache_.insert_unknown(digest_of(other), ticket, 5, kNow) == Stored::outdated) ++refused;
    }
    EXPECT_LT(refused, 1000 / 4);  // a bucket of seven
}

TEST_F(KeyCacheTest, UsesNothingFromBeforeAllMayHaveChanged) {
    insert(key_, common_facts());
    insert_unknown(digest_of(2));
    const auto ticket = cache_.ticket(digest_of(3));
    cache_.invalidate_all();
    EXPECT_EQ(find(key_), Found::nothing);
    EXPECT_EQ(find(digest_of(2)), Found::nothing);
    EXPECT_EQ(cache_.insert_known(digest_of(3), ticket, 5, kNow, common_facts()), Stored::outdated);
    EXPECT_EQ(cache_.insert_unknown(digest_of(3), ticket, 5, kNow), Stored::outdated);
    EXPECT_EQ(cache_.counts().known, 1u) << "it still takes its room";
    EXPECT_EQ(insert(key_, common_facts()), Stored::stored);
    EXPECT_EQ(insert_unknown(digest_of(2)), Stored::stored);
    EXPECT_EQ(find(key_), Found::known);
    EXPECT_EQ(find(digest_of(2)), Found::unknown);
}

TEST_F(KeyCacheTest, AnAnswerThatComesInLateDoesNotReplaceALaterOne) {
    insert(key_, common_facts(), 20);
    EXPECT_EQ(insert_unknown(key_, 19), Stored::outdated);
    EXPECT_EQ(insert(key_, KeyFacts{}, 19), Stored::outdated);
    ASSERT_EQ(find(key_), Found::known);
    EXPECT_EQ(out_.says.validated_at, 20);
    EXPECT_EQ(insert_unknown(key_, 20), Stored::stored);
    EXPECT_EQ(insert(key_, common_facts(), 19), Stored::outdated);
    cache_.invalidate_all();
    EXPECT_EQ(insert(key_, common_facts(), 19), Stored::stored) << "what was later is of no use any more";
}

TEST_F(KeyCacheTest, AllocatesNothing) {
    KeyFacts longer = common_facts();
    longer.name.assign(700, 'n');
    EXPECT_EQ(test::allocations_of([&] {
                  insert(key_, longer);
                  insert_unknown(digest_of(2));
                  (void)cache_.find(key_, kNow, out_);
                  (void)cache_.find(digest_of(2), kNow, out_);
                  (void)cache_.find(digest_of(3), kNow, out_);
                  (void)cache_.ticket(digest_of(3));
                  (void)cache_.counts();
                  cache_.invalidate(key_);
                  cache_.invalidate_all();
              }),
              0u);
}

TEST_F(KeyCacheTest, IsTheSameCacheWhereverItIsMapped) {
    insert(key_, common_facts());
    const Block elsewhere;
    elsewhere.take(block_);
    const KeyCache copy = elsewhere.attach();
    ASSERT_TRUE(copy);
    EXPECT_EQ(copy.find(key_, kNow, out_), Found::known);
    EXPECT_TRUE(copy.is_sound());
}

TEST_F(KeyCacheTest, TakesNothingElseForACache) {
    auto* const header = static_cast<key_cache::Header*>(block_.memory());
    EXPECT_TRUE(block_.attach());
    EXPECT_FALSE(KeyCache::attach(block_.memory(), block_.bytes() - 8)) << "another size";
    ++header->layout;
    EXPECT_FALSE(block_.attach()) << "another layout";
    --header->layout;
    ++header->magic;
    EXPECT_FALSE(block_.attach()) << "something else";
    EXPECT_FALSE(Block().attach()) << "nothing";
    EXPECT_FALSE(KeyCache::create(block_.memory(), KeyCache::kMinBytes - 1, test::kSecret)) << "too small";
    EXPECT_FALSE(KeyCache());
}

TEST_F(KeyCacheTest, LiesInAnyMemoryThatIsAlignedToAWord) {
    for (std::size_t offset = 0; offset < 64; offset += 8) {
        const std::size_t bytes = KeyCache::kMinBytes + offset;
        const Block block(bytes + 128);
        std::memset(block.memory(), 0xa5, block.bytes());
        auto* const begin = static_cast<std::byte*>(block.memory()) + offset;
        cache_ = KeyCache::create(begin, bytes, test::kSecret);
        for (std::uint64_t key = 0; key < 500; ++key) {
            insert(digest_of(key), common_facts());
            insert_unknown(digest_of(key + 1000));
        }
        ASSERT_TRUE(cache_.is_sound());
        ASSERT_EQ(begin[bytes], std::byte{0xa5}) << "wrote behind its end";
        ASSERT_TRUE(offset == 0 || begin[-1] == std::byte{0xa5}) << "wrote before its beginning";
    }
}

// Also a reader whom a torn entry in the last way tells of the longest texts.
TEST_F(KeyCacheTest, KeepsReadersWithinItsMemory) {
    const Block block(KeyCache::kMinBytes + 4096);
    for (std::size_t bytes = KeyCache::kMinBytes; bytes <= block.bytes(); bytes += 8)
        ASSERT_TRUE(KeyCache::create(block.memory(), bytes, test::kSecret).is_sound()) << bytes << " bytes";
}

// What the memory looks like, to the last byte: entries are whole, and nothing that lay on the stack comes along. When
// this fails, the layout has changed: then change kLayout too, so that no reload takes the old one for the new.
TEST_F(KeyCacheTest, LayoutHasItsNumber) {
    insert(key_, common_facts(), 3);
    insert(digest_of(2), test::telling_facts(11, 0), 4);
    insert_unknown(digest_of(3), 5);
    const auto* const bytes = static_cast<const char*>(block_.memory());
    EXPECT_EQ(KeyCache::kLayout, 3u);
    EXPECT_EQ(to_hex_string(sha256({bytes, block_.bytes()}).value()),
              "748d5bc1344034b24da387ae2434be379a37372d47c0c5e919b8555270850b2c");
}

}  // namespace
}  // namespace apikey
