// Hazards: R22
#include "core/redis/change.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/core/allocations.hpp"

namespace apikey::redis {
namespace {

const std::string kHash(64, 'a');
const std::string kWorker = "api-1:4711:00000000000000ff";

TEST(ParseChange, ReadsWhatIsWritten) {
    const auto key = parse_change(format_change(kHash, 9'223'372'036'854'775'807U));
    ASSERT_TRUE(key);
    EXPECT_EQ(key->key, from_hex(kHash));
    EXPECT_EQ(key->receipt, 9'223'372'036'854'775'807U);
    const auto all = parse_change(format_change("", kNobodyWaits));
    ASSERT_TRUE(all);
    EXPECT_FALSE(all->key);
    EXPECT_EQ(all->receipt, kNobodyWaits);
    EXPECT_EQ(format_change("", 12), "* 12");
    EXPECT_EQ(format_change(kHash, 7), kHash + " 7");
}

TEST(ParseChange, IgnoresWhatAnybodyMaySend) {
    for (const std::string& payload : {std::string(),
                                       std::string(" "),
                                       std::string("*"),
                                       std::string("* "),
                                       std::string("* -1"),
                                       std::string("* +1"),
                                       std::string("* 1x"),
                                       std::string("* 99999999999999999999"),
                                       std::string("** 1"),
                                       std::string(" 1"),
                                       kHash,
                                       kHash + " ",
                                       kHash + "  1",
                                       kHash + " 1 ",
                                       kHash + "\t1",
                                       kHash + " 1\r\n",
                                       kHash.substr(1) + " 1",
                                       std::string(64, 'A') + " 1",
                                       kHash + "a 1",
                                       std::string(64, '\0') + " 1",
                                       std::string(1'000'000, 'a') + " 1",
                                       kHash + " " + std::string(1'000'000, '1'),
                                       std::string("'; DROP TABLE api_keys; -- 1")}) {
        EXPECT_FALSE(parse_change(payload)) << payload.substr(0, 100);
    }
}

TEST(ParseChange, AllocatesNothing) {
    const std::string payload = format_change(kHash, 42);
    std::optional<Change> change;
    EXPECT_EQ(test::allocations_of([&] { change = parse_change(payload); }), 0U);
    EXPECT_TRUE(change);
}

TEST(ParseConfirmation, ReadsWhatIsWritten) {
    const std::string payload = format_confirmation(kWorker, 42);
    EXPECT_EQ(payload, kWorker + " 42");
    const auto confirmation = parse_confirmation(payload);
    ASSERT_TRUE(confirmation);
    EXPECT_EQ(confirmation->worker, kWorker);
    EXPECT_EQ(confirmation->receipt, 42U);
}

TEST(ParseConfirmation, IgnoresWhatAnybodyMaySend) {
    for (const std::string& payload :
         {std::string(), std::string(" "), kWorker, kWorker + " ", kWorker + " 0", kWorker + "  1", kWorker + " 1 ",
          kWorker + " -1", kWorker + " 99999999999999999999", std::string(" 1"), std::string("a\tb 1"),
          std::string("w\xC3\xA9 1"), std::string("w\0x 1", 5), std::string(kMaxWorkerBytes + 1, 'w') + " 1",
          std::string(1'000'000, 'w')}) {
        EXPECT_FALSE(parse_confirmation(payload)) << payload.substr(0, 100);
    }
}

// Whatever is read can be written again: no two readings of one payload.
TEST(Messages, OfRandomBytesAreReadOneWayOrNotAtAll) {
    std::mt19937 random(20260101);
    const std::string alphabet = "*a0f9 :\t\n-+x";
    for (int round = 0; round < 200'000; ++round) {
        std::string payload = round % 2 == 0 ? kHash : kWorker;
        payload += " 77";
        for (int edits = 1 + static_cast<int>(random() % 3); edits > 0; --edits)
            payload[random() % payload.size()] = alphabet[random() % alphabet.size()];
        if (const auto change = parse_change(payload)) {
            const std::string hash = change->key ? to_hex_string(*change->key) : "";
            const auto again = parse_change(format_change(hash, change->receipt));
            ASSERT_TRUE(again && again->key == change->key && again->receipt == change->receipt) << payload;
        }
        if (const auto confirmation = parse_confirmation(payload)) {
            const std::string text = format_confirmation(confirmation->worker, confirmation->receipt);
            const auto again = parse_confirmation(text);
            ASSERT_TRUE(again && again->worker == confirmation->worker) << payload;
        }
    }
}

TEST(WorkerName, TellsHostAndProcessAndIsOneWord) {
    EXPECT_EQ(worker_name("api-1", 4711, 255), kWorker);
    EXPECT_EQ(worker_name("", 1, ~0ULL), ":1:ffffffffffffffff");
    EXPECT_EQ(worker_name("a b\nc\xC3", 1, 0), "a-b-c-:1:0000000000000000");
    const std::string longest = worker_name(std::string(5000, 'h'), ~0ULL, ~0ULL);
    EXPECT_LE(longest.size(), kMaxWorkerBytes);
    EXPECT_TRUE(parse_confirmation(format_confirmation(longest, 1)));
}

}  // namespace
}  // namespace apikey::redis
