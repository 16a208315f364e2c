// How lookups and connections of a LookupSession end: in time, by their askers, by Redis.
#include <gtest/gtest.h>

#include "tests/core/lookup_fixture.hpp"

namespace apikey::test {
namespace {

const std::string kHeartbeat = command({"INFO", "replication"}) + kEpochQuery;

// --- deadlines -------------------------------------------------------------------------------------------------

// A late reply is consumed in its place and goes to nobody.
// Hazards: R3
TEST(LookupLives, EndAtTheirDeadlineAndKeepTheirPlace) {
    Table t;
    t.connect();
    t.ask(1);
    t.written();
    EXPECT_EQ(t.session.next_deadline(), 1250);
    t.now = 1200;
    EXPECT_TRUE(t.session.tick(t.now));
    EXPECT_EQ(t.outcomes(), Outcomes{});
    t.ask(2);
    t.written();
    t.now = 1250;
    EXPECT_TRUE(t.session.tick(t.now));
    EXPECT_EQ(t.outcomes(), Outcomes{"1 unavailable"});
    EXPECT_EQ(t.session.next_deadline(), 1450);
    EXPECT_EQ(t.session.waiting(), 1u);
    EXPECT_TRUE(t.feed(found_reply(digest_of(1), "ann", 0) + epoch_reply() + found_reply(digest_of(2), "bob", 1) +
                       epoch_reply()));
    EXPECT_EQ(t.outcomes(), Outcomes{"2 found bob"});
    EXPECT_EQ(t.session.next_deadline(), 0);
}

TEST(LookupLives, EndWithoutAConnectionToo) {
    Table t;
    t.ask(1);
    t.now = 1250;
    EXPECT_TRUE(t.session.tick(t.now));
    EXPECT_EQ(t.outcomes(), Outcomes{"1 unavailable"});
    t.connect();
    EXPECT_EQ(t.written(), kEpochQuery);
}

TEST(LookupLives, EndWhileHeldBack) {
    Table t;
    t.connect();
    t.ask(1);
    t.written();
    EXPECT_TRUE(t.feed(found_reply(digest_of(1), "ann", 0)));
    EXPECT_EQ(t.session.next_deadline(), 1250);
    t.now = 1250;
    EXPECT_TRUE(t.session.tick(t.now));
    EXPECT_EQ(t.outcomes(), Outcomes{"1 unavailable"});
    EXPECT_TRUE(t.feed(epoch_reply()));
    EXPECT_EQ(t.outcomes(), Outcomes{});
}

// --- askers that leave -----------------------------------------------------------------------------------------

TEST(LookupLives, AbandonedBeforeSendingCostsNothing) {
    Table t;
    t.connect();
    t.session.abandon(t.ask(1));
    t.ask(2);
    EXPECT_EQ(t.session.waiting(), 1u);
    EXPECT_EQ(t.written(), lookup_command(digest_of(2), 0) + kEpochQuery);
    EXPECT_TRUE(t.feed(absent_reply(0) + epoch_reply()));
    EXPECT_EQ(t.outcomes(), Outcomes{"2 unknown"});
}

// Hazards: N1
TEST(LookupLives, AbandonedAfterSendingKeepsItsPlace) {
    Table t;
    t.connect();
    Lookup* first = t.ask(1);
    t.ask(2);
    Lookup* third = t.ask(3);
    t.written();
    t.session.abandon(first);
    EXPECT_TRUE(t.feed(found_reply(digest_of(1), "ann", 0) + found_reply(digest_of(2), "bob", 1) +
                       found_reply(digest_of(3), "cy", 2)));
    t.session.abandon(third);  // held back
    EXPECT_EQ(t.session.waiting(), 1u);
    EXPECT_TRUE(t.feed(epoch_reply()));
    EXPECT_EQ(t.outcomes(), Outcomes{"2 found bob"});
    EXPECT_EQ(t.session.waiting(), 0u);
}

TEST(LookupLives, AbandonedTombstonesAreNotUsedAgainTooEarly) {
    Table t;
    t.connect();
    Lookup* gone = t.ask(1);
    t.written();
    t.session.abandon(gone);
    Lookup* next = t.ask(2);
    EXPECT_NE(next, gone);
    t.written();
    EXPECT_TRUE(t.feed(absent_reply(0) + epoch_reply()));
    EXPECT_EQ(t.ask(3), gone) << "its reply has come: the place is free";
    t.written();
    EXPECT_TRUE(t.feed(found_reply(digest_of(2), "bob", 1) + epoch_reply() + absent_reply(2) + epoch_reply()));
    EXPECT_EQ(t.outcomes(), (Outcomes{"2 found bob", "3 unknown"}));
}

// Reply and abort in the same turn.
// Hazards: N3
TEST(LookupLives, AbandonedAfterTheEndIsLeftToTheOwner) {
    Table t;
    t.connect();
    Lookup* lookup = t.ask(1);
    t.written();
    EXPECT_TRUE(t.feed(found_reply(digest_of(1), "ann", 0) + epoch_reply()));
    t.session.abandon(lookup);
    EXPECT_NE(t.ask(2), lookup) << "the owner has not released it";
    EXPECT_EQ(t.outcomes(), Outcomes{});
    EXPECT_EQ(t.ask(3), lookup);
    EXPECT_EQ(t.session.waiting(), 2u);
}

TEST(LookupLives, AbandonedLongOnesTimeOutForNobody) {
    Table t;
    t.connect();
    Lookup* lookup = t.ask(1);
    t.written();
    t.session.abandon(lookup);
    EXPECT_EQ(t.session.next_deadline(), 0);
    t.now = 1300;
    EXPECT_TRUE(t.session.tick(t.now));
    t.session.disconnected();
    EXPECT_EQ(t.outcomes(), Outcomes{});
}

// Places are taken until the reply has come, so memory is bounded however askers come and go.
// Hazards: X4
TEST(LookupLives, AreCountedWithTheirTombstones) {
    LookupSession::Options options;
    options.most_waiting = 3;
    Table t(options);
    t.connect();
    t.session.abandon(t.ask(1));
    t.ask(2);
    t.ask(3);
    EXPECT_EQ(t.ask(4), nullptr);
    t.written();
    EXPECT_NE(t.ask(5), nullptr) << "1 was never sent";
    EXPECT_EQ(t.ask(6), nullptr);
    t.written();
    EXPECT_TRUE(t.feed(absent_reply(0) + absent_reply(1) + epoch_reply()));
    EXPECT_EQ(t.ask(7), nullptr) << "finished, but not released";
    EXPECT_EQ(t.outcomes(), (Outcomes{"2 unknown", "3 unknown"}));
    EXPECT_NE(t.ask(8), nullptr);
}

// --- Redis that says something else ----------------------------------------------------------------------------

// Each ends the connection, and the text never names the key.
// Hazards: R6, R9, R11, R14
TEST(LookupLives, EndTogetherWhenRedisSaysAnythingElse) {
    const std::string hash = to_hex_string(digest_of(1));
    const std::string refused = "Redis refused HMGET of a key: ";
    const std::string other = "Redis sent a reply that belongs to another question";
    const std::vector<std::pair<std::string, std::string>> replies = {
        {"-LOADING Redis is loading the dataset in memory\r\n", refused + "LOADING"},
        {"-NOAUTH Authentication required.\r\n", refused + "NOAUTH"},
        {"-NOPERM No permissions to access the key 'apikey:k:" + hash + "'\r\n", refused + "NOPERM"},
        {"-MOVED 3999 127.0.0.1:6381\r\n", refused + "MOVED"},
        {"-ASK 3999 127.0.0.1:6381\r\n", refused + "ASK"},
        {"-CLUSTERDOWN Hash slot not served\r\n", refused + "CLUSTERDOWN"},
        {"-MASTERDOWN Link with MASTER is down\r\n", refused + "MASTERDOWN"},
        {"-BUSY Redis is busy running a script.\r\n", refused + "BUSY"},
        {"-MISCONF Redis is configured to save RDB snapshots\r\n", refused + "MISCONF"},
        {"-FOO\r\n", refused + "FOO"},
        {"-" + hash + " is no key\r\n", refused + "ERR"},
        {"-ERR unknown command 'HMGET', with args beginning with: '" + hash + "'\r\n", refused + "ERR"},
        {found_reply(digest_of(2), "bob", 0), other},
        {found_reply(digest_of(1), "ann", 1), other},
        {absent_reply(3), other},
        {"*0\r\n", other},
        {"+OK\r\n", other},
        {epoch_reply(), other},
        {"$64\r\n" + hash + "\r\n", other},
        {"!\r\n", "Redis sent bytes that are not the Redis protocol"}};
    for (const auto& [reply, why] : replies) {
        Table t;
        t.connect();
        t.ask(1);
        t.ask(2);
        t.written();
        EXPECT_FALSE(t.feed(reply + absent_reply(1) + epoch_reply())) << reply;
        EXPECT_EQ(t.session.why(), why);
        EXPECT_EQ(t.session.take_notice().pairing_mismatches, why == other ? 1u : 0u) << reply;
        t.session.disconnected();
        EXPECT_EQ(t.outcomes(), (Outcomes{"1 unavailable", "2 unavailable"})) << reply;
    }
}

TEST(LookupLives, EndTogetherWhenTheEpochIsRefused) {
    Table t;
    t.connect();
    t.ask(1);
    t.written();
    EXPECT_FALSE(t.feed(found_reply(digest_of(1), "ann", 0) + "-NOPERM no access to 'apikey:epoch'\r\n"));
    EXPECT_EQ(t.session.why(), "Redis refused GET of the epoch: NOPERM");
    t.session.disconnected();
    EXPECT_EQ(t.outcomes(), Outcomes{"1 unavailable"});
}

// One record is bad, the others are not.
// Hazards: R10, R16, R17
TEST(LookupLives, ABrokenRecordIsUnavailableAlone) {
    Table t;
    t.connect();
    for (int i = 1; i <= 4; ++i)
        t.ask(i);
    t.written();
    const std::string hash = to_hex_string(digest_of(2));
    EXPECT_TRUE(t.feed("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n" +
                       fields_reply({hash, "", "bob", "n", "ia_", "*", ""}, 1) +
                       fields_reply({to_hex_string(digest_of(3)), "id", "cy", "n", "ia_", "*", "soon"}, 2) +
                       found_reply(digest_of(4), "di", 3) + epoch_reply()));
    EXPECT_EQ(t.outcomes(), (Outcomes{"1 unavailable", "2 unavailable", "3 unavailable", "4 found di"}));
    EXPECT_EQ(t.session.take_notice().corrupt_keys, 3u);
}

// --- the connection --------------------------------------------------------------------------------------------

// What was given away is lost with the connection, what was not is asked on the next.
// Hazards: R2, R15
TEST(LookupLives, OnlyWhatWasNotSentSurvivesTheConnection) {
    Table t;
    t.connect();
    t.ask(1);
    t.written();
    t.ask(2);
    EXPECT_TRUE(t.feed(absent_reply(0)));
    t.ask(3);
    t.session.disconnected();
    EXPECT_EQ(t.outcomes(), Outcomes{"1 unavailable"});
    EXPECT_FALSE(t.session.is_proven());
    t.connect();
    EXPECT_EQ(t.written(), lookup_command(digest_of(2), 1) + lookup_command(digest_of(3), 2) + kEpochQuery);
    EXPECT_TRUE(t.feed(absent_reply(1) + absent_reply(2) + epoch_reply()));
    EXPECT_EQ(t.outcomes(), (Outcomes{"2 unknown", "3 unknown"}));
}

TEST(LookupLives, FailAllForgetsNobody) {
    Table t;
    t.connect();
    t.ask(1);
    t.written();
    EXPECT_TRUE(t.feed(absent_reply(0)));
    t.ask(2);
    t.written();
    t.ask(3);
    t.session.fail_all();
    EXPECT_EQ(t.outcomes(), (Outcomes{"1 unavailable", "2 unavailable", "3 unavailable"}));
    EXPECT_EQ(t.session.waiting(), 0u);
    t.connect();
    EXPECT_EQ(t.written(), "");
}

// Hazards: R4
TEST(LookupLives, AnIdleConnectionIsAskedForASignOfLife) {
    Table t;
    t.connect();
    EXPECT_EQ(t.session.next_heartbeat(), 2000);
    t.now = 1999;
    EXPECT_TRUE(t.session.tick(t.now));
    EXPECT_EQ(t.written(), "");
    t.now = 2000;
    EXPECT_TRUE(t.session.tick(t.now));
    EXPECT_EQ(t.written(), kHeartbeat);
    EXPECT_EQ(t.session.next_heartbeat(), 2500) << "twice the timeout to answer";
    EXPECT_TRUE(t.feed(role_info() + epoch_reply()));
    EXPECT_EQ(t.session.next_heartbeat(), 3000);
}

// Whatever else is sent meanwhile, and however many single bytes come.
// Hazards: R3, R4
TEST(LookupLives, ASilentConnectionEnds) {
    Table t;
    t.connect();
    t.ask(1);
    t.written();
    t.now = 1400;
    t.ask(2);
    t.written();
    EXPECT_TRUE(t.feed("*7\r\n"));
    EXPECT_EQ(t.session.next_heartbeat(), 1500);
    t.now = 1499;
    EXPECT_TRUE(t.session.tick(t.now));
    t.now = 1500;
    EXPECT_FALSE(t.session.tick(t.now));
    EXPECT_EQ(t.session.why(), "Redis does not answer");
}

// Slow is not silent.
// Hazards: R3
TEST(LookupLives, AnswersThatComeAreNoSilence) {
    Table t;
    t.connect();
    for (std::size_t i = 0; i < 20; ++i) {
        t.ask(1);
        const bool role_is_asked = t.written().find("replication") != std::string::npos;
        t.now += 400;
        EXPECT_TRUE(t.feed(absent_reply(i % 4) + (role_is_asked ? role_info() : "") + epoch_reply()));
        EXPECT_TRUE(t.session.tick(t.now)) << i;
    }
}

}  // namespace
}  // namespace apikey::test
