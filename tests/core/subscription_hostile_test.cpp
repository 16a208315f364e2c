// Whatever comes on a subscription costs little, and is a change only where it has the form of one.
// Hazards: R12, R22
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <random>

#include "tests/core/subscription_fixture.hpp"

namespace apikey::test {
namespace {

constexpr std::size_t kMostMemory = std::size_t{128} * 1024;  // the allocator's reserves included

std::size_t heap_in_use() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

std::string repeated(std::string_view piece, std::size_t times) {
    std::string all;
    for (; times > 0; --times)
        all += piece;
    return all;
}

// Feeds it all in pieces, as a worker does, or until the connection ends. True if it lasted.
bool feed_bounded(Subscriber& t, const std::string& bytes, std::size_t segment) {
    const std::size_t before = heap_in_use();
    std::size_t looked_at = 0;
    for (std::size_t at = 0; at < bytes.size(); at += segment) {
        if (!t.feed(std::string_view(bytes).substr(at, segment))) return false;
        t.heard();
        if (at < looked_at + 4096) continue;
        looked_at = at;
        const std::size_t now = heap_in_use();
        EXPECT_LE(now, before + kMostMemory) << bytes.substr(0, 60);
        if (now > before + kMostMemory) return false;
    }
    return true;
}

TEST(HostilePublisher, LongMessagesEndTheConnectionAndCostLittle) {
    for (const std::string& bytes :
         {message(std::string(100'000, 'x')), message("* 1", std::string(100'000, 'x')),
          "*3\r\n" + bulk("message") + bulk(kChannel) + "$2147483647\r\n" + std::string(100'000, 'x'),
          repeated("*1\r\n", 100'000), std::string("*4294967297\r\n"), "*1000\r\n" + repeated(bulk("message"), 1000),
          std::string(100'000, '+'), "$100000\r\n" + std::string(100'000, 'x') + "\r\n"}) {
        for (const std::size_t segment : {std::size_t{97}, std::size_t{16384}}) {
            Subscriber t;
            t.connect();
            EXPECT_FALSE(feed_bounded(t, bytes, segment)) << bytes.substr(0, 60);
            EXPECT_FALSE(t.session.why().empty());
        }
    }
}

// Nothing adds up from message to message.
// Hazards: R21
TEST(HostilePublisher, MemoryStaysFlatInAFlood) {
    Subscriber t;
    t.connect();
    EXPECT_TRUE(feed_bounded(t, repeated(message(change_of(1, 1)) + message("rubbish"), 200'000), 16384));
    EXPECT_EQ(t.session.take_malformed(), 200'000U);
}

// Bytes torn out, put in, exchanged: the connection ends or goes on, mostly it ends.
TEST(HostilePublisher, DamagedStreamsCostLittle) {
    std::mt19937 random(20260102);
    const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
    const std::string stream = message(change_of(1, 7)) + pong(2) + message("* 12") + pong(3) + message("x");
    int ended = 0;
    for (int round = 0; round < 50'000; ++round) {
        std::string bytes = stream;
        const std::size_t at = below(bytes.size());
        switch (below(4)) {
            case 0: bytes.erase(at, 1 + below(40)); break;
            case 1: bytes.insert(at, 1 + below(3), static_cast<char>(random())); break;
            case 2: bytes[at] = "*$:+-\r\n 01m"[below(11)]; break;
            default: bytes.insert(at, bytes.substr(below(bytes.size()), below(60)));
        }
        Subscriber t;
        t.connect();
        t.session.ping(t.now);
        t.session.ping(t.now);
        if (!feed_bounded(t, bytes, 1 + below(200))) ++ended;
    }
    EXPECT_GT(ended, 10'000);
}

}  // namespace
}  // namespace apikey::test
