// A worker's registration and confirmations, on the connection for lookups.
#include <gtest/gtest.h>

#include "tests/core/lookup_fixture.hpp"

namespace apikey::test {
namespace {

const std::string kWorkerName = "api-1:7:00000000000000ff";
const std::string kTime = command({"TIME"});

// Redis' clock says 5000 s and some microseconds more.
std::string time_reply(const std::string& micros = "250000") {
    return "*2\r\n" + bulk("5000") + bulk(micros);
}
// The ZADD of a registration whose score is `score`.
std::string zadd(Millis score) {
    return command({"ZADD", "apikey:workers", std::to_string(score), kWorkerName});
}
std::string publish(const std::string& receipt) {
    return command({"PUBLISH", "apikey:applied", kWorkerName + " " + receipt});
}

struct WorkerTable : Table {
    static LookupSession::Options options() {
        LookupSession::Options options;
        options.worker = kWorkerName;
        return options;
    }
    WorkerTable() : Table(options()) {}

    // One that knows Redis' clock: ours + 4,999,251.
    void connect_and_register() {
        connect();
        session.renew_registration(now);
        written();
        EXPECT_TRUE(feed(time_reply() + ":1\r\n" + time_reply())) << session.why();
        written();
        EXPECT_EQ(session.take_registration(), now);
    }
    std::vector<std::int64_t> confirmed() {
        std::vector<std::int64_t> all;
        session.take_confirmed(all);
        return all;
    }
};

constexpr Millis kOffset = 5'000'251 - 1000;

// --- registration ----------------------------------------------------------------------------------------------

TEST(Registration, AsksForTheTimeFirst) {
    WorkerTable t;
    t.connect();
    t.session.renew_registration(t.now);
    EXPECT_EQ(t.written(), kTime);
    t.now = 1010;
    EXPECT_TRUE(t.feed(time_reply()));
    EXPECT_FALSE(t.session.take_registration());
    EXPECT_EQ(t.written(), zadd(1010 + kOffset + redis::kRegistration) + kTime);
    t.now = 1020;
    EXPECT_TRUE(t.feed(":1\r\n"));
    EXPECT_FALSE(t.session.take_registration()) << "TIME must have been answered, too";
    EXPECT_TRUE(t.feed(time_reply("260000")));
    EXPECT_EQ(t.session.take_registration(), 1010) << "when it was sent";
    EXPECT_FALSE(t.session.take_registration());
}

// The score is never too early: the offset is that of the moment before TIME was sent, rounded up.
TEST(Registration, ScoresByRedisClock) {
    WorkerTable t;
    t.connect_and_register();
    t.now = 1250;
    t.session.renew_registration(t.now);
    EXPECT_EQ(t.written(), zadd(1250 + kOffset + redis::kRegistration) + kTime);
    EXPECT_TRUE(t.feed(":0\r\n" + time_reply("999999")));
    EXPECT_EQ(t.session.take_registration(), 1250);
    t.now = 1500;
    t.session.renew_registration(t.now);
    EXPECT_EQ(t.written(), zadd(1500 + 5'001'000 - 1250 + redis::kRegistration) + kTime);
}

TEST(Registration, OneAtATimeAndOnlyWhenThereIsSomebodyToTell) {
    WorkerTable t;
    t.session.renew_registration(t.now);
    t.session.connected(t.now);
    t.session.renew_registration(t.now);
    EXPECT_EQ(t.written(), kHandshake);
    EXPECT_EQ(t.session.run_id(), "");
    EXPECT_TRUE(t.feed(kWelcome));
    EXPECT_EQ(t.session.run_id(), kRunId);
    t.session.renew_registration(t.now);
    t.session.renew_registration(t.now);
    EXPECT_EQ(t.written(), kTime);

    Table nobody;
    nobody.connect();
    nobody.session.renew_registration(nobody.now);
    nobody.session.end_registration(nobody.now);
    EXPECT_FALSE(nobody.session.confirm(1, 0, nobody.now));
    EXPECT_EQ(nobody.written(), "") << "without a name";
}

TEST(Registration, EndsAndDoesNotCountAnyMore) {
    WorkerTable t;
    t.connect_and_register();
    t.session.renew_registration(t.now);
    t.written();
    t.session.end_registration(t.now);
    EXPECT_EQ(t.written(), command({"ZREM", "apikey:workers", kWorkerName}));
    EXPECT_TRUE(t.feed(":0\r\n" + time_reply() + ":1\r\n"));
    EXPECT_FALSE(t.session.take_registration());
    t.session.renew_registration(t.now);
    t.written();
    EXPECT_TRUE(t.feed(":1\r\n" + time_reply()));
    EXPECT_TRUE(t.session.take_registration()) << "until there is another";
}

TEST(Registration, EndedBeforeItsTimeHasCome) {
    WorkerTable t;
    t.connect();
    t.session.renew_registration(t.now);
    t.session.end_registration(t.now);
    t.written();
    EXPECT_TRUE(t.feed(time_reply() + ":0\r\n"));
    EXPECT_EQ(t.written(), "") << "nobody wants it any more";
}

TEST(Registration, IsLostWithTheConnection) {
    WorkerTable t;
    t.connect_and_register();
    t.session.renew_registration(t.now);
    t.written();
    EXPECT_TRUE(t.feed(":0\r\n" + time_reply()));
    t.session.disconnected();
    EXPECT_FALSE(t.session.take_registration());
    EXPECT_EQ(t.session.run_id(), "");
    t.connect();
    t.session.renew_registration(t.now);
    EXPECT_EQ(t.written(), kTime) << "another Redis has another clock";
}

// Such refusals are weather.
// Hazards: R8, R9
TEST(Registration, IsRefusedWithoutHarmToLookups) {
    for (const std::string& refusal : {std::string("OOM command not allowed when used memory > 'maxmemory'."),
                                       std::string("NOPERM this user has no permissions to run the 'zadd' command"),
                                       std::string("READONLY You can't write against a read only replica."),
                                       std::string("WRONGTYPE Operation against a key")}) {
        WorkerTable t;
        t.connect_and_register();
        t.ask(1);
        t.session.renew_registration(t.now);
        t.session.end_registration(t.now);
        t.session.renew_registration(t.now);
        t.written();
        EXPECT_TRUE(t.feed("-" + refusal + "\r\n" + time_reply() + "-" + refusal + "\r\n" +
                           found_reply(digest_of(1), "ann", 0) + epoch_reply()))
            << t.session.why();
        EXPECT_FALSE(t.session.take_registration());
        EXPECT_EQ(t.outcomes(), Outcomes{"1 found ann"});
        const auto notice = t.session.take_notice();
        EXPECT_EQ(notice.refused_registrations, 2U);
        EXPECT_EQ(notice.refusal, refusal.substr(0, refusal.find(' ')));
        t.session.renew_registration(t.now);
        EXPECT_NE(t.written(), "") << "it is tried again";
    }
}

TEST(Registration, WithoutTheTimeThereIsNone) {
    WorkerTable t;
    t.connect();
    t.session.renew_registration(t.now);
    t.written();
    EXPECT_TRUE(t.feed("-NOPERM no TIME for you\r\n"));
    EXPECT_EQ(t.session.take_notice().refused_registrations, 1U);
    EXPECT_EQ(t.written(), "");
    t.session.renew_registration(t.now);
    EXPECT_EQ(t.written(), kTime);
}

// --- confirmations ---------------------------------------------------------------------------------------------

TEST(Confirmation, IsToldAndGivenBackInOrder) {
    WorkerTable t;
    EXPECT_FALSE(t.session.confirm(1, 10, t.now));
    t.connect();
    EXPECT_TRUE(t.session.confirm(7, 70, t.now));
    EXPECT_TRUE(t.session.confirm(18'446'744'073'709'551'615U, 80, t.now));
    EXPECT_TRUE(t.session.confirm(9, 90, t.now));
    EXPECT_EQ(t.written(), publish("7") + publish("18446744073709551615") + publish("9"));
    EXPECT_TRUE(t.feed(":1\r\n-NOPERM no access to the channel\r\n"));
    EXPECT_EQ(t.confirmed(), std::vector<std::int64_t>{70});
    EXPECT_EQ(t.session.take_notice().refused_confirmations, 1U);
    EXPECT_TRUE(t.feed(":0\r\n"));
    EXPECT_EQ(t.confirmed(), std::vector<std::int64_t>{90});
}

TEST(Confirmation, IsBoundedAndForgottenWithTheConnection) {
    WorkerTable t;
    t.connect();
    redis::Receipt receipt = 0;
    while (t.session.confirm(++receipt, 0, t.now))
        ASSERT_LT(receipt, 1000U);
    EXPECT_GT(receipt, 100U);
    t.session.disconnected();
    t.connect();
    EXPECT_TRUE(t.session.confirm(1, 10, t.now));
    EXPECT_EQ(t.written(), publish("1"));
    EXPECT_TRUE(t.feed(":1\r\n"));
    EXPECT_EQ(t.confirmed(), std::vector<std::int64_t>{10});
}

// --- beside lookups --------------------------------------------------------------------------------------------

TEST(Invalidation, GoesBetweenBatches) {
    WorkerTable t;
    t.connect_and_register();
    t.ask(1);
    EXPECT_TRUE(t.session.confirm(5, 0, t.now));
    t.session.renew_registration(t.now);
    EXPECT_EQ(t.written(), publish("5") + zadd(1000 + kOffset + redis::kRegistration) + kTime +
                               lookup_command(digest_of(1), 0) + kEpochQuery);
    EXPECT_TRUE(t.session.confirm(6, 0, t.now));
    t.ask(2);
    EXPECT_EQ(t.written(), publish("6") + lookup_command(digest_of(2), 1) + kEpochQuery);
    EXPECT_TRUE(t.feed(":2\r\n:0\r\n" + time_reply() + found_reply(digest_of(1), "ann", 0) + epoch_reply() + ":2\r\n" +
                       absent_reply(1) + epoch_reply()));
    EXPECT_EQ(t.outcomes(), (Outcomes{"1 found ann", "2 unknown"}));
}

// Replies that were lost, repeated or exchanged acknowledge nothing.
// Hazards: R14
TEST(Invalidation, ASlipEndsTheConnection) {
    const std::string one = ":1\r\n";
    for (const std::string& replies :
         {one + one + one,           // PUBLISH repeated: ZADD's reply in TIME's place
          one + time_reply(),        // PUBLISH or ZADD lost
          one + time_reply() + one,  // exchanged
          time_reply(), one + one + "+OK\r\n", one + one + bulk("5000"), one + one + "*2\r\n" + bulk("x") + bulk("1"),
          one + one + "*2\r\n" + bulk("5000") + bulk("1000000"), one + one + "*2\r\n" + bulk("1") + ":1\r\n",
          one + one + "*2\r\n" + bulk("9999999999999999999") + bulk("1"), one + one + "*1\r\n" + bulk("5000"),
          one + "+QUEUED\r\n", bulk("1"), one + one + time_reply() + time_reply()}) {
        WorkerTable t;
        t.connect_and_register();
        t.session.confirm(5, 0, t.now);
        t.session.renew_registration(t.now);
        t.ask(1);
        t.written();
        EXPECT_FALSE(t.feed(replies)) << replies;
        t.session.disconnected();
        EXPECT_FALSE(t.session.take_registration()) << replies;
        EXPECT_EQ(t.outcomes(), Outcomes{"1 unavailable"});
    }
}

// Registrations keep the connection from being idle; its role is asked for all the same.
// Hazards: R7
TEST(Invalidation, DoesNotHideAReplica) {
    WorkerTable t;
    t.connect_and_register();
    std::string asked;
    for (; t.now < 2000; t.now += 250) {
        t.session.renew_registration(t.now);
        EXPECT_TRUE(t.session.tick(t.now));
        EXPECT_EQ(t.written().find("INFO"), std::string::npos);
        EXPECT_TRUE(t.feed(":0\r\n" + time_reply()));
    }
    t.session.renew_registration(t.now);
    EXPECT_TRUE(t.session.tick(t.now));
    EXPECT_EQ(t.written().substr(0, command({"INFO", "replication"}).size()), command({"INFO", "replication"}));
    EXPECT_FALSE(t.feed(role_info("slave")));
    EXPECT_EQ(t.session.why(), "Redis is a replica; a master is needed");
}

// CLIENT PAUSE WRITE keeps everything behind a ZADD waiting.
// Hazards: R29
TEST(Invalidation, PausesAfterASilenceThatItMayHaveCaused) {
    WorkerTable t;
    t.connect_and_register();
    Millis pause = LookupSession::kFirstHoldOff;
    for (int silence = 0; silence < 3; ++silence, pause *= 2) {
        t.session.renew_registration(t.now);
        EXPECT_NE(t.written(), "");
        t.now += 500;
        EXPECT_FALSE(t.session.tick(t.now));
        t.session.disconnected();
        t.connect();
        t.now += pause - 1;
        t.session.renew_registration(t.now);
        EXPECT_FALSE(t.session.confirm(1, 0, t.now));
        EXPECT_EQ(t.written(), "");
        t.ask(1);
        const bool role_is_asked = t.written().find("replication") != std::string::npos;
        EXPECT_TRUE(t.feed(absent_reply(static_cast<std::size_t>(silence)) + (role_is_asked ? role_info() : "") +
                           epoch_reply()))
            << t.session.why();
        EXPECT_EQ(t.outcomes(), Outcomes{"1 unknown"}) << "lookups go on";
        t.now += 1;
    }
    t.session.renew_registration(t.now);
    EXPECT_EQ(t.written(), kTime);
    EXPECT_TRUE(t.feed(time_reply() + ":1\r\n" + time_reply()));
    t.session.disconnected();
    t.connect();
    t.session.renew_registration(t.now);
    EXPECT_EQ(t.written(), kTime) << "a connection that was lost otherwise is no reason";
}

TEST(Invalidation, IsNotToBlameForASilenceOfLookups) {
    WorkerTable t;
    t.connect_and_register();
    t.ask(1);
    t.written();
    t.now += 500;
    EXPECT_FALSE(t.session.tick(t.now));
    t.session.disconnected();
    t.connect();
    t.session.renew_registration(t.now);
    EXPECT_EQ(t.written(), kTime);
}

// A silent Redis owes these answers, too.
// Hazards: R4
TEST(Invalidation, SilenceEndsTheConnection) {
    WorkerTable t;
    t.connect();
    t.now = 1700;
    EXPECT_TRUE(t.session.confirm(1, 0, t.now));
    t.written();
    EXPECT_EQ(t.session.next_heartbeat(), 2200);
    t.now = 2199;
    EXPECT_TRUE(t.session.tick(t.now));
    t.now = 2200;
    EXPECT_FALSE(t.session.tick(t.now));
    EXPECT_EQ(t.session.why(), "Redis does not answer");
}

}  // namespace
}  // namespace apikey::test
