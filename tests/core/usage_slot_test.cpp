// A usage slot, one promise after the other.
// Hazards: D13, U4, U5, U6
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <limits>

#include "core/usage/usage_slot_layout.hpp"
#include "tests/core/allocations.hpp"
#include "tests/core/stepped_process.hpp"
#include "tests/core/usage_slot_block.hpp"

namespace apikey::test {
namespace {

using usage::UsageSlot;
using Added = UsageSlot::Added;

constexpr std::uint64_t kMostSum = std::numeric_limits<std::int64_t>::max();

TEST(UsageSlot, NeedsMemoryOfItsSizeAndAlignment) {
    const SlotBlock block(UsageSlot::kFewestBytes + 64);
    EXPECT_FALSE(UsageSlot::create(block.memory(), UsageSlot::kFewestBytes - 1));
    EXPECT_FALSE(UsageSlot::create(block.memory() + 8, UsageSlot::kFewestBytes));
    EXPECT_TRUE(UsageSlot::create(block.memory() + 64, UsageSlot::kFewestBytes));
    EXPECT_TRUE(UsageSlot(block.memory() + 64).check());
}

TEST(UsageSlot, WritesTheLinesOfItsBatch) {
    const SlotBlock block;
    UsageSlot slot = block.create(7);
    usage::Record record = request_of("id", "me", 1'795'831'507'123);
    record.tokens_in = 10;
    record.tokens_out = 20;
    record.tokens_cached = 5;
    EXPECT_FALSE(slot.has_rows());
    EXPECT_EQ(slot.add(record).added, Added::counted);
    EXPECT_TRUE(slot.has_rows());
    record.at -= 7'000;
    record.cost = 1'500'000'000'000;
    EXPECT_EQ(slot.add(record).added, Added::counted);
    record.success = false;
    record.model = label("");
    EXPECT_EQ(slot.add(record).added, Added::counted);

    ASSERT_TRUE(slot.seal(99));
    EXPECT_FALSE(slot.has_rows());
    EXPECT_EQ(slot.first(), 7u);
    EXPECT_EQ(slot.next(), 8u);
    const usage::Batch batch = slot.batch(7);
    EXPECT_EQ(batch.sequence, 7u);
    EXPECT_EQ(batch.sealed, 99);
    EXPECT_EQ(batch.keys, "id\t2026-11-28T02:05:07.123Z\n");
    EXPECT_EQ(batch.rows,
              "me\tid\t2026-11-28T02:05:00Z\tendpoint\tmodel\tsuccess\t1\t10\t20\t5\t\\N\n"
              "me\tid\t2026-11-28T02:05:00Z\tendpoint\tmodel\tsuccess\t1\t10\t20\t5\t1.5\n"
              "me\tid\t2026-11-28T02:05:00Z\tendpoint\t\terror\t1\t10\t20\t5\t1.5\n");
    EXPECT_TRUE(slot.check());
}

TEST(UsageSlot, SealsNothingWhenThereIsNothing) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    EXPECT_TRUE(slot.seal(1));
    EXPECT_EQ(slot.next(), 0u);
    ASSERT_EQ(slot.add(request_of("id")).added, Added::counted);
    EXPECT_TRUE(slot.seal(1));
    EXPECT_TRUE(slot.seal(1));
    EXPECT_EQ(slot.next(), 1u);
    slot.free(1);
    EXPECT_EQ(slot.first(), 1u);
}

TEST(UsageSlot, LastUsedOnlyMovesForwardAndNeedsNoRow) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    usage::Record record = request_of("id", "me", 5'000);
    for (const std::int64_t at : {5'000, 9'001, 2'000}) {
        record.at = at;
        EXPECT_EQ(slot.touch(record), Added::counted);
    }
    EXPECT_TRUE(slot.has_rows());
    ASSERT_TRUE(slot.seal(0));
    EXPECT_EQ(slot.batch(0).keys, "id\t1970-01-01T00:00:09.001Z\n");
    EXPECT_EQ(slot.batch(0).rows, "");
}

TEST(UsageSlot, TellsKeysApartWhoseHashIsTheSame) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    for (const auto& [id, user] : {std::pair{"a", "bc"}, {"ab", "c"}, {"a", "bd"}, {"a", "bc"}}) {
        usage::Record record = request_of(id, user);
        record.key_hash = 1;
        ASSERT_EQ(slot.add(record).added, Added::counted);
    }
    const Ledger ledger = sealed(slot);
    ASSERT_EQ(ledger.rows.size(), 3u);
    EXPECT_EQ((ledger.rows.at({"bc", "a", "1970-01-01T00:01:00Z", "endpoint", "model", "success", "no cost"}).requests),
              2u);
}

TEST(UsageSlot, SumsStayAtTheirMost) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    usage::Record record = request_of("id");
    record.tokens_in = kMostSum - 1;
    record.cost = kMostSum;
    EXPECT_FALSE(slot.add(record).saturated);
    record.tokens_in = 1;
    record.cost = 0;
    EXPECT_FALSE(slot.add(record).saturated);
    record.tokens_out = std::numeric_limits<std::uint64_t>::max();
    EXPECT_TRUE(slot.add(record).saturated);
    record.tokens_out = 0;
    record.tokens_cached = 3;
    EXPECT_TRUE(slot.add(record).saturated) << "tokens_in";
    record.tokens_in = 0;
    record.cost = 1;
    EXPECT_TRUE(slot.add(record).saturated) << "cost";
    EXPECT_TRUE(slot.check());
    ASSERT_TRUE(slot.seal(0));
    EXPECT_EQ(
        slot.batch(0).rows,
        "user\tid\t1970-01-01T00:01:00Z\tendpoint\tmodel\tsuccess\t5\t9223372036854775807\t9223372036854775807\t6\t"
        "9223372.036854775807\n");
}

