// The rules of the key cache, one by one. Hazards: N18, N26, X1, X3.
#include "core/key_cache.hpp"

#include <gtest/gtest.h>

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
    Stored insert(const Digest& digest, const KeyFacts& facts, KeyCache::Millis validated_at = 1,
                  std::uint32_t now = kNow) {
        return cache_.insert_known(digest, cache_.ticket(digest), validated_at, now, facts);
    }
    Stored insert_unknown(const Digest& digest, KeyCache::Millis validated_at = 1, std::uint32_t now = kNow) {
        return cache_.insert_unknown(digest, cache_.ticket(digest), validated_at, now);
    }
    Found find(const Digest& digest, std::uint32_t now = kNow) { return cache_.find(digest, now, out_); }

    Block block_;
    KeyCache cache_ = block_.create();
    CachedKey out_;
};

TEST_F(KeyCacheTest, KnowsNothingAtFirst) {
    EXPECT_EQ(find(digest_of(1)), Found::nothing);
    EXPECT_EQ(find(Digest{}), Found::nothing);
    EXPECT_TRUE(cache_.is_sound());
}

TEST_F(KeyCacheTest, GivesBackWhatWasStored) {
    const KeyFacts facts = common_facts();
    ASSERT_EQ(insert(digest_of(1), facts, 1234), Stored::stored);
    ASSERT_EQ(find(digest_of(1)), Found::known);
    EXPECT_EQ(out_.id, facts.id);
    EXPECT_EQ(out_.user, facts.user);
    EXPECT_EQ(out_.name, facts.name);
    EXPECT_EQ(out_.prefix, facts.prefix);
    EXPECT_EQ(out_.scopes, facts.scopes);
    EXPECT_EQ(out_.expires, facts.expires);
    EXPECT_EQ(out_.validated_at, 1234);
    EXPECT_EQ(find(digest_of(2)), Found::nothing);
    EXPECT_TRUE(cache_.is_sound());
}

TEST_F(KeyCacheTest, RemembersUnknownKeys) {
    ASSERT_EQ(insert_unknown(digest_of(1), 77), Stored::stored);
    ASSERT_EQ(find(digest_of(1)), Found::unknown);
    EXPECT_EQ(out_.validated_at, 77);
    EXPECT_TRUE(cache_.is_sound());
}

}  // namespace
}  // namespace apikey
