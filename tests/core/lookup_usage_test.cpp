// Usage on the connection for lookups: shipments, and what is told of them.
#include <gtest/gtest.h>
#include <malloc.h>

#include "tests/core/lookup_fixture.hpp"

namespace apikey::test {
namespace {

using Shipped = LookupSession::Shipped;
using AllShipped = std::vector<Shipped>;
using UsageState = LookupSession::UsageState;

const std::string kState = command({"XLEN", "apikey:usage"}) + command({"XLEN", "apikey:usage:dead"}) +
                           command({"XPENDING", "apikey:usage", "apikeyd", "-", "+", "1"});
const std::string kRows = "u\tk\t2026-11-28T02:05:00Z\t/v1\t\tsuccess\t1\t0\t0\t0\t\\N\n";

std::string xadd(const std::string& batch, const std::string& rows = kRows) {
    return command(
        {"XADD", "apikey:usage", "*", "batch", batch, "sealed", "1795831507123", "keys", "k\tnow\n", "rows", rows});
}
// Redis' answer to the n-th.
std::string id(int n) {
    return bulk("1795831507200-" + std::to_string(n));
}
std::string pending(const std::string& entry_id, const std::string& consumer = "host:1") {
    return "*1\r\n*4\r\n" + bulk(entry_id) + bulk(consumer) + ":17\r\n:1\r\n";
}

struct ShippingTable : Table {
    using Table::Table;
    bool ship(const std::string& batch, std::uint64_t cookie, const std::string& rows = kRows) {
        return session.ship({.batch = batch, .sealed = "1795831507123", .keys = "k\tnow\n", .rows = rows}, cookie, now);
    }
    AllShipped shipped() {
        AllShipped all;
        session.take_shipped(all);
        return all;
    }
    // What the state turns out to be when Redis answers this.
    std::optional<UsageState> state(const std::string& replies) {
        session.ask_usage_state(now);
        written();
        EXPECT_TRUE(feed(replies)) << session.why();
        return session.take_usage_state();
    }
};

// --- shipments -------------------------------------------------------------------------------------------------

TEST(Shipment, IsAppendedAndToldInOrder) {
    ShippingTable t;
    EXPECT_FALSE(t.ship("a", 1)) << "without a connection";
    t.session.connected(t.now);
    EXPECT_FALSE(t.ship("a", 1)) << "before the handshake";
    EXPECT_EQ(t.written(), kHandshake);
    EXPECT_TRUE(t.feed(kWelcome));
    EXPECT_TRUE(t.ship("a", 7));
    EXPECT_TRUE(t.ship("b", 18'446'744'073'709'551'615U, ""));
    EXPECT_EQ(t.written(), xadd("a") + xadd("b", ""));
    EXPECT_EQ(t.shipped(), AllShipped{});
    EXPECT_TRUE(t.feed(id(0) + id(1)));
    EXPECT_EQ(t.shipped(), (AllShipped{{7, true}, {18'446'744'073'709'551'615U, true}}));
    EXPECT_EQ(t.shipped(), AllShipped{});
}

TEST(Shipment, GoesBetweenBatchesOfLookups) {
    ShippingTable t;
    t.connect();
    const std::uint64_t generation = t.session.usage_generation();
    t.ask(1);
    EXPECT_TRUE(t.ship("a", 1));
    t.ask(2);
    EXPECT_EQ(t.written(), xadd("a") + lookup_command(digest_of(1), 0) + lookup_command(digest_of(2), 1) + kEpochQuery);
    EXPECT_TRUE(t.ship("b", 2));
    t.session.ask_usage_state(t.now);
    t.ask(3);
    EXPECT_EQ(t.written(), xadd("b") + kState + lookup_command(digest_of(3), 2) + kEpochQuery);
    EXPECT_TRUE(t.feed(id(0) + found_reply(digest_of(1), "ann", 0) + absent_reply(1) + epoch_reply()));
    EXPECT_EQ(t.outcomes(), (Outcomes{"1 found ann", "2 unknown"}));
    EXPECT_TRUE(t.feed(id(1) + ":2\r\n:0\r\n*0\r\n" + found_reply(digest_of(3), "cy", 2)));
    EXPECT_EQ(t.outcomes(), Outcomes{}) << "held back until the epoch has come";
    EXPECT_TRUE(t.feed(epoch_reply()));
    EXPECT_EQ(t.outcomes(), Outcomes{"3 found cy"});
    EXPECT_EQ(t.shipped(), (AllShipped{{1, true}, {2, true}}));
    EXPECT_EQ(t.session.usage_generation(), generation);
}

// Weather, and no fault of the lookups behind it.
// Hazards: R7, R8
TEST(Shipment, IsRefusedWithoutHarmToLookups) {
    for (const std::string& refusal : {std::string("OOM command not allowed when used memory > 'maxmemory'."),
                                       std::string("READONLY You can't write against a read only replica."),
                                       std::string("NOPERM this user has no permissions to run the 'xadd' command"),
                                       std::string("WRONGTYPE Operation against a key"), std::string("MISCONF no disk"),
                                       std::string("LOADING Redis is loading the dataset in memory"),
                                       std::string("ERR unknown command 'XADD', with args beginning with: 'apikey'")}) {
        ShippingTable t;
        t.connect();
        t.ship("a", 1);
        t.ship("b", 2);
        t.ask(1);
        t.written();
        EXPECT_TRUE(t.feed("-" + refusal + "\r\n" + id(0) + found_reply(digest_of(1), "ann", 0) + epoch_reply()));
        EXPECT_EQ(t.outcomes(), Outcomes{"1 found ann"});
        EXPECT_EQ(t.shipped(), (AllShipped{{1, false}, {2, true}}));
        const auto notice = t.session.take_notice();
        EXPECT_EQ(notice.refused_shipments, 1U);
        EXPECT_EQ(notice.refused_confirmations + notice.refused_registrations, 0U);
        EXPECT_EQ(notice.refusal, refusal.substr(0, refusal.find(' ')));
        EXPECT_TRUE(t.ship("a", 1)) << "it is tried again";
    }
}

// Only an id that is new acknowledges.
// Hazards: R14
TEST(Shipment, ASlipEndsTheConnection) {
    for (const std::string& replies : {std::string("+OK\r\n"),
                                       std::string(":1\r\n"),
                                       kNilReply,
                                       std::string("*0\r\n"),
                                       "*1\r\n" + id(0),
                                       bulk(""),
                                       bulk("5"),
                                       bulk("-"),
                                       bulk("5-"),
                                       bulk("-5"),
                                       bulk("5-x"),
                                       bulk("x-5"),
                                       bulk("5-6-7"),
                                       bulk(" 5-6"),
                                       bulk("99999999999999999999-0"),
                                       std::string("+5-0\r\n"),
                                       epoch_reply(),
                                       absent_reply(0),
                                       id(0) + id(0),
                                       id(0) + absent_reply(0),
                                       id(0) + id(1) + id(2)}) {
        ShippingTable t;
        t.connect();
        t.ship("a", 1);
        t.ship("b", 2);
        t.ask(1);
        t.written();
        EXPECT_FALSE(t.feed(replies)) << replies;
        t.session.disconnected();
        EXPECT_EQ(t.shipped(), AllShipped{}) << replies;
        EXPECT_EQ(t.outcomes(), Outcomes{"1 unavailable"});
    }
}

// Whoever ships cannot know what became of it, and tells it again.
// Hazards: R2, R27
TEST(Shipment, IsForgottenWithTheConnection) {
    ShippingTable t;
    t.connect();
    const std::uint64_t before = t.session.usage_generation();
    for (const std::uint64_t cookie : {1U, 2U, 3U})
        t.ship("a", cookie);
    t.written();
    t.ship("unwritten", 4);
    EXPECT_TRUE(t.feed(id(0)));
    t.session.disconnected();
    EXPECT_EQ(t.shipped(), AllShipped{}) << "not even what Redis took: it may be another one next time";
    const std::uint64_t between = t.session.usage_generation();
    EXPECT_NE(between, before);
    t.connect();
    EXPECT_NE(t.session.usage_generation(), between);
    EXPECT_NE(t.session.usage_generation(), before);
    EXPECT_TRUE(t.ship("a", 9));
    EXPECT_EQ(t.written(), xadd("a"));
    EXPECT_TRUE(t.feed(id(0))) << "another Redis may give the same id";
    EXPECT_EQ(t.shipped(), (AllShipped{{9, true}}));
}

// --- generations -----------------------------------------------------------------------------------------------

// Hazards: R23, R27
TEST(UsageGeneration, ChangesWithTheEpoch) {
    ShippingTable t;
    t.connect();
    std::uint64_t generation = t.session.usage_generation();
    const auto changes_with = [&](const std::string& epoch) {
        t.now += 1000;
        EXPECT_TRUE(t.session.tick(t.now));
        t.written();
        EXPECT_TRUE(t.feed(role_info() + epoch)) << t.session.why();
        return std::exchange(generation, t.session.usage_generation()) != t.session.usage_generation();
    };
    EXPECT_FALSE(changes_with(epoch_reply("1")));
    EXPECT_TRUE(changes_with(kNilReply)) << "flushed";
    EXPECT_FALSE(changes_with(kNilReply));
    EXPECT_TRUE(changes_with(epoch_reply("2"))) << "filled again";
    EXPECT_FALSE(changes_with(epoch_reply("2")));
    EXPECT_TRUE(changes_with(epoch_reply("3"))) << "flushed and filled meanwhile";
    EXPECT_TRUE(changes_with(epoch_reply("3", std::string(40, 'b')))) << "another's data";
    EXPECT_TRUE(changes_with(epoch_reply("4", std::string(40, 'b'))));
    EXPECT_FALSE(changes_with(epoch_reply("4", std::string(40, 'b'))));
}

TEST(UsageGeneration, StartsWithTheFirstEpochOfAConnection) {
    for (const std::string& first : {epoch_reply(), kNilReply}) {
        ShippingTable t;
        t.session.connected(t.now);
        const std::uint64_t generation = t.session.usage_generation();
        t.written();
        EXPECT_TRUE(t.feed(server_info() + role_info() + first));
        EXPECT_EQ(t.session.usage_generation(), generation);
        t.session.disconnected();
        t.session.connected(t.now);
        const std::uint64_t next = t.session.usage_generation();
        t.written();
        EXPECT_TRUE(t.feed(server_info() + role_info() + epoch_reply("another")));
        EXPECT_EQ(t.session.usage_generation(), next);
    }
}

// What was answered before the change, and not yet handed over, must not count for the new generation.
TEST(UsageGeneration, TakesBackWhatWasNotHandedOver) {
    ShippingTable t;
    t.connect();
    t.ship("a", 1);
    t.ask(1);
    t.written();
    t.ship("b", 2);
    t.written();
    EXPECT_TRUE(t.feed(id(0) + absent_reply(0) + epoch_reply("2") + id(1)));
    EXPECT_EQ(t.shipped(), (AllShipped{{1, false}, {2, true}}));
    EXPECT_EQ(t.session.take_notice().refused_shipments, 0U);
}

TEST(UsageGeneration, LastHeardIsOfThisConnection) {
    ShippingTable t;
    EXPECT_EQ(t.session.last_heard(), 0);
    t.connect();
    EXPECT_EQ(t.session.last_heard(), 1000);
    t.now = 1100;
    t.ship("a", 1);
    t.written();
    EXPECT_TRUE(t.session.tick(t.now));
    EXPECT_EQ(t.session.last_heard(), 1000) << "to be told something is not to answer";
    t.now = 1200;
    EXPECT_TRUE(t.feed("$15\r\n"));
    EXPECT_EQ(t.session.last_heard(), 1000) << "half an answer";
    EXPECT_TRUE(t.feed("1795831507200-0\r\n"));
    EXPECT_EQ(t.session.last_heard(), 1200);
    t.session.disconnected();
    EXPECT_EQ(t.session.last_heard(), 0);
    t.session.connected(t.now);
    EXPECT_EQ(t.session.last_heard(), 0);
}

// Shipments keep the connection from being idle; role and epoch are looked at all the same.
// Hazards: R7
TEST(UsageGeneration, IsLookedAtHoweverMuchIsShipped) {
    for (const bool asks_for_state : {false, true}) {
        ShippingTable t;
        t.connect();
        int n = 0;
        std::string asked;
        for (t.now = 1250; t.now <= 2000; t.now += 250) {
            EXPECT_EQ(asked.find("INFO"), std::string::npos);
            asks_for_state ? t.session.ask_usage_state(t.now) : static_cast<void>(t.ship("a", 1));
            EXPECT_TRUE(t.session.tick(t.now));
            asked = t.written();
            if (t.now == 2000) break;
            EXPECT_TRUE(t.feed(asks_for_state ? ":0\r\n:0\r\n*0\r\n" : id(n++)));
        }
        EXPECT_TRUE(asked.starts_with(command({"INFO", "replication"}) + kEpochQuery)) << asked;
    }
}

// --- bounds ----------------------------------------------------------------------------------------------------

std::size_t heap_in_use() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

// What is unanswered is bounded, and its memory is given back.
// Hazards: X4
TEST(ShipmentBounds, KeepMemoryBounded) {
    const std::string rows(std::size_t{64} * 1024 - 2000, 'x');
    ShippingTable t;
    t.connect();
    const std::size_t before = heap_in_use();
    int count = 0;
    while (t.ship("a", 0, rows))
        ASSERT_LT(++count, 100);
    EXPECT_EQ(count, 4);
    EXPECT_LE(heap_in_use() - before, LookupSession::kMostShipping + std::size_t{68} * 1024);
    EXPECT_EQ(t.written().size(), 4 * xadd("a", rows).size());
    EXPECT_FALSE(t.ship("a", 0, rows)) << "written, but not answered";
    EXPECT_LE(heap_in_use() - before, 4096U) << "none is kept";
    EXPECT_TRUE(t.feed(id(0)));
    EXPECT_TRUE(t.ship("a", 0, rows));
    EXPECT_FALSE(t.ship("a", 0, rows));
    t.session.disconnected();
    EXPECT_LE(heap_in_use() - before, 4096U);
    t.connect();
    while (--count >= 0)
        EXPECT_TRUE(t.ship("a", 0, rows)) << "nothing is owed by another connection";
}

TEST(ShipmentBounds, OneEntryAlwaysGoes) {
    const std::string rows(2 * LookupSession::kMostShipping, 'x');
    ShippingTable t;
    t.connect();
    EXPECT_TRUE(t.ship("a", 0, rows));
    EXPECT_FALSE(t.ship("b", 0, ""));
    t.written();
    EXPECT_TRUE(t.feed(id(0)));
    EXPECT_TRUE(t.ship("b", 0, ""));
    EXPECT_FALSE(t.ship("a", 0, rows));
}

TEST(ShipmentBounds, EmptyEntriesCountToo) {
    ShippingTable t;
    t.connect();
    int count = 0;
    while (t.ship("", 0, ""))
        ASSERT_LT(++count, 4096);
}

// A socket that takes a little at a time and never all: what was written is not kept.
TEST(ShipmentBounds, WhatIsWrittenLeavesTheBuffer) {
    const std::string rows(std::size_t{60} * 1024, 'x');
    ShippingTable t;
    t.connect();
    const std::size_t before = heap_in_use();
    std::string expected;
    std::string got;
    for (int n = 0; n < 100; ++n) {
        while (t.ship(std::to_string(n), 0, rows))
            expected += xadd(std::to_string(n), rows);
        const std::string_view bytes = t.session.output(t.now);
        const std::string_view some = bytes.substr(0, xadd("00", rows).size() + static_cast<std::size_t>(n));
        got += some;
        t.session.written(some.size());
        EXPECT_TRUE(t.feed(id(n)));
        const std::size_t others = expected.capacity() + got.capacity();
        ASSERT_LE(heap_in_use(), before + others + LookupSession::kMostShipping + std::size_t{128} * 1024) << n;
    }
    got += t.written();
    EXPECT_TRUE(got == expected) << "byte for byte";
}

// --- silence ---------------------------------------------------------------------------------------------------

// CLIENT PAUSE WRITE keeps everything behind an XADD waiting.
// Hazards: R29
TEST(ShipmentSilence, IsWaitedOut) {
    ShippingTable t;
    t.connect();
    Millis pause = LookupSession::kFirstHoldOff;
    for (int silence = 0; silence < 3; ++silence, pause *= 2) {
        EXPECT_TRUE(t.ship("a", 1));
        t.written();
        t.now += 500;
        EXPECT_FALSE(t.session.tick(t.now));
        EXPECT_EQ(t.session.why(), "Redis does not answer");
        t.session.disconnected();
        t.connect();
        t.now += pause - 1;
        EXPECT_FALSE(t.ship("a", 1));
        t.session.ask_usage_state(t.now);
        EXPECT_EQ(t.written(), "");
        t.ask(1);
        const bool role_is_asked = t.written().find("replication") != std::string::npos;
        EXPECT_TRUE(t.feed(absent_reply(static_cast<std::size_t>(silence)) + (role_is_asked ? role_info() : "") +
                           epoch_reply()))
            << t.session.why();
        EXPECT_EQ(t.outcomes(), Outcomes{"1 unknown"}) << "lookups go on";
        t.now += 1;
    }
    EXPECT_TRUE(t.ship("a", 1));
    t.written();
    EXPECT_TRUE(t.feed(id(0)));
    EXPECT_TRUE(t.ship("a", 1));
    t.written();
    t.now += 500;
    EXPECT_FALSE(t.session.tick(t.now));
    t.session.disconnected();
    t.connect();
    t.now += LookupSession::kFirstHoldOff;
    EXPECT_TRUE(t.ship("a", 1)) << "one that was taken ends the series";
}

TEST(ShipmentSilence, IsNotCausedByQuestions) {
    ShippingTable t;
    t.connect();
    t.session.ask_usage_state(t.now);
    t.written();
    t.now += 500;
    EXPECT_FALSE(t.session.tick(t.now));
    t.session.disconnected();
    t.connect();
    EXPECT_TRUE(t.ship("a", 1));
}

// --- the state -------------------------------------------------------------------------------------------------

TEST(UsageState, IsAskedForOneAtATime) {
    ShippingTable t;
    t.session.ask_usage_state(t.now);
    t.connect();
    EXPECT_EQ(t.written(), "");
    t.session.ask_usage_state(t.now);
    t.session.ask_usage_state(t.now);
    EXPECT_EQ(t.written(), kState);
    EXPECT_TRUE(t.feed(":12\r\n:3\r\n"));
    EXPECT_FALSE(t.session.take_usage_state());
    EXPECT_TRUE(t.feed(pending("1795831507000-3")));
    EXPECT_EQ(t.session.take_usage_state(), (UsageState{12, 3, 1'795'831'507'000}));
    EXPECT_FALSE(t.session.take_usage_state());
    EXPECT_EQ(t.state(":0\r\n:0\r\n*0\r\n"), (UsageState{0, 0, std::nullopt}));
}

TEST(UsageState, IsForgottenWithTheConnection) {
    ShippingTable t;
    t.connect();
    t.session.ask_usage_state(t.now);
    t.written();
    EXPECT_TRUE(t.feed(":12\r\n"));
    t.session.disconnected();
    EXPECT_FALSE(t.session.take_usage_state());
    t.connect();
    EXPECT_EQ(t.state(":1\r\n:0\r\n*0\r\n"), (UsageState{1, 0, std::nullopt}));
}

TEST(UsageState, ReadsWhatIsRefusedAsNothing) {
    const std::string no = "-NOPERM no\r\n";
    const std::string some = pending("1795831507000-0");
    ShippingTable t;
    t.connect();
    EXPECT_EQ(t.state(no + ":3\r\n" + some), (UsageState{0, 3, 1'795'831'507'000}));
    EXPECT_EQ(t.state(":12\r\n-WRONGTYPE Operation\r\n" + some), (UsageState{12, 0, 1'795'831'507'000}));
    EXPECT_EQ(t.state(":12\r\n:3\r\n-NOGROUP No such key\r\n"), (UsageState{12, 3, std::nullopt}));
    EXPECT_EQ(t.state(no + no + no), UsageState{});
    EXPECT_EQ(t.session.take_notice().refused_shipments, 0U);
}

TEST(UsageState, ASlipEndsTheConnection) {
    const std::string two = ":1\r\n:1\r\n";
    const std::string entry = "*4\r\n" + bulk("5-0") + bulk("c") + ":1\r\n:1\r\n";
    for (const std::string& replies :
         {bulk("1"), std::string("+1\r\n"), std::string(":-1\r\n"), kNilReply, std::string("*0\r\n"),
          std::string(":1\r\n:-1\r\n"), std::string(":1\r\n*0\r\n"), two + ":1\r\n", two + "*-1\r\n", two + id(0),
          two + "*1\r\n" + id(0), two + "*1\r\n*0\r\n", two + "*1\r\n*1\r\n:5\r\n", two + pending("5"),
          two + pending("9223372036854775808-0"), two + "*2\r\n" + entry + entry,
          two + pending("5-0", std::string(40'000, 'c'))}) {
        ShippingTable t;
        t.connect();
        t.session.ask_usage_state(t.now);
        t.written();
        EXPECT_FALSE(t.feed(replies)) << replies.substr(0, 100);
        EXPECT_FALSE(t.session.take_usage_state()) << replies.substr(0, 100);
    }
}

}  // namespace
}  // namespace apikey::test