TEST(UsageSlot, RefusesWhatNoBatchWouldHold) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    const std::string most(slot.most_batch_bytes(), 'i');
    EXPECT_EQ(slot.add(request_of(most)).added, Added::too_long);
    EXPECT_EQ(slot.add(request_of("id", most)).added, Added::too_long);
    EXPECT_FALSE(slot.has_rows());
    // The longest that is not refused fits, whatever is escaped in it, and with labels of escapes alone.
    const std::string escapes(usage::kMaxLabelBytes, '\n');
    std::string user(most.size(), '\\');
    usage::Record record = request_of("id", user);
    record.endpoint = record.model = label(escapes);
    for (; slot.add(record).added == Added::too_long; name_key(record, "id", user))
        user.pop_back();
    EXPECT_GT(user.size(), 1'500u);
    EXPECT_TRUE(slot.check());
    const Ledger ledger = sealed(slot);
    EXPECT_EQ((ledger.rows.at({user, "id", "1970-01-01T00:01:00Z", escapes, escapes, "success", "no cost"}).requests),
              1u);
}

TEST(UsageSlot, CountsWhatFindsNoRoomAmongTheLabelsUnderOther) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    std::uint64_t others = 0;
    for (int at = 0; at < 100; ++at) {
        const std::string endpoint = "endpoint " + std::to_string(at % 50);
        usage::Record record = request_of("id");
        record.endpoint = label(endpoint);
        const UsageSlot::Addition addition = slot.add(record);
        ASSERT_EQ(addition.added, Added::counted);
        if (addition.other) ++others;
    }
    usage::Record record = request_of("id");
    record.model = label(std::string(usage::kMaxLabelBytes + 1, 'm'));
    EXPECT_TRUE(slot.add(record).other) << "too long for a label";
    record.model = label("");
    record.endpoint = label("");
    EXPECT_FALSE(slot.add(record).other) << "none";
    record.endpoint = label(usage::kOtherLabel);
    EXPECT_FALSE(slot.add(record).other) << "by its name";
    const Ledger ledger = sealed(slot);
    EXPECT_GE(ledger.rows.size(), 16u);
    EXPECT_EQ(ledger.requests(), 103u);
    EXPECT_EQ(
        (ledger.rows.at({"user", "id", "1970-01-01T00:01:00Z", "(other)", "model", "success", "no cost"}).requests),
        others);
    EXPECT_GT(others, 0u);
}

