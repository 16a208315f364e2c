// The key cache against a plain map. It may forget; it must not lie. A few hundred keys of all lengths compete for a
// small cache while questions are under way, keys change, and now and then any key may have. What is promised:
//
//   a hit         is the latest answer that was stored of this key, to the last byte, and none of before its last
//                 invalidation, or the last of all keys
//   an answer     to a question of before its key's last invalidation is not stored
//   every state   is sound
//
// What happens is drawn from `Draw`: a function that gives any number below the one that it is given.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "tests/core/key_cache_block.hpp"

namespace apikey::test {

// What Redis says about a key at one moment: versions that five divides are no key at all.
struct KeyAnswer {
    std::int64_t version;
    KeyCache::Millis validated_at;
    [[nodiscard]] bool is_unknown() const { return version % 5 == 0; }
};

struct KeyQuestion {
    std::uint64_t key;
    KeyCache::Ticket ticket;
    KeyAnswer answer;    // what Redis says
    std::uint64_t step;  // when the ticket was taken
};

template <class Draw>
class KeyCacheModel {
  public:
    KeyCacheModel(Draw draw, std::uint64_t keys, std::size_t bytes)
        : draw_(std::move(draw)), keys_(keys), block_(bytes), versions_(keys), invalidated_(keys) {}

    void step() {
        ++step_;
        now_ += chance(20) ? 1 : 0;
        const std::uint64_t dice = below(100);
        if (dice < 3) return change();
        if (dice < 6) return announce();
        if (dice < 30) return ask();
        if (dice < 60) return answer_one();
        if (dice < 99) return look_up(below(keys_));
        if (chance(20)) announce_all();
    }

    void check_all() {
        ASSERT_TRUE(cache_.is_sound());
        for (std::uint64_t key = 0; key < keys_; ++key)
            look_up(key);
    }

    std::uint64_t looked_up = 0, hits = 0, unknown_hits = 0, refused = 0, refused_in_vain = 0, stored = 0;

  private:
    std::uint64_t below(std::uint64_t limit) { return draw_(limit); }
    bool chance(std::uint64_t one_in) { return below(one_in) == 0; }

    // The key changes in Redis; the message about it comes later.
    void change() {
        const std::uint64_t key = below(keys_);
        ++versions_[key];
        unannounced_.push_back(key);
    }
    void announce() {
        if (unannounced_.empty()) return;
        const std::size_t at = below(unannounced_.size());
        const std::uint64_t key = unannounced_[at];
        unannounced_.erase(unannounced_.begin() + static_cast<std::ptrdiff_t>(at));
        cache_.invalidate(digest_of(key));
        latest_.erase(key);
        invalidated_[key] = step_;
    }
    void announce_all() {
        unannounced_.clear();
        cache_.invalidate_all();
        latest_.clear();
        for (std::uint64_t key = 0; key < keys_; ++key)
            invalidated_[key] = step_;
    }

    void ask() {
        if (questions_.size() >= 10) return;
        const std::uint64_t key = below(keys_);
        questions_.push_back({key, cache_.ticket(digest_of(key)), {versions_[key], ++clock_}, step_});
    }
    void answer_one() {
        if (questions_.empty()) return;
        const std::size_t at = below(questions_.size());
        KeyQuestion question = questions_[at];
        questions_.erase(questions_.begin() + static_cast<std::ptrdiff_t>(at));
        if (chance(2)) question.answer.version = versions_[question.key];  // it was read late
        store(question);
    }

    void store(const KeyQuestion& question) {
        const Digest digest = digest_of(question.key);
        const auto& [version, validated_at] = question.answer;
        const auto result = question.answer.is_unknown()
                                ? cache_.insert_unknown(digest, question.ticket, validated_at, now_)
                                : cache_.insert_known(digest, question.ticket, validated_at, now_,
                                                      telling_facts(question.key, version));
        const auto latest = latest_.find(question.key);
        const bool is_late = latest != latest_.end() && latest->second.validated_at > validated_at;
        if (result == KeyCache::Stored::stored) {
            ++stored;
            ASSERT_GT(question.step, invalidated_[question.key]) << "kept what may have changed since";
            latest_[question.key] = question.answer;
            return;
        }
        ASSERT_EQ(result, KeyCache::Stored::outdated);
        ++refused;
        if (question.step > invalidated_[question.key] && !is_late) ++refused_in_vain;  // a neighbour changed
    }

    void look_up(std::uint64_t key) {
        RoomyCachedKey found;
        const auto result = cache_.find(digest_of(key), now_, found);
        ++looked_up;
        if (result == KeyCache::Found::nothing) return;
        ++hits;
        const auto latest = latest_.find(key);
        ASSERT_NE(latest, latest_.end()) << "key " << key << " was forgotten at " << invalidated_[key];
        ASSERT_EQ(found.says.validated_at, latest->second.validated_at);
        ASSERT_EQ(result == KeyCache::Found::unknown, latest->second.is_unknown());
        if (result == KeyCache::Found::unknown) {
            ++unknown_hits;
            return;
        }
        ASSERT_TRUE(found.facts() == telling_facts(key, latest->second.version));
    }

    Draw draw_;
    const std::uint64_t keys_;
    Block block_;
    KeyCache cache_ = block_.create();
    std::uint64_t step_ = 0;
    std::uint32_t now_ = 65'000;
    KeyCache::Millis clock_ = 0;
    std::vector<std::int64_t> versions_;
    std::vector<std::uint64_t> invalidated_;     // the step of the last invalidation that was applied
    std::map<std::uint64_t, KeyAnswer> latest_;  // the last that was stored, until it is invalidated
    std::vector<std::uint64_t> unannounced_;
    std::vector<KeyQuestion> questions_;
};

}  // namespace apikey::test
