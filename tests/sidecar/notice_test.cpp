#include "sidecar/notice.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "core/digest.hpp"

namespace apikey {
namespace {

const std::string kHash(64, 'a');
const std::string kOther = std::string(63, 'a') + "b";

TEST(Receipt, IsNeverZeroAndFitsBigint) {
    std::set<Receipt> seen;
    for (int i = 0; i < 1000; ++i) {
        const Receipt receipt = new_receipt();
        EXPECT_NE(receipt, kNobodyWaits);
        EXPECT_LE(receipt, static_cast<Receipt>(std::numeric_limits<std::int64_t>::max()));
        EXPECT_TRUE(seen.insert(receipt).second);
    }
}

TEST(ParseDone, ReadsWhatFormatDoneWrites) {
    const auto done = parse_done(format_done({42, 3, 4}));
    ASSERT_TRUE(done);
    EXPECT_EQ(done->receipt, 42U);
    EXPECT_EQ(done->confirmed, 3U);
    EXPECT_EQ(done->expected, 4U);
    EXPECT_EQ(format_done({42, 0, 0}), "done 42 0/0");
    for (const char* payload : {"", "done", "done 1", "done 1 2", "done 1 2/", "done 1 /2", "done 1/2 3", "done x 1/1",
                                "don 1 1/1", "done 1 1/1x"}) {
        EXPECT_FALSE(parse_done(payload)) << payload;
    }
}

TEST(PendingChanges, OneKeyIsOneChangeWithAllItsReceipts) {
    PendingChanges pending;
    EXPECT_FALSE(pending.has_keys());
    EXPECT_FALSE(pending.add({from_hex(kHash), kNobodyWaits})) << "nobody waits";
    EXPECT_TRUE(pending.add({from_hex(kHash), 5}));
    EXPECT_TRUE(pending.add({from_hex(kHash), 7}));
    EXPECT_FALSE(pending.add({from_hex(kHash), 5})) << "waits already";
    EXPECT_TRUE(pending.add({from_hex(kOther), 5})) << "another part of the same";
    const auto taken = pending.take_keys(1000);
    ASSERT_EQ(taken.size(), 2U);
    EXPECT_EQ(taken.at(kHash), (std::set<Receipt>{5, 7}));
    EXPECT_EQ(taken.at(kOther), (std::set<Receipt>{5}));
    EXPECT_FALSE(pending.has_keys());
}

TEST(PendingChanges, AreTakenInPieces) {
    PendingChanges pending;
    for (const char c : std::string("0123456789"))
        EXPECT_TRUE(pending.add({from_hex(std::string(64, c)), 3}));
    std::size_t pieces = 0;
    std::size_t taken = 0;
    for (; pending.has_keys(); ++pieces)
        taken += pending.take_keys(4).size();
    EXPECT_EQ(pieces, 3U);
    EXPECT_EQ(taken, 10U);
}

TEST(PendingChanges, AFullPassIsRememberedWithItsReceipts) {
    PendingChanges pending;
    EXPECT_TRUE(pending.add({std::nullopt, 9}));
    EXPECT_FALSE(pending.add({std::nullopt, 9}));
    EXPECT_FALSE(pending.add({std::nullopt, kNobodyWaits}));
    EXPECT_FALSE(pending.has_keys());
    EXPECT_TRUE(pending.wants_full_pass());
    EXPECT_EQ(pending.take_full_pass(), (std::set<Receipt>{9}));
    EXPECT_FALSE(pending.wants_full_pass());
    EXPECT_TRUE(pending.take_full_pass().empty());
}

// One key for each number, none of them twice.
Digest digest_of(std::size_t number) {
    Digest digest{};
    for (std::size_t i = 0; i < sizeof number; ++i)
        digest[i] = static_cast<unsigned char>(number >> (8 * i));
    return digest;
}

TEST(PendingChanges, TooManyKeysAreOneFullPass) {
    PendingChanges pending;
    std::map<Receipt, std::size_t> parts;  // as whoever waits counts them
    const auto add = [&](const Change& change) { parts[change.receipt] += pending.add(change) ? 1 : 0; };
    add({std::nullopt, 9});
    add({digest_of(0), 8});
    for (std::size_t number = 0; number < PendingChanges::kMostKeys; ++number) {
        add({digest_of(number), 7});
        if (number % 3 == 0) add({digest_of(number), 9});
        if (number % 3 == 1) add({digest_of(number), kNobodyWaits});
    }
    EXPECT_FALSE(pending.has_too_many_keys());
    add({digest_of(PendingChanges::kMostKeys), 6});
    EXPECT_TRUE(pending.has_too_many_keys());

    for (const Receipt receipt : pending.turn_into_full_pass())
        --parts[receipt];
    EXPECT_FALSE(pending.has_too_many_keys());
    EXPECT_FALSE(pending.has_keys());
    EXPECT_TRUE(pending.wants_full_pass());
    EXPECT_EQ(parts, (std::map<Receipt, std::size_t>{{0, 0}, {6, 1}, {7, 1}, {8, 1}, {9, 1}})) << "one thing each";
    EXPECT_TRUE(pending.add({digest_of(0), 7})) << "what comes now is another part";
    EXPECT_EQ(pending.take_full_pass(), (std::set<Receipt>{6, 7, 8, 9}));
    EXPECT_EQ(pending.take_keys(10).size(), 1U);
}

// --- between terms -------------------------------------------------------------------------------------------------

TEST(UntoldReceipts, AreHandedOverOnce) {
    UntoldReceipts untold;
    const UntoldReceipts::Time start;
    for (const Receipt receipt : {0U, 5U, 7U, 5U, 9U})
        untold.heard(receipt, start);
    untold.told(7);
    untold.told(1234);
    EXPECT_EQ(untold.take(start + std::chrono::seconds(2)), (std::vector<Receipt>{5, 9}));
    EXPECT_TRUE(untold.take(start).empty());
}

TEST(UntoldReceipts, AreForgottenWhenNobodyWaitsAnyMore) {
    UntoldReceipts untold;
    const UntoldReceipts::Time start;
    untold.heard(5, start);
    untold.heard(7, start + std::chrono::seconds(30));
    EXPECT_EQ(untold.take(start + std::chrono::seconds(61)), (std::vector<Receipt>{7}));
}

TEST(UntoldReceipts, AreBounded) {
    UntoldReceipts untold;
    const UntoldReceipts::Time start;
    for (Receipt receipt = 1; receipt <= UntoldReceipts::kMost + 10; ++receipt)
        untold.heard(receipt, start);
    untold.heard(77'777'777, start + std::chrono::seconds(100));
    EXPECT_EQ(untold.take(start + std::chrono::seconds(100)), (std::vector<Receipt>{77'777'777}));
}

}  // namespace
}  // namespace apikey
