// What a SubscriptionSession says to Redis, and what it hears.
#include <gtest/gtest.h>

#include "tests/core/allocations.hpp"
#include "tests/core/subscription_fixture.hpp"

namespace apikey::test {
namespace {

// --- the handshake ---------------------------------------------------------------------------------------------

std::string handshake_of(SubscriptionSession::Options options) {
    SubscriptionSession session(std::move(options));
    session.connected(0);
    return std::string(session.output());
}

TEST(SubscriptionSession, ShakesHandsWithWhatIsConfigured) {
    EXPECT_EQ(handshake_of({}), kSubscribe);
    SubscriptionSession::Options options;
    options.password = "secret";
    EXPECT_EQ(handshake_of(options), command({"AUTH", "secret"}) + kSubscribe);
    options.user = "nginx";
    EXPECT_EQ(handshake_of(options), command({"AUTH", "nginx", "secret"}) + kSubscribe);
    options.password.clear();
    options.prefix = "site:";
    EXPECT_EQ(handshake_of(options), command({"INFO", "server"}) + command({"SUBSCRIBE", "site:changed"}));
}

// The password may have changed.
// Hazards: R9
TEST(SubscriptionSession, UsesTheNewestPassword) {
    SubscriptionSession::Options options;
    options.password = "old";
    SubscriptionSession rotated(options);
    rotated.set_password("new");
    rotated.connected(0);
    EXPECT_EQ(rotated.output(), command({"AUTH", "new"}) + kSubscribe);
}

TEST(SubscriptionSession, WatchesFromTheAcknowledgementOn) {
    Subscriber t;
    t.session.connected(t.now);
    t.written();
    t.now = 1200;
    EXPECT_TRUE(t.feed(server_info()));
    EXPECT_TRUE(t.tick());
    EXPECT_FALSE(t.session.subscribed());
    EXPECT_EQ(t.session.run_id(), "");
    EXPECT_EQ(t.written(), "") << "PING only when subscribed";
    t.now = 1300;
    EXPECT_TRUE(t.feed(kSubscribed));
    EXPECT_TRUE(t.session.subscribed());
    EXPECT_EQ(t.session.subscribed_since(), 1300);
    EXPECT_EQ(t.session.run_id(), kRunId);
    EXPECT_EQ(t.session.answered().number, 0U);
}

// Hazards: R6, R9, R12, R26, R30
TEST(SubscriptionSession, ABadHandshakeEndsTheConnection) {
    const std::string ok = "+OK\r\n";
    const std::string other = "Redis sent a reply of another kind";
    const std::vector<std::pair<std::string, std::string>> replies = {
        {"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
         "Redis refused the user or password: WRONGPASS invalid username-password pair or user is disabled."},
        {"-ERR no such thing hidden4\r\n", "Redis refused the user or password: ERR no such thing hidden"},
        {":1\r\n", other},
        {ok + "-ERR max number of clients reached\r\n", "Redis refused INFO: ERR max number of clients reached"},
        {ok + "-LOADING Redis is loading the dataset in memory\r\n",
         "Redis refused INFO: LOADING Redis is loading the dataset in memory"},
        {ok + kNilReply, "Redis' INFO names no run_id"},
        {ok + bulk("run_id:\r\n"), "Redis' INFO names no run_id"},
        {ok + "*1\r\n" + server_info(), "Redis' INFO names no run_id"},
        {ok + server_info() + "-NOPERM No permissions to access a channel\r\n",
         "Redis refused SUBSCRIBE: NOPERM, its user may not do this; docs/operations.md lists the ACL that nginx "
         "needs"},
        {ok + server_info() + ok, other},
        {ok + server_info() + ":1\r\n", other},
        {ok + server_info() + message("* 0"), other},
        {ok + server_info() + strings_reply({"subscribe", kChannel}), other},
        {ok + server_info() + "*3\r\n" + bulk("subscribe") + bulk("apikey:applied") + ":1\r\n", other},
        {ok + server_info() + "*3\r\n" + bulk("psubscribe") + bulk(kChannel) + ":1\r\n", other},
        {ok + server_info() + kSubscribed + kSubscribed, other},
        {"HTTP/1.1 400 Bad Request\r\n", "Redis sent bytes that are not the Redis protocol"}};
    SubscriptionSession::Options options;
    options.user = "nginx";
    options.password = "hidden";
    for (const auto& [bytes, why] : replies) {
        SubscriptionSession strict(options);
        strict.connected(0);
        EXPECT_FALSE(strict.feed(bytes, 0)) << bytes;
        EXPECT_EQ(strict.why(), why);
        EXPECT_FALSE(strict.subscribed());
        EXPECT_FALSE(strict.feed(ok, 0)) << "and it stays ended";
    }
}

// --- messages --------------------------------------------------------------------------------------------------

TEST(SubscriptionSession, HearsChangesInTheirOrder) {
    Subscriber t;
    t.connect();
    EXPECT_TRUE(t.feed(message(change_of(1, 0)) + message("* 0") + message(change_of(2, 7)) +
                       message(change_of(1, 18'446'744'073'709'551'615U))));
    EXPECT_EQ(t.heard(), (Heard{"1 0", "* 0", "2 7", "1 18446744073709551615"}));
    EXPECT_EQ(t.heard(), Heard{});
    EXPECT_EQ(t.session.take_malformed(), 0U);
}

// Hazards: R22
TEST(SubscriptionSession, CountsWhatIsNoChangeAndGoesOn) {
    Subscriber t;
    t.connect();
    const std::string hash(64, 'a');
    const std::vector<std::string> hostile = {message(""),
                                              message("*"),
                                              message("* "),
                                              message("* -1"),
                                              message("* 99999999999999999999"),
                                              message(hash),
                                              message(hash + " "),
                                              message(hash.substr(1) + " 1"),
                                              message(hash + "a 1"),
                                              message(std::string(64, 'A') + " 1"),
                                              message(std::string("\r\n* 1")),
                                              message(std::string("* 1\r\n")),
                                              message(std::string(7000, 'x')),
                                              message("* 1", "apikey:applied"),
                                              message("* 1", ""),
                                              message("* 1", "other"),
                                              "*3\r\n" + bulk("message") + bulk(kChannel) + ":1\r\n",
                                              "*3\r\n" + bulk("message") + bulk(kChannel) + "$-1\r\n",
                                              "*3\r\n" + bulk("message") + ":1\r\n" + bulk("* 1"),
                                              "*3\r\n" + bulk("message") + bulk(kChannel) + "+* 1\r\n"};
    for (const std::string& bytes : hostile) {
        EXPECT_TRUE(t.feed(bytes)) << bytes.substr(0, 100) << t.session.why();
        EXPECT_EQ(t.session.take_malformed(), 1U) << bytes.substr(0, 100);
    }
    EXPECT_TRUE(t.feed(message(change_of(3, 1))));
    EXPECT_EQ(t.heard(), Heard{"3 1"});
}

TEST(SubscriptionSession, AMessageCostsNoAllocation) {
    Subscriber t;
    t.connect();
    const std::string bytes = message(change_of(1, 42)) + message("* 0");
    std::vector<redis::Change> changes;
    const auto hear = [&] {
        EXPECT_TRUE(t.feed(bytes));
        changes.clear();
        t.session.take_changes(changes);
    };
    hear();
    hear();  // two vectors take turns
    EXPECT_EQ(allocations_of(hear), 0U);
    EXPECT_EQ(changes.size(), 2U);
}

// However the stream is torn, the handshake too.
// Hazards: R13
TEST(SubscriptionSession, EveryCutIsHeardAlike) {
    const std::string stream = server_info() + kSubscribed + message(change_of(1, 0)) + pong(1) + message("nothing") +
                               message("* 9") + pong(2) + message(change_of(2, 3));
    const auto hear = [&](std::size_t first, std::size_t step) {
        Subscriber t;
        t.session.connected(t.now);
        for (std::size_t from = 0, to = first; from < stream.size();
             from = to, to = std::min(to + step, stream.size())) {
            EXPECT_TRUE(t.feed(std::string_view(stream).substr(from, to - from))) << t.session.why();
            if (!t.session.subscribed() || t.session.last_ping() != 0) continue;
            t.session.ping(t.now);
            t.session.ping(t.now);
        }
        Heard heard = t.heard();
        heard.push_back(std::to_string(t.session.take_malformed()) + " malformed");
        heard.push_back(std::to_string(t.session.answered().number) + " answered");
        return heard;
    };
    const std::size_t welcome = server_info().size() + kSubscribed.size();  // no PING can be answered before it is sent
    const Heard wanted{"1 0", "* 9", "2 3", "1 malformed", "2 answered"};
    for (std::size_t cut = 1; cut <= welcome; ++cut)
        ASSERT_EQ(hear(cut, welcome - cut + (cut == welcome ? 1 : 0)), wanted) << "cut at " << cut;
    for (std::size_t cut = welcome; cut < stream.size(); ++cut)
        ASSERT_EQ(hear(welcome, cut - welcome + 1), wanted) << "cut at " << cut;
    for (std::size_t step = 1; step < 20; ++step)
        ASSERT_EQ(hear(step, step), wanted) << "pieces of " << step;
}

// --- PING ------------------------------------------------------------------------------------------------------

TEST(SubscriptionSession, PingsAtOnceAndThenRegularly) {
    Subscriber t;
    t.connect();
    EXPECT_EQ(t.session.answered().number, 1U);
    EXPECT_EQ(t.session.answered().sent, 1000);
    EXPECT_EQ(t.session.next_tick(), 1000 + redis::kPingEvery);
    t.now = 1000 + redis::kPingEvery - 1;
    EXPECT_TRUE(t.tick());
    EXPECT_EQ(t.written(), "");
    t.now += 1;
    EXPECT_TRUE(t.tick());
    EXPECT_EQ(t.written(), ping(2));
    t.now += 100;
    EXPECT_TRUE(t.feed(message(change_of(1, 0)) + pong(2)));
    EXPECT_EQ(t.session.answered().sent, 1250) << "when it was sent, not when it was answered";
    EXPECT_EQ(t.session.next_tick(), 1500);
}

TEST(SubscriptionSession, PingsWhenItIsTold) {
    Subscriber t;
    t.session.ping(t.now);
    EXPECT_EQ(t.written(), "");
    t.connect();
    t.now += 10;
    t.session.ping(t.now);
    EXPECT_EQ(t.written(), ping(2));
    EXPECT_EQ(t.session.next_tick(), 1010 + redis::kPingEvery);
    for (int i = 0; i < 1000; ++i)
        t.session.ping(t.now);
    EXPECT_LT(t.written().size(), 1000U) << "not without end";
    EXPECT_GT(t.session.next_tick(), t.now);
}

// Answers that are none fail the connection.
// Hazards: R14
TEST(SubscriptionSession, AnAnswerIsThatOfTheOldestPing) {
    for (const std::string& bytes :
         {pong(1), pong(3), pong(4), pong(2) + pong(2), pong(2) + pong(3) + pong(4), strings_reply({"pong", ""}),
          strings_reply({"pong", "2 "}), strings_reply({"pong"}), strings_reply({"pong", "2", "2"}),
          "*2\r\n" + bulk("pong") + ":2\r\n", std::string("+PONG\r\n"),
          strings_reply({"pmessage", "*", kChannel, "* 1"}), "*3\r\n" + bulk("unsubscribe") + bulk(kChannel) + ":0\r\n",
          strings_reply({"message", kChannel}), std::string("*0\r\n"), std::string("*-1\r\n"), std::string("$-1\r\n"),
          std::string(":1\r\n"), bulk("message")}) {
        Subscriber t;
        t.connect();
        t.session.ping(t.now);
        t.session.ping(t.now);
        EXPECT_FALSE(t.feed(bytes)) << bytes;
        EXPECT_EQ(t.session.why(), "Redis sent a reply of another kind") << bytes;
        EXPECT_FALSE(t.session.subscribed());
    }
}

TEST(SubscriptionSession, ARefusalEndsTheConnection) {
    Subscriber t;
    t.connect();
    EXPECT_FALSE(t.feed("-NOPERM this user has no permissions to run the 'ping' command\r\n"));
    EXPECT_EQ(
        t.session.why(),
        "Redis refused PING: NOPERM, its user may not do this; docs/operations.md lists the ACL that nginx needs");
}

TEST(SubscriptionSession, NumbersGoOnOverConnections) {
    Subscriber t;
    t.connect();
    t.session.ping(t.now);
    t.session.disconnected();
    EXPECT_FALSE(t.session.subscribed());
    EXPECT_FALSE(t.feed(pong(2)));
    t.now = 5000;
    t.session.connected(t.now);
    EXPECT_EQ(t.written(), kSubscribe);
    EXPECT_TRUE(t.feed(server_info() + kSubscribed));
    EXPECT_EQ(t.session.answered().number, 0U);
    EXPECT_EQ(t.session.subscribed_since(), 5000);
    EXPECT_TRUE(t.tick());
    EXPECT_EQ(t.written(), ping(3));
}

TEST(SubscriptionSession, WhatWasHeardOnALostConnectionIsNotHeardOnTheNext) {
    Subscriber t;
    t.connect();
    EXPECT_FALSE(t.feed(message(change_of(1, 1)) + "!\r\n"));
    t.session.disconnected();
    t.connect();
    EXPECT_EQ(t.heard(), Heard{});
}

// --- silence ---------------------------------------------------------------------------------------------------

// Hazards: R4, R19
TEST(SubscriptionSession, ASilentConnectionEnds) {
    Subscriber t;
    t.connect();
    Millis first_unanswered = 0;
    while (t.now < 5000 && t.tick()) {
        if (first_unanswered == 0 && t.session.last_ping() == 2) first_unanswered = t.now;
        t.now = t.session.next_tick();
    }
    EXPECT_EQ(t.session.why(), "Redis does not answer");
    EXPECT_EQ(t.now, first_unanswered + redis::kLease);
    EXPECT_LE(t.now, 1000 + 1250);
    EXPECT_FALSE(t.session.subscribed());
}

// Messages without answers prove nothing, and neither do single bytes.
// Hazards: R19
TEST(SubscriptionSession, OnlyAnswersAreASignOfLife) {
    Subscriber t;
    t.connect();
    const std::string dribble = message(change_of(1, 0));
    for (std::size_t i = 0; t.now < 5000 && t.tick(); t.now += 1, i += 1)
        ASSERT_TRUE(t.feed(dribble.substr(i % dribble.size(), 1)));
    EXPECT_EQ(t.session.why(), "Redis does not answer");
    EXPECT_LE(t.now, 1000 + 1250);
}

TEST(SubscriptionSession, SilenceDuringTheHandshakeEndsItToo) {
    Subscriber t;
    t.session.connected(t.now);
    EXPECT_EQ(t.session.next_tick(), 1000 + redis::kLease);
    EXPECT_TRUE(t.feed(server_info()));
    t.now = 1000 + redis::kLease - 1;
    EXPECT_TRUE(t.tick());
    t.now += 1;
    EXPECT_FALSE(t.tick());
    EXPECT_EQ(t.session.why(), "Redis does not answer");
}

TEST(SubscriptionSession, WithoutAConnectionTimeMeansNothing) {
    Subscriber t;
    t.now = 1'000'000;
    EXPECT_TRUE(t.tick());
    EXPECT_EQ(t.written(), "");
}

}  // namespace
}  // namespace apikey::test
