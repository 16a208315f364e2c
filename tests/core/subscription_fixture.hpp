// A SubscriptionSession on a table: the test plays Redis.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/redis/subscription_session.hpp"
#include "tests/core/lookup_replies.hpp"

namespace apikey::test {

using redis::Millis;
using redis::SubscriptionSession;

inline const std::string kChannel = "apikey:changed";

inline std::string strings_reply(std::initializer_list<std::string_view> words) {
    return command(words);  // the same form
}
inline std::string message(std::string_view payload, std::string_view channel = kChannel) {
    return strings_reply({"message", channel, payload});
}
inline std::string pong(std::uint64_t number) {
    return strings_reply({"pong", std::to_string(number)});
}
inline std::string ping(std::uint64_t number) {
    return command({"PING", std::to_string(number)});
}
inline const std::string kSubscribed = "*3\r\n" + bulk("subscribe") + bulk(kChannel) + ":1\r\n";
inline const std::string kSubscribe = command({"INFO", "server"}) + command({"SUBSCRIBE", kChannel});

inline std::string change_of(int number, std::uint64_t receipt) {
    return redis::format_change(to_hex_string(digest_of(number)), receipt);
}

struct Subscriber {
    explicit Subscriber(SubscriptionSession::Options options = {}) : session(std::move(options)) {}

    // What is to be written; it counts as written.
    std::string written() {
        const std::string bytes(session.output());
        session.written(bytes.size());
        return bytes;
    }
    bool feed(std::string_view bytes) { return session.feed(bytes, now); }
    bool tick() { return session.tick(now); }
    // A connection that is subscribed, its first PING answered.
    void connect() {
        session.connected(now);
        written();
        EXPECT_TRUE(feed(server_info() + kSubscribed)) << session.why();
        EXPECT_TRUE(tick());
        EXPECT_EQ(written(), ping(session.last_ping()));
        EXPECT_TRUE(feed(pong(session.last_ping())));
    }
    // What was heard since the last call: "1 7" (key 1, receipt 7), "* 0".
    std::vector<std::string> heard() {
        std::vector<redis::Change> changes;
        std::vector<std::string> texts;
        session.take_changes(changes);
        for (const redis::Change& change : changes) {
            texts.push_back((change.key ? std::to_string((*change.key)[0]) : "*") + " " +
                            std::to_string(change.receipt));
        }
        return texts;
    }

    Millis now = 1000;
    SubscriptionSession session;
};

using Heard = std::vector<std::string>;

}  // namespace apikey::test
