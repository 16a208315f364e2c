// An owner of a usage slot that is killed after each of its stores. The shipped code knows nothing of it: the owner is
// run one instruction at a time, and whenever the memory has changed, on a copy of it,
//
//   the slot is sound, also before the next owner has put anything in order;
//   the next owner recovers, seals and finds what was counted before, or what is counted afterwards, never a part of it;
//   a state afterwards never goes back to one before;
//   a next owner that is killed while it recovers leaves no more to do than it found.
//
// Hazards: U1, U4
#include <gtest/gtest.h>

#include <bit>
#include <functional>
#include <memory>

#include "core/usage/usage_slot_layout.hpp"
#include "tests/core/stepped_process.hpp"
#include "tests/core/usage_slot_block.hpp"

namespace apikey::test {
namespace {

using usage::UsageSlot;

constexpr usage::Owner kDead = 1;
constexpr usage::Owner kNext = 2;

struct Scenario {
    const char* name;
    std::function<void(UsageSlot&)> prepare;
    std::function<void(UsageSlot&)> run;
};
void PrintTo(const Scenario& scenario, std::ostream* out) {
    *out << scenario.name;
}

void add(UsageSlot& slot, const usage::Record& record) {
    if (slot.add(record).added != UsageSlot::Added::counted) std::abort();
}

// Texts that outlive their records.
const std::string kTexts[] = {"key 0", "key 1", "key 2", "key 3"};

// Every sum of it tells how often it was counted.
usage::Record telling(std::size_t key, std::int64_t minute = 1) {
    usage::Record record = request_of(kTexts[key], "user", minute * 60'000 + 500);
    record.tokens_in = 1'000;
    record.tokens_out = 1'000'000;
    record.tokens_cached = 1'000'000'000;
    record.cost = 10'000'000'000;
    return record;
}

void count_some(UsageSlot& slot) {
    for (const std::size_t key : {0, 1, 2})
        add(slot, telling(key));
}

// Until the ring ends behind less than three more rows.
void go_to_end_of_ring(UsageSlot& slot) {
    const char* end = nullptr;
    for (const char* begin = nullptr; begin == nullptr || end < begin + slot.most_batch_bytes() * 4 - 400;) {
        add(slot, telling(0));
        if (!slot.seal(1)) std::abort();
        const usage::Batch batch = slot.batch(slot.next() - 1);
        if (begin == nullptr) begin = batch.keys.data();
        end = std::to_address(batch.rows.end());
        slot.free(slot.next() - 1);
    }
}

const std::vector<Scenario>& scenarios() {
    const auto run = [](const usage::Record& record) -> std::function<void(UsageSlot&)> {
        return [record](UsageSlot& slot) { (void)slot.add(record); };
    };
    const auto touch = [](const usage::KeyUse& use) -> std::function<void(UsageSlot&)> {
        return [use](UsageSlot& slot) { (void)slot.touch(use); };
    };
    usage::Record labelled = telling(1);
    labelled.endpoint = label("new endpoint");
    labelled.model = label("new model");
    const auto seal = [](UsageSlot& slot) { (void)slot.seal(5); };
    static const std::vector<Scenario> all = {
        {"KnownRow", count_some, run(telling(1))},
        {"NewRow", count_some, run(telling(1, 2))},
        {"NewKey", count_some, run(telling(3, 2))},
        {"FirstOfAll", [](UsageSlot&) {}, run(telling(0))},
        {"FirstAfterASeal",
         [=](UsageSlot& slot) {
             count_some(slot);
             (void)slot.seal(1);
         },
         run(telling(1))},
        {"NewLabels", count_some, run(labelled)},
        {"OnlyLastUsed", count_some, touch(telling(1, 7))},
        {"OnlyLastUsedOfANewKey", count_some, touch(telling(3, 7))},
        {"Seal", count_some, seal},
        {"SealAroundTheEndOfTheRing",
         [](UsageSlot& slot) {
             go_to_end_of_ring(slot);
             count_some(slot);
         },
         [](UsageSlot& slot) {
             const std::uint64_t next = slot.next();
             if (!slot.seal(5) || slot.next() != next + 2) std::abort();
         }},
        {"SealWithoutRoom",
         [](UsageSlot& slot) {
             do {
                 count_some(slot);
             } while (slot.seal(1));
         },
         [](UsageSlot& slot) {
             if (slot.seal(5)) std::abort();
         }},
        {"Free",
         [](UsageSlot& slot) {
             count_some(slot);
             (void)slot.seal(1);
             count_some(slot);
         },
         [](UsageSlot& slot) { slot.free(slot.next()); }},
        {"Release", count_some, [](UsageSlot& slot) { slot.release(); }},
    };
    return all;
}

// All that the slot's batches and rows come to.
struct Contents {
    Ledger batches;  // that are sealed
    Ledger rest;     // that another seal makes
    bool operator==(const Contents&) const = default;
};

class Trial {
  public:
    explicit Trial(const Scenario& scenario) : scenario_(scenario) {
        UsageSlot slot = before_.create(0xffff'fff0);
        (void)slot.take(0, kDead);
        scenario.prepare(slot);
        at_first_ = contents_of(before_);
        real_.take(before_);
        slot = real_.slot();
        scenario.run(slot);
        at_last_ = contents_of(real_);
        real_.take(before_);
    }

    // Runs an owner on the real memory; gives how many of its stores were seen. `on_store` is called after each.
    std::size_t step(const SlotBlock& memory, const std::function<void(UsageSlot&)>& job,
                     const std::function<void()>& on_store) {
        UsageSlot slot = memory.slot();
        const SlotBlock last;
        last.take(memory);
        SteppedProcess owner([&] { job(slot); });
        std::size_t stores = 0;
        while (owner.step()) {
            if (!last.take(memory)) continue;
            ++stores;
            on_store();
            if (testing::Test::HasFatalFailure()) break;
        }
        return stores;
    }

    // The owner runs to its end. Keeps some of the memories where it could have died: all that the next one has to redo.
    std::size_t run() {
        std::size_t stores = 0;
        const auto& header = *reinterpret_cast<const usage::slot::Header*>(real_.memory());
        return step(real_, scenario_.run, [&] {
            check(real_);
            if (!std::has_single_bit(++stores) && header.redo.armed == 0) return;
            killed_.push_back(std::make_unique<SlotBlock>());
            killed_.back()->take(real_);
        });
    }

    // The next owner dies too, while it recovers.
    void recover() {
        for (const auto& killed : killed_) {
            changed_ = false;
            step(
                *killed,
                [](UsageSlot& slot) {
                    (void)slot.take(slot.owner(), kNext);
                    slot.recover();
                },
                [&] { check(*killed); });
        }
    }

    // Everything that is promised about a memory whose owner was killed.
    void check(const SlotBlock& memory) {
        ASSERT_TRUE(memory.slot().check());
        const Contents contents = contents_of(memory);
        ASSERT_TRUE(contents == at_first_ || contents == at_last_);
        if (contents == at_last_) changed_ = true;
        ASSERT_TRUE(contents == at_last_ || !changed_) << "back to what was before";
    }

    [[nodiscard]] const Contents& at_first() const { return at_first_; }
    [[nodiscard]] const Contents& at_last() const { return at_last_; }
    [[nodiscard]] bool has_changed() const { return changed_; }

  private:
    // What the next owner finds.
    Contents contents_of(const SlotBlock& memory) {
        copy_.take(memory);
        UsageSlot slot = copy_.slot();
        EXPECT_TRUE(slot.take(slot.owner(), kNext));
        slot.recover();
        EXPECT_TRUE(slot.check());
        Contents contents;
        contents.batches.take_all(slot);
        slot.free(slot.next());
        EXPECT_TRUE(slot.seal(9));
        contents.rest.take_all(slot);
        EXPECT_TRUE(slot.check());
        slot.free(slot.next());
        check_next_owner(slot);
        return contents;
    }

    // The next owner counts on, as if nothing had been.
    static void check_next_owner(UsageSlot& slot) {
        for (const std::size_t key : {3, 1, 3})
            add(slot, telling(key));
        const Ledger ledger = sealed(slot);
        EXPECT_EQ(ledger.rows.size(), 2u);
        EXPECT_EQ(ledger.requests(), 3u);
        EXPECT_TRUE(slot.check());
    }

    const Scenario& scenario_;
    SlotBlock before_, real_, copy_;
    std::vector<std::unique_ptr<SlotBlock>> killed_;
    Contents at_first_, at_last_;
    bool changed_ = false;
};

class UsageSlotKilled : public testing::TestWithParam<Scenario> {};

TEST_P(UsageSlotKilled, CountsEachRequestOnceOrNotAtAll) {
    Trial trial(GetParam());
    const std::size_t stores = trial.run();
    if (stores == 0 && trial.at_first() != trial.at_last())
        GTEST_SKIP() << "this machine does not let a process trace its own child";
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_TRUE(trial.has_changed());
    trial.recover();
}

INSTANTIATE_TEST_SUITE_P(, UsageSlotKilled, testing::ValuesIn(scenarios()),
                         [](const auto& scenario) { return std::string(scenario.param.name); });

}  // namespace
}  // namespace apikey::test
