// What a batch says, against the C library's calendar and a plain reader of COPY's text.
// Hazards: D10, D12, D13
#include "core/usage/batch_text.hpp"

#include <gtest/gtest.h>

#include <ctime>
#include <limits>
#include <random>

#include "tests/core/allocations.hpp"
#include "tests/core/usage_slot_block.hpp"

namespace apikey::test {
namespace {

using usage::BatchId;
using usage::LineWriter;

template <class Write>
std::string written(Write write) {
    std::array<char, 4'096> memory;
    LineWriter writer(memory.data(), memory.size());
    write(writer);
    EXPECT_TRUE(writer.fits());
    return {memory.data(), writer.size()};
}
std::string instant(std::int64_t unix_ms) {
    return written([&](LineWriter& writer) { writer.instant(unix_ms); });
}
std::string minute(std::int64_t unix_minutes) {
    return written([&](LineWriter& writer) { writer.minute(unix_minutes); });
}
std::string cost(std::optional<std::uint64_t> value) {
    return written([&](LineWriter& writer) { writer.cost(value); });
}

// The C library's: 2026-11-28T02:05:07
std::string formatted(std::int64_t seconds) {
    const std::time_t time = seconds;
    std::tm parts{};
    gmtime_r(&time, &parts);
    std::array<char, 64> text{};
    return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts)};
}

constexpr std::int64_t kEnd = 253'402'300'800;  // of the year 9999

