// Random streams of replies, what plain hiredis with its own object functions reads in a stream, and what the pipeline
// does. `Random` is a function that gives any number.
#pragma once

#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "core/redis/pipeline.hpp"
#include "tests/core/describe_reply.hpp"

namespace apikey::test {

using Replies = std::vector<std::string>;

inline constexpr redis::Pipeline::Limits kWideLimits = {1 << 20, 1 << 20, 1 << 16};

template <class Random>
std::string random_text(Random& random, bool binary) {
    constexpr std::string_view kTricky("\r\n$*+-:\0 \xff", 10);
    std::string text(random() % 30, 'x');
    for (char& c : text) {
        if (random() % 3 == 0) c = static_cast<char>(binary ? random() : 'a' + random() % 26);
        if (binary && random() % 8 == 0) c = kTricky[random() % kTricky.size()];
    }
    return text;
}

template <class Random>
std::int64_t random_integer(Random& random) {
    constexpr std::array<std::int64_t, 6> kEdges = {0, 1, -1, INT64_MAX, INT64_MIN, 1LL << 32};
    return random() % 4 == 0 ? kEdges.at(random() % 6) : static_cast<int>(random());
}

template <class Random>
void append_reply(std::string& out, Random& random, int depth) {
    switch (random() % (depth < 6 ? 8 : 6)) {
        case 0: out += '+' + random_text(random, false) + "\r\n"; return;
        case 1: out += "-ERR " + random_text(random, false) + "\r\n"; return;
        case 2: out += ':' + std::to_string(random_integer(random)) + "\r\n"; return;
        case 3: out += random() % 2 == 0 ? "$-1\r\n" : "*-1\r\n"; return;
        case 4:
        case 5: {
            const std::string text = random_text(random, true);
            out += '$' + std::to_string(text.size()) + "\r\n" + text + "\r\n";
            return;
        }
        default: break;
    }
    const auto elements = random() % 5;
    out += '*' + std::to_string(elements) + "\r\n";
    for (auto i = elements; i > 0; --i)
        append_reply(out, random, depth + 1);
}

template <class Random>
std::string random_stream(Random& random) {
    std::string stream;
    for (auto replies = 1 + random() % 6; replies > 0; --replies)
        append_reply(stream, random, 0);
    return stream;
}

inline std::string describe(const redisReply* reply) {
    const std::string text = reply->str != nullptr ? std::string(reply->str, reply->len) : "";
    switch (reply->type) {
        case REDIS_REPLY_STRING: return '"' + text + '"';
        case REDIS_REPLY_STATUS: return '+' + text;
        case REDIS_REPLY_ERROR: return '-' + text;
        case REDIS_REPLY_INTEGER: return ':' + std::to_string(reply->integer);
        case REDIS_REPLY_NIL: return "nil";
        default: break;
    }
    std::string all = "[";
    for (std::size_t i = 0; i < reply->elements; ++i)
        all += (i > 0 ? " " : "") + describe(reply->element[i]);
    return all + ']';
}

// hiredis' own functions, but for arrays that the pipeline refuses anyway: it would reserve gigabytes for their first line.
inline redisReplyObjectFunctions bounded(const redisReplyObjectFunctions& plain) {
    static const auto create_array = plain.createArray;
    redisReplyObjectFunctions functions = plain;
    functions.createArray = [](const redisReadTask* task, int elements) -> void* {
        return elements > 1 << 20 ? nullptr : create_array(task, elements);
    };
    return functions;
}

// Plain hiredis, given everything at once. "failed" at the end if it found an error.
inline Replies from_hiredis(const std::string& stream) {
    const std::unique_ptr<redisReader, decltype(&redisReaderFree)> reader(redisReaderCreate(), redisReaderFree);
    redisReplyObjectFunctions functions = bounded(*reader->fn);
    reader->fn = &functions;
    redisReaderFeed(reader.get(), stream.data(), stream.size());
    Replies replies;
    for (;;) {
        void* reply = nullptr;
        if (redisReaderGetReply(reader.get(), &reply) != REDIS_OK) {
            replies.emplace_back("failed");
            return replies;
        }
        if (reply == nullptr) return replies;
        replies.push_back(describe(static_cast<redisReply*>(reply)));
        freeReplyObject(reply);
    }
}

// The pipeline, given pieces of random length. The same at the end.
template <class Random>
Replies from_pipeline(const std::string& stream, Random& random) {
    redis::Pipeline pipeline(kWideLimits);
    Replies replies;
    // One more is always expected.
    const auto next_of = [&](redis::Pipeline::Answer* answer) {
        if (pipeline.outstanding() == 0) pipeline.expect(replies.size());
        return pipeline.next(answer);
    };
    const std::size_t longest = 1 + random() % 40;
    for (std::size_t at = 0; at < stream.size();) {
        const std::size_t length = 1 + random() % longest;
        pipeline.feed(std::string_view(stream).substr(at, length));
        at += length;
        redis::Pipeline::Next next{};
        for (redis::Pipeline::Answer answer; (next = next_of(&answer)) == redis::Pipeline::Next::answer;) {
            EXPECT_EQ(answer.tag, replies.size());
            replies.push_back(describe(answer.reply));
        }
        if (next == redis::Pipeline::Next::failed) {
            replies.emplace_back("failed");
            return replies;
        }
    }
    return replies;
}

}  // namespace apikey::test
