// A LookupSession on a table: the test plays Redis and the asker.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "core/redis/lookup_session.hpp"
#include "tests/core/lookup_replies.hpp"

namespace apikey::test {

using redis::LookupSession;
using redis::Millis;
using Lookup = LookupSession::Lookup;

inline const std::string kEpochQuery = command({"GET", "apikey:epoch"});
inline const std::string kHandshake = command({"INFO", "server"}) + command({"INFO", "replication"}) + kEpochQuery;
inline const std::string kWelcome = server_info() + role_info() + epoch_reply();

struct Table {
    explicit Table(LookupSession::Options options = {}) : session(std::move(options)) {}

    // What is to be written; it counts as written.
    std::string written() {
        const std::string bytes(session.output(now));
        session.written(bytes.size());
        return bytes;
    }
    // A connection that has shaken hands.
    void connect(const std::string& welcome = kWelcome) {
        session.connected(now);
        written();
        EXPECT_TRUE(feed(welcome)) << session.why();
    }
    bool feed(std::string_view bytes) { return session.feed(bytes, now); }
    // Key number n; the outcome arrives under this number.
    Lookup* ask(int number) {
        askers[number] = number;
        return session.ask(digest_of(number), &askers[number], now);
    }
    // What has become of the lookups since the last call: "1 found ann", "2 unknown".
    std::vector<std::string> outcomes() {
        std::vector<Lookup*> done;
        std::vector<std::string> texts;
        session.take_done(done);
        for (Lookup* lookup : done) {
            if (lookup->asker != nullptr) texts.push_back(describe(*lookup));
            session.release(lookup);
        }
        return texts;
    }

    Millis now = 1000;
    LookupSession session;
    std::map<int, int> askers;

  private:
    static std::string describe(const Lookup& lookup) {
        const std::string number = std::to_string(*static_cast<int*>(lookup.asker));
        switch (lookup.outcome) {
            case LookupSession::Outcome::found: return number + " found " + lookup.facts.user;
            case LookupSession::Outcome::unknown: return number + " unknown";
            case LookupSession::Outcome::unavailable: break;
        }
        return number + " unavailable";
    }
};

using Outcomes = std::vector<std::string>;

}  // namespace apikey::test
