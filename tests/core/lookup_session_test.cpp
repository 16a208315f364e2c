// What a LookupSession says to Redis, and what it believes.
#include <gtest/gtest.h>

#include "tests/core/lookup_fixture.hpp"

namespace apikey::test {
namespace {

// --- the handshake ---------------------------------------------------------------------------------------------

std::string handshake_of(LookupSession::Options options) {
    LookupSession session(std::move(options));
    session.connected(0);
    return std::string(session.output(0));
}

TEST(LookupSession, ShakesHandsWithWhatIsConfigured) {
    EXPECT_EQ(handshake_of({}), kHandshake);
    LookupSession::Options options;
    options.password = "secret";
    EXPECT_EQ(handshake_of(options), command({"AUTH", "secret"}) + kHandshake);
    options.user = "nginx";
    options.database = 3;
    EXPECT_EQ(handshake_of(options), command({"AUTH", "nginx", "secret"}) + command({"SELECT", "3"}) + kHandshake);
    options.password.clear();
    options.prefix = "site:";
    EXPECT_EQ(handshake_of(options), command({"SELECT", "3"}) + command({"INFO", "server"}) +
                                         command({"INFO", "replication"}) + command({"GET", "site:epoch"}));
}

// The password may have changed.
// Hazards: R9
TEST(LookupSession, UsesTheNewestPassword) {
    LookupSession::Options options;
    options.password = "old";
    LookupSession rotated(options);
    rotated.set_password("new");
    rotated.connected(0);
    EXPECT_EQ(rotated.output(0), command({"AUTH", "new"}) + kHandshake);
}

TEST(LookupSession, AsksNothingBeforeTheHandshakeIsOver) {
    Table t;
    t.ask(1);
    t.session.connected(t.now);
    t.ask(2);
    EXPECT_EQ(t.written(), kHandshake);
    EXPECT_TRUE(t.feed(server_info()));
    EXPECT_EQ(t.written(), "");
    EXPECT_TRUE(t.feed(role_info() + epoch_reply()));
    EXPECT_TRUE(t.session.is_proven());
    EXPECT_EQ(t.written(), lookup_command(digest_of(1), 0) + lookup_command(digest_of(2), 1) + kEpochQuery);
}

// Hazards: R6, R7, R9, R12, R30
TEST(LookupSession, ABadHandshakeEndsTheConnection) {
    const std::string ok = "+OK\r\n";
    const std::vector<std::pair<std::string, std::string>> replies = {
        {"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
         "Redis refused the user or password: WRONGPASS invalid username-password pair or user is disabled."},
        {"-ERR unknown command 'AUTH', with args beginning with: 'nginx' 'hidden'\r\n",
         "Redis refused the user or password: ERR unknown command "},
        {"-ERR no such thing hidden4\r\n", "Redis refused the user or password: ERR no such thing hidden"},
        {":1\r\n", "Redis sent a reply of another kind"},
        {ok + "-ERR DB index is out of range\r\n", "Redis refused SELECT: ERR DB index is out of range"},
        {ok + "*0\r\n", "Redis sent a reply of another kind"},
        {ok + ok + "-ERR max number of clients reached\r\n", "Redis refused INFO: ERR max number of clients reached"},
        {ok + ok + kNilReply, "Redis' INFO names no run_id"},
        {ok + ok + "*1\r\n" + server_info(), "Redis' INFO names no run_id"},
        {ok + ok + bulk("run_id:\r\n"), "Redis' INFO names no run_id"},
        {ok + ok + bulk("not_run_id:1\r\nrun_idx:2\r\nrun_id\r\n"), "Redis' INFO names no run_id"},
        {ok + ok + server_info() + "-NOPERM no permissions to run 'info'\r\n",
         "Redis refused INFO: NOPERM, its user may not do this; docs/operations.md lists the ACL that nginx needs"},
        {ok + ok + server_info() + role_info("slave"), "Redis is a replica; a master is needed"},
        {ok + ok + server_info() + bulk("role:masterly\r\n"), "Redis is a replica; a master is needed"},
        {ok + ok + server_info() + ":7\r\n", "Redis sent a reply of another kind"},
        {ok + ok + server_info() + role_info() + "-LOADING Redis is loading the dataset in memory\r\n",
         "Redis refused GET of the epoch: LOADING"},
        {ok + ok + server_info() + role_info() + "*0\r\n", "Redis sent a reply of another kind"},
        {ok + ok + kWelcome + ok, "Redis sent a reply that nobody asked for"},
        {"HTTP/1.1 400 Bad Request\r\n", "Redis sent bytes that are not the Redis protocol"}};
    LookupSession::Options options;
    options.user = "nginx";
    options.password = "hidden";
    options.database = 1;
    for (const auto& [bytes, why] : replies) {
        LookupSession strict(options);
        strict.connected(0);
        EXPECT_FALSE(strict.feed(bytes, 0)) << bytes;
        EXPECT_EQ(strict.why(), why);
        EXPECT_FALSE(strict.feed("+OK\r\n", 0)) << "and it stays ended";
    }
}

// --- batches ---------------------------------------------------------------------------------------------------

TEST(LookupSession, ABatchEndsWithTheEpochAndBeginsWithItWhileNothingIsProved) {
    Table t;
    t.connect(server_info() + role_info() + kNilReply);
    EXPECT_FALSE(t.session.is_proven());
    t.ask(1);
    EXPECT_EQ(t.written(), kEpochQuery + lookup_command(digest_of(1), 0) + kEpochQuery);
    EXPECT_TRUE(t.feed(epoch_reply() + absent_reply(0) + epoch_reply()));
    EXPECT_EQ(t.outcomes(), Outcomes{"1 unknown"});
    t.ask(2);
    t.ask(3);
    EXPECT_EQ(t.written(), lookup_command(digest_of(2), 1) + lookup_command(digest_of(3), 2) + kEpochQuery);
    EXPECT_EQ(t.written(), "");
}

TEST(LookupSession, OneOutputIsOneBatchHoweverItIsWritten) {
    Table t;
    t.connect();
    t.ask(1);
    const std::string first = lookup_command(digest_of(1), 0) + kEpochQuery;
    EXPECT_EQ(t.session.output(t.now), first);
    t.session.written(10);
    t.ask(2);
    EXPECT_EQ(t.session.output(t.now), first.substr(10) + lookup_command(digest_of(2), 1) + kEpochQuery);
}

TEST(LookupSession, MarksGoRound) {
    Table t;
    t.connect();
    std::string wanted;
    for (int i = 0; i < 9; ++i) {
        t.ask(i);
        wanted += lookup_command(digest_of(i), static_cast<std::size_t>(i) % 4);
    }
    EXPECT_EQ(t.written(), wanted + kEpochQuery);
}

TEST(LookupSession, HoldsAnswersBackUntilTheEpoch) {
    Table t;
    t.connect();
    t.ask(1);
    t.ask(2);
    t.written();
    EXPECT_TRUE(t.feed(found_reply(digest_of(1), "ann", 0) + absent_reply(1)));
    EXPECT_EQ(t.outcomes(), Outcomes{});
    EXPECT_EQ(t.session.waiting(), 2u);
    EXPECT_TRUE(t.feed(epoch_reply()));
    EXPECT_EQ(t.outcomes(), (Outcomes{"1 found ann", "2 unknown"}));
    EXPECT_EQ(t.session.waiting(), 0u);
}

TEST(LookupSession, HandsOutAllFacts) {
    Table t;
    t.connect();
    LookupSession::Lookup* lookup = t.ask(1);
    t.written();
    EXPECT_TRUE(t.feed(fields_reply({to_hex_string(digest_of(1)), "7", "ann", "my key", "ia_x", "a b", "99"}, 0) +
                       epoch_reply()));
    EXPECT_EQ(lookup->facts.id, "7");
    EXPECT_EQ(lookup->facts.user, "ann");
    EXPECT_EQ(lookup->facts.name, "my key");
    EXPECT_EQ(lookup->facts.prefix, "ia_x");
    EXPECT_EQ(lookup->facts.scopes, "a b");
    EXPECT_EQ(lookup->facts.expires, 99);
    EXPECT_EQ(t.outcomes(), Outcomes{"1 found ann"});
}

// However the replies are torn, the handshake's too.
// Hazards: R13
TEST(LookupSession, EveryCutGivesTheSameOutcomes) {
    const std::string replies = found_reply(digest_of(1), "ann", 0) + absent_reply(1) + epoch_reply() +
                                found_reply(digest_of(3), "bob", 2) + "-WRONGTYPE x\r\n" + epoch_reply();
    const auto outcomes_of = [&](const std::string& stream, std::size_t first, std::size_t step) {
        Table t;
        t.session.connected(t.now);
        const auto feed_pieces = [&](const std::string& text, std::size_t to) {
            for (std::size_t from = 0; from < text.size(); from = to, to = std::min(to + step, text.size()))
                EXPECT_TRUE(t.feed(std::string_view(text).substr(from, to - from))) << t.session.why();
        };
        feed_pieces(kWelcome, std::min(first, kWelcome.size()));
        for (int number = 1; number <= 4; number += 2) {
            t.ask(number);
            t.ask(number + 1);
            t.written();
        }
        feed_pieces(stream, std::min(first, stream.size()));
        return t.outcomes();
    };
    const Outcomes wanted{"1 found ann", "2 unknown", "3 found bob", "4 unavailable"};
    for (std::size_t cut = 0; cut <= replies.size(); ++cut)
        ASSERT_EQ(outcomes_of(replies, cut, replies.size()), wanted) << "cut at " << cut;
    for (std::size_t step = 1; step < 20; ++step)
        ASSERT_EQ(outcomes_of(replies, step, step), wanted) << "pieces of " << step;
}

// --- trust -----------------------------------------------------------------------------------------------------

// Hazards: R23
TEST(LookupSession, WithoutAnEpochNothingCanBeKnown) {
    Table t;
    t.connect();
    t.ask(1);
    t.ask(2);
    t.written();
    EXPECT_TRUE(t.feed(found_reply(digest_of(1), "ann", 0) + absent_reply(1) + kNilReply));
    EXPECT_EQ(t.outcomes(), (Outcomes{"1 unavailable", "2 unavailable"}));
    EXPECT_EQ(t.session.take_notice().untrusted_batches, 1u);
    EXPECT_EQ(t.session.take_notice().untrusted_batches, 0u);
    EXPECT_FALSE(t.session.is_proven());
}

// Hazards: R27
TEST(LookupSession, AnotherRunsEpochProvesNothing) {
    Table t;
    const std::string old = epoch_reply("1", std::string(40, 'b'));
    t.connect(server_info() + role_info() + old);
    t.ask(1);
    t.ask(2);
    t.written();
    EXPECT_TRUE(t.feed(old + found_reply(digest_of(1), "ann", 0) + absent_reply(1) + old));
    EXPECT_EQ(t.outcomes(), (Outcomes{"1 unavailable", "2 unavailable"}));
}

TEST(LookupSession, ANewEpochAsksOnceMore) {
    Table t;
    t.connect();
    t.ask(1);
    t.ask(2);
    t.written();
    EXPECT_TRUE(t.feed(found_reply(digest_of(1), "ann", 0) + absent_reply(1) + epoch_reply("2")));
    EXPECT_EQ(t.outcomes(), Outcomes{});
    t.ask(3);
    EXPECT_EQ(t.written(), lookup_command(digest_of(1), 2) + lookup_command(digest_of(2), 3) +
                               lookup_command(digest_of(3), 0) + kEpochQuery);
    EXPECT_TRUE(t.feed(absent_reply(2) + found_reply(digest_of(2), "bob", 3) + absent_reply(0) + epoch_reply("2")));
    EXPECT_EQ(t.outcomes(), (Outcomes{"1 unknown", "2 found bob", "3 unknown"}));
}

TEST(LookupSession, AskingTwiceIsEnough) {
    Table t;
    t.connect();
    t.ask(1);
    t.written();
    EXPECT_TRUE(t.feed(absent_reply(0) + epoch_reply("2")));
    t.written();
    EXPECT_TRUE(t.feed(absent_reply(1) + epoch_reply("3")));
    EXPECT_EQ(t.outcomes(), Outcomes{"1 unavailable"});
    EXPECT_EQ(t.written(), "");
}

TEST(LookupSession, WhatIsAskedOnceMoreKeepsItsDeadline) {
    Table t;
    t.connect();
    t.ask(1);
    t.written();
    t.now += 100;
    EXPECT_TRUE(t.feed(absent_reply(0) + epoch_reply("2")));
    t.ask(2);
    EXPECT_EQ(t.session.next_deadline(), 1250);
    t.written();
    t.now = 1250;
    EXPECT_TRUE(t.session.tick(t.now));
    EXPECT_EQ(t.outcomes(), Outcomes{"1 unavailable"});
}

// It is asked once per heartbeat, also under load.
// Hazards: R7
TEST(LookupSession, NoticesThatItsMasterBecameAReplica) {
    Table t;
    t.connect();
    t.ask(1);
    t.now += 999;
    t.ask(2);
    EXPECT_EQ(t.written(), lookup_command(digest_of(1), 0) + lookup_command(digest_of(2), 1) + kEpochQuery);
    EXPECT_TRUE(t.feed(absent_reply(0) + absent_reply(1) + epoch_reply()));
    EXPECT_EQ(t.outcomes().size(), 2u);
    t.ask(3);
    t.now += 1;
    EXPECT_EQ(t.written(), lookup_command(digest_of(3), 2) + command({"INFO", "replication"}) + kEpochQuery);
    EXPECT_FALSE(t.feed(found_reply(digest_of(3), "ann", 2) + role_info("slave") + epoch_reply()));
    EXPECT_EQ(t.session.why(), "Redis is a replica; a master is needed");
    t.session.disconnected();
    EXPECT_EQ(t.outcomes(), Outcomes{"3 unavailable"});
}

}  // namespace
}  // namespace apikey::test
