// A usage slot against a plain map. A few hundred keys and labels compete for small slots; batches are sealed, freed late,
// and the slot changes hands. What is promised:
//
//   what was counted  is in the batches, to the last token: nothing is lost, doubled, or counted to another key
//   other labels      are counted as (other), and nothing else of them changes
//   a sealed batch    never changes, is no larger than it may be, and is freed in order
//   every state       is sound
//
// What happens is drawn from `Draw`: a function that gives any number below the one that it is given.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <utility>

#include "core/usage/batch_text.hpp"
#include "tests/core/usage_slot_block.hpp"

namespace apikey::test {

// How much of everything there is.
struct SlotWorld {
    std::size_t bytes;
    std::size_t keys;
    std::size_t endpoints;
    std::size_t models;  // only one of the two is more than what every slot has room for
    std::uint64_t sequence;
};

inline std::string numbered(const char* text, std::size_t number) {
    return text + std::to_string(number) + std::string(number % 7 * 5, '\\');
}

template <class Draw>
class UsageSlotModel {
  public:
    UsageSlotModel(const SlotWorld& world, Draw draw)
        : draw_(std::move(draw)),
          world_(world),
          block_(world.bytes),
          other_block_(world.bytes),
          slot_(block_.create(world.sequence)) {}

    void step() {
        now_ += static_cast<std::int64_t>(below(1'000));
        const std::uint64_t dice = below(1'000);
        if (dice < 980) return add();
        if (dice < 988) return seal();
        if (dice < 995) return free();
        change_hands();
    }

    void end() {
        while (slot_.has_rows()) {
            seal();
            free_until(slot_.next());
        }
        free_until(slot_.next());
        ASSERT_TRUE(shipped_ == counted_);
    }

    std::uint64_t added = 0, others = 0, full = 0, ring_full = 0, batches = 0, multiple = 0;

  private:
    std::uint64_t below(std::uint64_t limit) { return draw_(limit); }

    void add() {
        // Few of them are asked for often.
        const std::size_t number = below(2) == 0 ? below(world_.keys) : below(std::min<std::size_t>(world_.keys, 5));
        const std::string key_id = "key-" + std::to_string(number);
        const std::string user = numbered("user ", number / 3);
        const std::string endpoint = numbered("endpoint\t", below(world_.endpoints));
        const std::string model = below(4) == 0 ? "" : numbered("model\n", below(world_.models));
        usage::Record record = request_of(key_id, user, now_ - static_cast<std::int64_t>(below(120'000)));
        record.key_hash = number % 13;  // many keys have the same
        record.endpoint = label(endpoint);
        record.model = label(model);
        const bool only_last_used = below(10) == 0;
        record.success = below(5) != 0;
        record.tokens_in = below(1'000);
        record.tokens_out = below(1'000);
        record.tokens_cached = below(10) << 32;
        if (below(2) == 0) record.cost = below(1'000'000'000'000);
        const usage::UsageSlot::Addition addition = only_last_used ? slot_.touch(record) : slot_.add(record);
        ASSERT_NE(addition.added, usage::UsageSlot::Added::too_long);
        ASSERT_FALSE(addition.saturated);
        if (addition.added == usage::UsageSlot::Added::full) return make_room();
        count_use(record);
        if (!only_last_used) count(record, addition.other);
    }

    void count_use(const usage::KeyUse& use) {
        ++added;
        std::string& last_used = counted_.last_used[std::string(use.key_id())];
        last_used = std::max(last_used, written_at(use.at));
    }

    void count(const usage::Record& record, bool other) {
        if (other) ++others;
        const bool many_endpoints = world_.endpoints > world_.models;
        std::string minute = written_at(record.at).substr(0, 17) + "00Z";
        Ledger::Sums& sums =
            counted_.rows[{std::string(record.user()), std::string(record.key_id()), minute,
                           std::string(other && many_endpoints ? usage::kOtherLabel : record.endpoint.text),
                           std::string(other && !many_endpoints ? usage::kOtherLabel : record.model.text),
                           record.success ? "success" : "error", record.cost ? "cost" : "no cost"}];
        ++sums.requests;
        sums.in += record.tokens_in;
        sums.out += record.tokens_out;
        sums.cached += record.tokens_cached;
        sums.cost += record.cost.value_or(0);
    }

    static std::string written_at(std::int64_t unix_ms) {
        std::array<char, 24> text;
        usage::LineWriter(text.data(), text.size()).instant(unix_ms);
        return {text.data(), text.size()};
    }

    // Nothing more can be counted: rows or keys are gone, or their lines would not find room in an empty ring.
    void make_room() {
        ++full;
        ASSERT_TRUE(slot_.is_crowded());
        if (below(4) != 0) free();
        seal();
    }

    void seal() {
        const std::uint64_t next = slot_.next();
        const bool had_rows = slot_.has_rows();
        if (!slot_.seal(now_)) {
            ++ring_full;
            ASSERT_EQ(slot_.next(), next);
            ASSERT_TRUE(had_rows && slot_.has_rows());
            ASSERT_NE(slot_.first(), slot_.next()) << "an empty ring has room for everything";
            return;
        }
        ASSERT_FALSE(slot_.has_rows());
        ASSERT_EQ(slot_.next() != next, had_rows);
        if (slot_.next() - next > 1) ++multiple;
        for (std::uint64_t at = next; at < slot_.next(); ++at) {
            const usage::Batch batch = slot_.batch(at);
            ASSERT_EQ(batch.sealed, now_);
            ASSERT_LE(batch.keys.size() + batch.rows.size(), slot_.most_batch_bytes());
            ASSERT_GT(batch.keys.size() + batch.rows.size(), 0u);
            sealed_[at] = {std::string(batch.keys), std::string(batch.rows)};
        }
        ASSERT_TRUE(slot_.check());
    }

    void free() { free_until(slot_.first() + below(slot_.next() - slot_.first() + 1)); }

    void free_until(std::uint64_t end) {
        for (std::uint64_t at = slot_.first(); at < end; ++at) {
            const usage::Batch batch = slot_.batch(at);
            ASSERT_EQ(batch.keys, sealed_.at(at).first);
            ASSERT_EQ(batch.rows, sealed_.at(at).second);
            shipped_.take(batch);
            ++batches;
        }
        slot_.free(end);
        ASSERT_EQ(slot_.first(), end);
        ASSERT_TRUE(slot_.check());
    }

    void change_hands() {
        const usage::Owner last = slot_.owner();
        if (below(2) == 0) {
            other_block_.take(block_);
            swap(block_, other_block_);
        }
        slot_ = block_.slot();
        ASSERT_TRUE(slot_.take(last, last + 1));
        slot_.recover();
        ASSERT_TRUE(slot_.check());
    }

    Draw draw_;
    const SlotWorld world_;
    SlotBlock block_;
    SlotBlock other_block_;  // the same memory elsewhere
    usage::UsageSlot slot_;
    std::int64_t now_ = 1'795'831'507'000;
    Ledger counted_, shipped_;
    std::map<std::uint64_t, std::pair<std::string, std::string>> sealed_;
};

}  // namespace apikey::test