TEST(UsageSlot, HasRoomForFewerLabelsOrKeysWhoseTextsAreLong) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    usage::Record record = request_of("id");
    std::uint64_t counted = 0;
    for (bool other = false; !other; ++counted) {
        const std::string text = std::to_string(counted) + std::string(usage::kMaxLabelBytes - 2, 'x');
        record.model = label(std::string_view(text).substr(0, usage::kMaxLabelBytes));
        other = slot.add(record).other;
        ASSERT_TRUE(slot.check());
    }
    EXPECT_GT(counted, 4u);
    const std::string user(255, 'u');
    for (Added added = Added::counted; added == Added::counted; ++counted) {
        record.key_hash = counted;
        name_key(record, "id", user);
        added = slot.touch(record);
        ASSERT_TRUE(slot.check());
    }
    EXPECT_TRUE(slot.is_crowded());
}

// A flood of them is over with its batch; a few stay, and are not written again.
TEST(UsageSlot, LabelsAreForgottenWithTheirRowsWhereThereAreMany) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    const auto adds_label = [&](int at) {
        const std::string text = "label " + std::to_string(at);
        usage::Record record = request_of("id");
        record.endpoint = label(text);
        return !slot.add(record).other;
    };
    int room = 0;
    while (adds_label(room))
        ++room;
    slot.recover();
    EXPECT_FALSE(adds_label(room)) << "rows use them";
    ASSERT_TRUE(slot.seal(0));
    for (int at = 0; at < room; ++at)
        EXPECT_TRUE(adds_label(room + at)) << "no row uses any";
    EXPECT_TRUE(slot.check());
    ASSERT_TRUE(slot.seal(0));
    EXPECT_TRUE(slot.check());
}

