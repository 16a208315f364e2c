#include "sidecar/notice.hpp"

#include <gtest/gtest.h>

#include <limits>

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
    for (const Receipt receipt : {0U, 5U, 7U, 5U})
        pending.add({from_hex(kHash), receipt});
    pending.add({from_hex(kOther), kNobodyWaits});
    EXPECT_TRUE(pending.waits_for(7));
    EXPECT_FALSE(pending.waits_for(8));
    const auto taken = pending.take_keys(1000);
    ASSERT_EQ(taken.size(), 2U);
    EXPECT_EQ(taken.at(kHash), (std::set<Receipt>{5, 7}));
    EXPECT_TRUE(taken.at(kOther).empty());
    EXPECT_FALSE(pending.has_keys());
    EXPECT_FALSE(pending.waits_for(7));
}

TEST(PendingChanges, AreTakenInPieces) {
    PendingChanges pending;
    for (const char c : std::string("0123456789"))
        pending.add({from_hex(std::string(64, c)), 3});
    std::size_t pieces = 0;
    for (std::size_t taken = 0; pending.has_keys(); ++pieces) {
        // One transaction's receipt is not done while a part of it waits.
        EXPECT_EQ(pending.waits_for(3), taken < 10);
        taken += pending.take_keys(4).size();
    }
    EXPECT_EQ(pieces, 3U);
}

TEST(PendingChanges, AFullPassIsRememberedWithItsReceipts) {
    PendingChanges pending;
    pending.add({std::nullopt, 9});
    pending.add({std::nullopt, kNobodyWaits});
    EXPECT_FALSE(pending.has_keys());
    EXPECT_TRUE(pending.wants_full_pass());
    EXPECT_TRUE(pending.waits_for(9));
    EXPECT_EQ(pending.take_full_pass(), (std::set<Receipt>{9}));
    EXPECT_FALSE(pending.wants_full_pass());
    EXPECT_FALSE(pending.waits_for(9));
}

}  // namespace
}  // namespace apikey
