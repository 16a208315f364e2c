#include "sidecar/usage_batch.hpp"

#include <gtest/gtest.h>

#include "sidecar/usage_counts.hpp"
#include "sidecar/usage_holes.hpp"

namespace apikey {
namespace {

using namespace std::chrono_literals;

TEST(UsageLines, AreCountedAsCopyReadsThem) {
    EXPECT_EQ(*count_lines("", 2), 0U);
    EXPECT_EQ(*count_lines("a\tb\nc\td\n", 2), 2U);
    EXPECT_EQ(*count_lines("a\\\\.b\\tc\t\\N\n", 2), 1U);
}

TEST(UsageLines, ThatWouldChangeTheirNeighboursAreRefused) {
    for (const std::string_view text :
         {"a\tb", "a\n", "a\tb\tc\n", "a\tb\n\\.\n", "a\t\\.\n", "a\tb\\\n", "a\tb\\", "a\tb\r\n", "a\t\\\r\n"}) {
        EXPECT_FALSE(count_lines(text, 2).ok()) << text;
    }
    EXPECT_FALSE(count_lines(std::string_view("a\t\0\n", 4), 2).ok());
}

TEST(UsageLines, AreNumberedInPieces) {
    const std::string many(NumberedLines::kPieceBytes, '\n');
    NumberedLines lines;
    lines.add(0, "a\nb\n");
    lines.add(1, "");
    lines.add(2, "c\n");
    lines.add(3, many);
    std::string all;
    std::size_t pieces = 0;
    for (std::string_view piece = lines.next(); !piece.empty(); piece = lines.next(), ++pieces)
        all += piece;
    EXPECT_EQ(all.substr(0, 15), "0\ta\n0\tb\n2\tc\n3\t\n");
    EXPECT_EQ(all.size(), 12 + 3 * many.size());
    EXPECT_GT(pieces, 1U);
}

std::string copied(const std::vector<std::string>& texts, bool by_minute) {
    std::vector<UsageBatch> batches(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i)
        batches[i].rows = texts[i];
    const std::vector<UsageRow> rows = rows_in_order(batches, by_minute);
    RowLines lines(rows);
    std::string all;
    for (std::string_view piece = lines.next(); !piece.empty(); piece = lines.next())
        all += piece;
    return all;
}

TEST(UsageRows, AreInOrderAndTwinsAreMarked) {
    const std::string alice = "alice\tk1\t02:05\tchat\tgpt\tsuccess\t1\t2\t3\t4\t5\n";
    const std::string bob = "bob\tk2\t02:05\tchat\tgpt\tsuccess\t1\t2\t3\t4\t5\n";
    const auto changed = [&alice](const std::string& from, const std::string& to) {
        std::string other = alice;
        return other.replace(other.find(from), from.size(), to);
    };
    EXPECT_EQ(copied({}, true), "");
    EXPECT_EQ(copied({bob, "", alice}, true), "2\tf\t" + alice + "0\tf\t" + bob);
    EXPECT_EQ(copied({alice + alice}, true), "0\tt\t" + alice + "0\tt\t" + alice);
    const std::string more = changed("\t1\t2\t3\t4\t5", "\t6\t7\t8\t9\t\\N");
    EXPECT_EQ(copied({more, bob, alice}, true), "2\tt\t" + alice + "0\tt\t" + more + "1\tf\t" + bob);
    for (const std::string& other : {changed("alice", "al"), changed("k1", "k10"), changed("02:05", "02:06"),
                                     changed("chat", "chats"), changed("gpt", "gpt-4"), changed("success", "error")}) {
        EXPECT_EQ(copied({alice, other}, true).find("\tt\t"), std::string::npos) << other;
    }
    EXPECT_EQ(copied({alice, changed("02:05", "02:06")}, false).find("\tf\t"), std::string::npos);
    EXPECT_EQ(copied({alice, changed("k1", "k10")}, false).find("\tt\t"), std::string::npos);
}

TEST(UsageRows, ComeInPieces) {
    std::string many;
    while (many.size() < 2 * NumberedLines::kPieceBytes)
        many += "a\tk\tm\te\tm\ts\t1\t2\t3\t4\t5\n";
    EXPECT_EQ(copied({many}, true).size(), many.size() / 22 * 26);
}

TEST(UsageBatches, SayWhatIsWrongWithThem) {
    const std::string id = std::string(32, 'a') + " 1 2";
    const UsageEntry good{"1-1", {{"batch", id}, {"sealed", "12"}, {"keys", "k\tt\n"}, {"rows", ""}, {"more", ""}}};
    const auto batch = batch_of(good);
    ASSERT_TRUE(batch.ok()) << batch.error();
    EXPECT_EQ(batch->id.sequence, 2U);
    EXPECT_EQ(batch->sealed, 12);
    EXPECT_EQ(batch->row_count, 0U);
    EXPECT_EQ(batch->key_count, 1U);
    for (std::size_t left_out = 0; left_out < 4; ++left_out) {
        UsageEntry bad = good;
        bad.fields.erase(bad.fields.begin() + static_cast<std::ptrdiff_t>(left_out));
        EXPECT_FALSE(batch_of(bad).ok()) << good.fields[left_out].first;
    }
}

TEST(UsageHoles, AreToldOnceAndOnlyWhenTheyLast) {
    UsageHoles holes;
    const UsageSlotId slot{"a", 1};
    const UsageSlotId other{"a", 2};
    const UsageHoles::Clock::time_point start{1h};
    holes.seen(slot, {{slot, 2, 3}, {slot, 5, 5}}, start);
    holes.seen(other, {}, start + 1s);
    EXPECT_TRUE(holes.take_overdue(start + 4min).empty());
    holes.seen(slot, {{slot, 5, 5}}, start + 4min);  // the first one was filled
    EXPECT_EQ(holes.take_overdue(start + 5min), (std::vector<UsageHole>{{slot, 5, 5}}));
    holes.seen(slot, {{slot, 5, 5}}, start + 6min);
    EXPECT_TRUE(holes.take_overdue(start + 20min).empty());
}

TEST(UsageLog, TellsWhatHappenedSince) {
    UsageCounts counts;
    UsageLog log(counts);
    EXPECT_EQ(log.take_line(), "");
    counts.batches = 1;
    counts.rows = 2;
    counts.lag_ms = 3;
    EXPECT_EQ(log.take_line(), "usage: 1 batch applied, 2 rows, the last one 3 ms after it was sealed");
    EXPECT_EQ(log.take_line(), "");
    counts.lost = 4;
    EXPECT_EQ(log.take_line(), "usage: 0 batches applied, 0 rows, 4 lost, the last one 3 ms after it was sealed");
}

}  // namespace
}  // namespace apikey