TEST(UsageSlot, IsFullBeforeTheRingCouldNotHoldIt) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    const std::string escapes(usage::kMaxLabelBytes, '\r');
    std::uint64_t counted = 0;
    for (UsageSlot::Addition addition = Added::counted; addition.added == Added::counted; ++counted) {
        EXPECT_LT(counted, 10'000u);
        usage::Record record = request_of("id", "user", static_cast<std::int64_t>(counted) * 60'000);
        record.endpoint = record.model = label(escapes);
        record.cost = kMostSum;
        record.tokens_in = record.tokens_out = record.tokens_cached = kMostSum;
        addition = slot.add(record);
    }
    EXPECT_TRUE(slot.is_crowded());
    EXPECT_TRUE(slot.check());
    EXPECT_EQ(sealed(slot).requests(), counted - 1);
    EXPECT_TRUE(slot.is_backed_up());
    EXPECT_FALSE(slot.is_crowded());
    for (std::uint64_t batch = slot.first(); batch < slot.next(); ++batch)
        EXPECT_LE(slot.batch(batch).keys.size() + slot.batch(batch).rows.size(), slot.most_batch_bytes());
}

TEST(UsageSlot, HoldsAtLeastWhatItsSizePromises) {
    for (const auto& [bytes, rows, keys] : {std::array<std::size_t, 3>{32 << 10, 64, 32},
                                            {48 << 10, 64, 36},
                                            {256 << 10, 550, 300},
                                            {4 << 20, 8'000, 4'000}}) {
        const SlotBlock block(bytes);
        UsageSlot slot = block.create();
        const std::string user(36, 'u');
        for (std::size_t at = 0; at < rows; ++at) {
            std::string id = std::to_string(at % keys);
            id.resize(36, '-');
            ASSERT_EQ(slot.add(request_of(id, user, static_cast<std::int64_t>(at / keys) * 60'000)).added,
                      Added::counted)
                << bytes << " bytes, row " << at;
        }
        EXPECT_TRUE(slot.check());
        EXPECT_EQ(sealed(slot).requests(), rows);
        EXPECT_TRUE(slot.check());
    }
}

TEST(UsageSlot, ChangesNothingWhenTheRingIsFull) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    std::uint64_t sealed_requests = 0;
    const auto fill = [&] {
        for (int at = 0; at < 40; ++at)
            EXPECT_EQ(slot.add(request_of("id", "user", at * 60'000)).added, Added::counted);
    };
    for (fill(); slot.seal(0); fill())
        sealed_requests += 40;
    EXPECT_TRUE(slot.is_backed_up());
    Ledger ledger;
    ledger.take_all(slot);
    EXPECT_EQ(ledger.requests(), sealed_requests);
    EXPECT_TRUE(slot.check());
    EXPECT_FALSE(slot.seal(0));
    const std::uint64_t end = slot.next();
    slot.free(end);
    EXPECT_FALSE(slot.is_backed_up());
    ASSERT_TRUE(slot.seal(0));
    Ledger rest;
    rest.take_all(slot);
    EXPECT_EQ(rest.requests(), 40u);
    EXPECT_TRUE(slot.check());
}

TEST(UsageSlot, HasAPlaceForSoManyBatches) {
    const SlotBlock block(1 << 20);
    UsageSlot slot = block.create();
    for (std::uint64_t batch = 0; batch < UsageSlot::kPlaces; ++batch) {
        EXPECT_EQ(slot.is_backed_up(), batch > UsageSlot::kPlaces / 2);
        ASSERT_EQ(slot.add(request_of("id")).added, Added::counted);
        ASSERT_TRUE(slot.seal(0));
    }
    ASSERT_EQ(slot.add(request_of("id")).added, Added::counted);
    EXPECT_FALSE(slot.seal(0));
    EXPECT_TRUE(slot.check());
    slot.free(1);
    EXPECT_TRUE(slot.seal(0));
    EXPECT_EQ(slot.first(), 1u);
    EXPECT_EQ(slot.next(), UsageSlot::kPlaces + 1);
    EXPECT_TRUE(slot.check());
}

TEST(UsageSlot, FreesNoMoreThanThereIs) {
    const SlotBlock block;
    UsageSlot slot = block.create(5);
    ASSERT_EQ(slot.add(request_of("id")).added, Added::counted);
    ASSERT_TRUE(slot.seal(0));
    slot.free(4);
    EXPECT_EQ(slot.first(), 5u);
    slot.free(100);
    EXPECT_EQ(slot.first(), 6u);
    EXPECT_TRUE(slot.check());
}

TEST(UsageSlot, StandsTheLowHalfOfTheSequenceComingRound) {
    const SlotBlock block;
    UsageSlot slot = block.create(0xffff'fffe);
    for (std::uint64_t batch = 0xffff'fffe; batch < 0x1'0000'0003; ++batch) {
        ASSERT_EQ(slot.add(request_of("id")).added, Added::counted);
        ASSERT_TRUE(slot.check());
        ASSERT_TRUE(slot.seal(0));
        EXPECT_EQ(slot.next(), batch + 1);
        EXPECT_FALSE(slot.has_rows());
        EXPECT_EQ(read_copy(slot.batch(batch).rows).at(0).at(6), "1");
        slot.free(batch + 1);
    }
}

TEST(UsageSlot, LeavesNoCountThatAnotherRoundOfTheSequenceCouldTakeForItsOwn) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    ASSERT_EQ(slot.add(request_of("id")).added, Added::counted);
    ASSERT_TRUE(slot.seal(0));
    auto& header = *reinterpret_cast<usage::slot::Header*>(block.memory());
    header.sequence = header.freed = std::uint64_t{1} << 32;
    EXPECT_FALSE(slot.has_rows());
    EXPECT_TRUE(slot.check());
}

TEST(UsageSlot, DoesNotRedoWhatIsOfAnEarlierEpoch) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    auto& header = *reinterpret_cast<usage::slot::Header*>(block.memory());
    ASSERT_EQ(slot.add(request_of("id")).added, Added::counted);
    ASSERT_TRUE(slot.seal(0));
    ASSERT_EQ(slot.add(request_of("id")).added, Added::counted);
    ASSERT_EQ(slot.add(request_of("id")).added, Added::counted);
    header.redo.armed = slot.next();
    header.redo.sums.requests = 17;
    slot.recover();
    EXPECT_TRUE(slot.check());
    ASSERT_TRUE(slot.seal(0));
    EXPECT_EQ(read_copy(slot.batch(1).rows).at(0).at(6), "2");
}

TEST(UsageSlot, AllocatesNothing) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    const usage::Record record = request_of("id");
    EXPECT_EQ(allocations_of([&] {
                  for (std::uint64_t batch = 0; batch < 100; ++batch) {
                      (void)slot.add(record);
                      (void)slot.add(record);
                      (void)slot.seal(0);
                      slot.free(batch + 1);
                  }
                  slot.recover();
                  (void)slot.check();
              }),
              0u);
    EXPECT_EQ(slot.first(), 100u);
}

TEST(UsageSlot, PassesFromOwnerToOwner) {
    const SlotBlock block;
    UsageSlot slot = block.create();
    EXPECT_EQ(slot.owner(), 0u);
    EXPECT_FALSE(slot.take(9, 1));
    EXPECT_TRUE(slot.take(0, 1));
    EXPECT_FALSE(slot.take(0, 2));
    EXPECT_EQ(slot.owner(), 1u);
    EXPECT_TRUE(slot.take(1, 2));
    slot.release();
    EXPECT_EQ(slot.owner(), 0u);
}

// Each of several processes takes the slot from 0 as often as it can, counts one request, and gives it back.
TEST(UsageSlot, IsTakenByOneProcessAtATime) {
    constexpr std::uint64_t kProcesses = 3;
    constexpr std::uint64_t kTurns = 100'000;
    const SlotBlock block;
    UsageSlot slot = block.create();
    std::array<pid_t, kProcesses> children{};
    ASSERT_TRUE(slot.take(0, kProcesses + 1));  // until all are there
    for (std::uint64_t me = 1; me <= kProcesses; ++me) {
        children[me - 1] = fork();
        if (children[me - 1] != 0) continue;
        for (std::uint64_t turn = 0; turn < kTurns;) {
            if (!slot.take(0, me)) continue;
            ++turn;
            const bool counted = slot.add(request_of("id")).added == Added::counted;
            if (!counted || slot.owner() != me) _exit(1);
            slot.release();
        }
        _exit(0);
    }
    slot.release();
    for (const pid_t child : children) {
        int status = -1;
        waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
    }
    EXPECT_EQ(sealed(slot).requests(), kProcesses * kTurns);
}

// One process is stopped after each of its instructions, while the other takes the slot.
TEST(UsageSlot, IsTakenByOneOfTwoProcessesWhateverTheyInterrupt) {
    const SlotBlock block;
    const SlotBlock result;
    bool first_won = false;
    for (int instructions = 0; !first_won; ++instructions) {
        ASSERT_LT(instructions, 1'000);
        UsageSlot slot = block.create();
        result.memory()[0] = '?';
        SteppedProcess first([&] { result.memory()[0] = slot.take(0, 1) ? 'y' : 'n'; });
        if (!first.is_traced()) GTEST_SKIP() << "this machine does not let a process trace its own child";
        for (int step = 0; step < instructions && first.step(); ++step) {
        }
        const bool second_won = slot.take(0, 2);
        while (first.step()) {
        }
        ASSERT_NE(result.memory()[0], '?');
        first_won = result.memory()[0] == 'y';
        ASSERT_NE(first_won, second_won) << "after " << instructions << " instructions";
        ASSERT_EQ(slot.owner(), first_won ? 1u : 2u);
    }
}

}  // namespace
}  // namespace apikey::test