TEST(BatchText, WritesTheCalendarOfTheCLibrary) {
    const auto check = [](std::int64_t seconds) {
        std::string ms = std::to_string(seconds % 1'000);
        ms.insert(0, 3 - ms.size(), '0');
        ASSERT_EQ(instant(seconds * 1'000 + seconds % 1'000), formatted(seconds) + '.' + ms + 'Z');
        ASSERT_EQ(minute(seconds / 60), formatted(seconds / 60 * 60) + 'Z');
    };
    for (std::int64_t day = 0; day < kEnd / 86'400; day += 13)  // each day of the year in turn, of all kinds of years
        check(day * 86'400 + day % 86'400);
    for (const std::int64_t day : {std::int64_t{951'782'400}, std::int64_t{1'835'395'200},
                                   std::int64_t{4'107'542'400}})  // ends of February: 2000, 2028, 2100
        for (std::int64_t seconds = day - 86'400; seconds <= day + 2 * 86'400; seconds += 3'599)
            check(seconds);
    std::mt19937_64 random(1);
    for (int round = 0; round < 20'000; ++round)
        check(static_cast<std::int64_t>(random() % kEnd));
    check(0);
    check(kEnd - 1);
}

// It keeps the last minute's text.
TEST(BatchText, TellsEachLineItsOwnTime) {
    std::array<char, 64> memory;
    LineWriter writer(memory.data(), memory.size());
    std::mt19937_64 random(2);
    for (int round = 0; round < 20'000; ++round) {
        const auto unix_ms = static_cast<std::int64_t>(random() % 5 * 50'000 + random() % 2 * kEnd * 500);
        writer.move_to(memory.data(), memory.size());
        writer.minute(unix_ms / 60'000).tab().instant(unix_ms);
        ASSERT_EQ(std::string_view(memory.data(), writer.size()), minute(unix_ms / 60'000) + '\t' + instant(unix_ms));
    }
}

TEST(BatchText, StaysWithinItsYears) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    for (const std::int64_t before : {std::int64_t{-1}, -kMost - 1}) {
        EXPECT_EQ(instant(before), "1970-01-01T00:00:00.000Z");
        EXPECT_EQ(minute(before), "1970-01-01T00:00:00Z");
    }
    for (const std::int64_t after : {kEnd * 1'000, kMost}) {
        EXPECT_EQ(instant(after), "9999-12-31T23:59:59.999Z");
        EXPECT_EQ(minute(after), "9999-12-31T23:59:00Z");
    }
    EXPECT_EQ(minute(kEnd / 60), "9999-12-31T23:59:00Z");
}

TEST(BatchText, EscapesWhatCopyReadsBack) {
    EXPECT_EQ(written([](LineWriter& writer) { writer.text("a\\b\tc\nd\re\bf\fg\vh").tab().text("\xc3\xa9").end(); }),
              "a\\\\b\\tc\\nd\\re\\bf\\fg\\vh\t\xc3\xa9\n");
    EXPECT_EQ(written([](LineWriter& writer) { writer.text("\\N").tab().text("\\.").tab().text(""); }),
              "\\\\N\t\\\\.\t");
    std::mt19937 random(2);
    for (int round = 0; round < 5'000; ++round) {
        std::string text;
        for (std::size_t bytes = random() % 40; text.size() < bytes;)
            text += static_cast<char>(random() % 2 == 0 ? random() % 256 : "\\\t\n\r\b\f\vNtnr."[random() % 12]);
        const std::string line = written([&](LineWriter& writer) { writer.text(text).tab().text(text).end(); });
        ASSERT_EQ(read_copy(line), (std::vector<std::vector<std::string>>{{text, text}}));
        ASSERT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
        ASSERT_EQ(line.find('\r'), std::string::npos);
    }
}

TEST(BatchText, WritesCostsExactly) {
    EXPECT_EQ(cost(std::nullopt), "\\N");
    EXPECT_EQ(cost(0), "0");
    EXPECT_EQ(cost(1), "0.000000000001");
    EXPECT_EQ(cost(600'000'000'000), "0.6");
    EXPECT_EQ(cost(999'999'999'999), "0.999999999999");
    EXPECT_EQ(cost(1'000'000'000'000), "1");
    EXPECT_EQ(cost(100'050'000'000'000), "100.05");
    EXPECT_EQ(cost(std::numeric_limits<std::int64_t>::max()), "9223372.036854775807");
    EXPECT_EQ(cost(std::numeric_limits<std::uint64_t>::max()), "18446744.073709551615");
    EXPECT_EQ(written([](LineWriter& writer) { writer.number(0).tab().number(UINT64_MAX); }),
              "0\t18446744073709551615");
}

TEST(BatchText, CountsOnWhenTheMemoryIsFullAndWritesNothingBehindIt) {
    const std::string text = "one\ttwo";  // eight bytes when escaped
    for (std::size_t room = 0; room < 30; ++room) {
        std::string memory(40, '#');
        LineWriter writer(memory.data(), room);
        writer.text(text).number(17).minute(0);
        EXPECT_EQ(writer.size(), 30u);
        EXPECT_FALSE(writer.fits());
        EXPECT_EQ(memory.substr(room), std::string(40 - room, '#'));
    }
    LineWriter nowhere(nullptr, 0);
    EXPECT_TRUE(nowhere.text("").fits());
    EXPECT_EQ(nowhere.text(text).size(), 8u);
}

TEST(BatchText, AllocatesNothing) {
    std::array<char, 256> memory;
    EXPECT_EQ(
        allocations_of([&] {
            LineWriter writer(memory.data(), memory.size());
            writer.text("a\tb").number(UINT64_MAX).cost(1).cost(std::nullopt).minute(1).instant(1).word("w").end();
        }),
        0u);
}

TEST(BatchText, NamesABatch) {
    const std::string zone = "0123456789abcdef0123456789abcdef";
    const BatchId id{zone, 3, 17};
    EXPECT_EQ(usage::batch_text(id), zone + " 3 17");
    EXPECT_EQ(usage::parse_batch_id(zone + " 3 17"), id);
    EXPECT_EQ(usage::parse_batch_id(zone + " 0 9223372036854775807"), (BatchId{zone, 0, INT64_MAX}));
    const std::string upper = "0123456789ABCDEF0123456789ABCDEF";
    for (const std::string& none : {std::string(),
                                    zone,
                                    zone + " 3",
                                    zone + " 3 ",
                                    zone + "  3 17",
                                    zone + " 3  17",
                                    zone + " 3 17 ",
                                    ' ' + zone + " 3 17",
                                    zone + " 3 17 1",
                                    zone + " 03 17",
                                    zone + " 3 017",
                                    zone + " 00 1",
                                    zone + " +3 17",
                                    zone + " 3 -1",
                                    zone + " -0 1",
                                    zone + " 3 9223372036854775808",
                                    zone + " 3 18446744073709551616",
                                    upper + " 3 17",
                                    zone + "0 3 17",
                                    zone.substr(1) + " 3 17",
                                    zone + "\t3 17",
                                    zone + " 3 17\n",
                                    zone + " 0x3 17",
                                    "g" + zone.substr(1) + " 3 17",
                                    zone + " 3 1" + std::string(1, '\0')}) {
        EXPECT_EQ(usage::parse_batch_id(none), std::nullopt) << none;
    }
}

}  // namespace
}  // namespace apikey::test
