// What is not the Redis protocol, or is more of it than anybody asked for, ends the connection
// and costs little.
// Hazards: R12
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/redis/pipeline.hpp"

namespace apikey::redis {
namespace {

using Next = Pipeline::Next;

constexpr std::size_t kSegment = std::size_t{16} * 1024;      // what a worker reads at once
constexpr std::size_t kMostMemory = std::size_t{256} * 1024;  // per connection, the allocator's reserves included

std::size_t heap_in_use() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct Outcome {
    Next last = Next::need_bytes;
    std::size_t answers = 0;
    std::size_t fed = 0;     // bytes, until it failed
    std::size_t memory = 0;  // at the most, bytes
};

Outcome feed(const std::string& bytes, std::size_t segment) {
    Pipeline pipeline;
    for (Pipeline::Tag tag = 0; tag < 4; ++tag)
        pipeline.send(tag, {"PING"});
    const std::size_t before = heap_in_use();
    Outcome outcome;
    std::size_t looked_at = 0;
    while (outcome.fed < bytes.size() && outcome.last != Next::failed) {
        const std::string_view piece = std::string_view(bytes).substr(outcome.fed, segment);
        pipeline.feed(piece);
        outcome.fed += piece.size();
        for (Pipeline::Answer answer; (outcome.last = pipeline.next(&answer)) == Next::answer;)
            ++outcome.answers;
        if (outcome.fed < looked_at + 1024 && outcome.fed < bytes.size()) continue;
        looked_at = outcome.fed;
        const std::size_t now = heap_in_use();
        outcome.memory = std::max(outcome.memory, now > before ? now - before : 0);
    }
    return outcome;
}

void expect_refused(const std::string& bytes) {
    const std::string shown = testing::PrintToString(bytes.substr(0, 60));
    // hiredis looks through an unfinished line again for each segment: long ones come in larger pieces.
    const std::size_t small = bytes.size() < 4096 ? 1 : 97;
    for (const std::size_t segment : {small, 7 * small, kSegment}) {
        const Outcome outcome = feed(bytes, segment);
        EXPECT_EQ(outcome.last, Next::failed) << shown << " in segments of " << segment;
        EXPECT_EQ(outcome.answers, 0u) << shown;
        EXPECT_LE(outcome.memory, kMostMemory) << shown;
    }
}

std::string repeated(std::string_view piece, std::size_t times) {
    std::string all;
    for (; times > 0; --times)
        all += piece;
    return all;
}

TEST(HostilePeer, BadTypeBytes) {
    for (int byte = 0; byte < 256; ++byte) {
        const char type = static_cast<char>(byte);
        if (std::string_view("+-:$*").find(type) != std::string_view::npos) continue;
        expect_refused(std::string(1, type) + "1\r\n");
    }
}

TEST(HostilePeer, BadLengths) {
    for (const char* const length :
         {"-2", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "18446744073709551616",
          "99999999999999999999999999", "", "-", "x", "1x", "1 ", " 1", "+1", "0x1", "01", "-0", "-01", "1.0"}) {
        expect_refused(std::string("*") + length + "\r\n" + std::string(kSegment * 8, 'x'));
        expect_refused(std::string("$") + length + "\r\n" + std::string(kSegment * 8, 'x'));
    }
}

TEST(HostilePeer, HugeLengths) {
    for (const char* const length : {"65537", "2147483647", "2147483648", "4294967296"}) {
        expect_refused(std::string("*") + length + "\r\n");  // at once, not when the elements have come
        expect_refused(std::string("*") + length + "\r\n" + repeated(":1\r\n", kSegment * 2));
        expect_refused(std::string("$") + length + "\r\n" + std::string(kSegment * 8, 'x'));
        expect_refused(std::string("*1\r\n*") + length + "\r\n" + repeated(":1\r\n", kSegment * 2));
    }
}

TEST(HostilePeer, BadIntegers) {
    for (const char* const number : {"", "-", "x", "1x", " 1", "1 ", "9223372036854775808", "-9223372036854775809",
                                     "99999999999999999999", "1\n:2"}) {
        expect_refused(std::string(":") + number + "\r\n");
        expect_refused(std::string("*2\r\n:1\r\n:") + number + "\r\n");
    }
}

TEST(HostilePeer, MissingLineEnds) {
    expect_refused("$5\r\nhelloXX+OK\r\n");
    expect_refused("$5\r\nhello\n\r+OK\r\n");
    expect_refused("$5\r\nhello\r\r\n+OK\r\n");
    expect_refused("$0\r\n+OK\r\n");
    expect_refused("$5\nhello\n+OK\r\n");
    expect_refused("*1\n+OK\r\n");
    // A line that swallows the next one would shift every reply behind it.
    expect_refused("+OK\n+OK\r\n");
    expect_refused("-ERR no\n+OK\r\n");
    expect_refused("+OK\r+OK\r\n");
    expect_refused(repeated("+OK\n", kSegment * 4));
}

TEST(HostilePeer, NestedArrays) {
    expect_refused(repeated("*1\r\n", 1'000'000));
    expect_refused(repeated("*2\r\n:1\r\n", 1'000'000));
}

TEST(HostilePeer, ArraysOfArrays) {
    expect_refused("*200\r\n" + repeated("*200\r\n" + repeated(":1\r\n", 200), 200));
    expect_refused("*250\r\n" + repeated("*0\r\n", 249) + "*250\r\n" + repeated(":1\r\n", 250));
}

TEST(HostilePeer, RepliesTooLong) {
    expect_refused("$200000\r\n" + std::string(200'000, 'x') + "\r\n");
    expect_refused("*9\r\n" + repeated("$16000\r\n" + std::string(16'000, 'x') + "\r\n", 9));
    expect_refused("*9\r\n" + repeated("$16000\r\n" + std::string(16'000, 'x') + "\r\n", 4) + "$65000\r\n" +
                   std::string(65'000, 'x') + "\r\n");
    expect_refused("+" + std::string(200'000, 'x') + "\r\n");
    expect_refused("-" + std::string(200'000, 'x'));
    expect_refused(":" + std::string(200'000, '1'));
    expect_refused("*" + std::string(200'000, '0') + "1\r\n");
}

TEST(HostilePeer, Resp3) {
    for (const char* const reply :
         {"_\r\n", "#t\r\n", ",1.5\r\n", "(123\r\n", "!3\r\nERR\r\n", "=7\r\ntxt:abc\r\n", "%1\r\n+a\r\n:1\r\n",
          "~1\r\n+a\r\n", ">2\r\n+message\r\n+a\r\n", "|1\r\n+a\r\n:1\r\n+b\r\n"}) {
        expect_refused(reply);
        expect_refused(std::string("*1\r\n") + reply);
    }
}

TEST(HostilePeer, OtherProtocols) {
    expect_refused("PING\r\n");                                      // inline
    expect_refused(std::string("\x15\x03\x01\x00\x02\x02\x28", 7));  // a TLS alert
    expect_refused("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    expect_refused("SSH-2.0-OpenSSH_9.2\r\n");
    expect_refused("220 mail ESMTP\r\n");
    expect_refused(std::string("\x00\x00\x00\x04\x00\x00\x00\x00\x00", 9));  // HTTP/2 SETTINGS
}

// The limits themselves: what fits is taken.
TEST(HostilePeer, WhatFitsIsTaken) {
    EXPECT_EQ(feed("$65535\r\n" + std::string(65'535, 'x') + "\r\n", kSegment).answers, 1u);
    EXPECT_EQ(feed("*255\r\n" + repeated(":1\r\n", 255), kSegment).answers, 1u);
    EXPECT_EQ(feed(repeated("*1\r\n", 7) + ":1\r\n", kSegment).answers, 1u);
    EXPECT_EQ(feed("*256\r\n" + repeated(":1\r\n", 256), kSegment).last, Next::failed);
}

// Nothing adds up from reply to reply.
TEST(HostilePeer, MemoryStaysFlatOverManyReplies) {
    const std::string reply = "*3\r\n" + repeated("$9000\r\n" + std::string(9'000, 'x') + "\r\n", 3);
    Pipeline pipeline;
    Pipeline::Answer answer;
    const std::size_t before = heap_in_use();
    for (Pipeline::Tag tag = 0; tag < 5'000; ++tag) {
        pipeline.send(tag, {"PING"});
        pipeline.written(pipeline.output().size());
        pipeline.feed(reply);
        ASSERT_EQ(pipeline.next(&answer), Next::answer);
        ASSERT_EQ(answer.tag, tag);
    }
    EXPECT_LE(heap_in_use(), before + kMostMemory);
}

}  // namespace
}  // namespace apikey::redis
