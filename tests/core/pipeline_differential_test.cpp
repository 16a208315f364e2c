// The pipeline against plain hiredis with its own object functions: 10⁴ random reply streams, cut at
// random places, whole and damaged.
#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/redis/pipeline.hpp"
#include "tests/core/describe_reply.hpp"

namespace apikey::redis {
namespace {

using Random = std::mt19937;
using Replies = std::vector<std::string>;

constexpr int kStreams = 10'000;
constexpr Pipeline::Limits kWide = {1 << 20, 1 << 20, 1 << 16};

std::string random_text(Random& random, bool binary) {
    constexpr std::string_view kTricky = "\r\n$*+-:\0 \xff";
    std::string text(random() % 30, 'x');
    for (char& c : text) {
        if (random() % 3 == 0) c = static_cast<char>(binary ? random() : 'a' + random() % 26);
        if (binary && random() % 8 == 0) c = kTricky[random() % kTricky.size()];
    }
    return text;
}

std::int64_t random_integer(Random& random) {
    constexpr std::array<std::int64_t, 6> kEdges = {0, 1, -1, INT64_MAX, INT64_MIN, 1LL << 32};
    return random() % 4 == 0 ? kEdges.at(random() % 6) : static_cast<int>(random());
}

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

std::string random_stream(Random& random) {
    std::string stream;
    for (auto replies = 1 + random() % 6; replies > 0; --replies)
        append_reply(stream, random, 0);
    return stream;
}

std::string describe(const redisReply* reply) {
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

// Plain hiredis, given everything at once. "failed" at the end if it found an error.
Replies from_hiredis(const std::string& stream) {
    const std::unique_ptr<redisReader, decltype(&redisReaderFree)> reader(redisReaderCreate(), redisReaderFree);
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

// The pipeline, given pieces of random length.
Replies from_pipeline(const std::string& stream, Random& random) {
    Pipeline pipeline(kWide);
    for (Pipeline::Tag tag = 0; tag < 1'000; ++tag)
        pipeline.send(tag, {"PING"});
    Replies replies;
    const std::size_t longest = 1 + random() % 40;
    for (std::size_t at = 0; at < stream.size();) {
        const std::size_t length = 1 + random() % longest;
        pipeline.feed(std::string_view(stream).substr(at, length));
        at += length;
        Pipeline::Next next{};
        for (Pipeline::Answer answer; (next = pipeline.next(&answer)) == Pipeline::Next::answer;) {
            EXPECT_EQ(answer.tag, replies.size());
            replies.push_back(test::describe(answer.reply));
        }
        if (next == Pipeline::Next::failed) {
            replies.emplace_back("failed");
            return replies;
        }
    }
    return replies;
}

// Hazards: R13
TEST(PipelineDifferential, AgreesWithHiredisOnWhatIsWhole) {
    Random random(15);
    for (int i = 0; i < kStreams; ++i) {
        const std::string stream = random_stream(random);
        ASSERT_EQ(from_pipeline(stream, random), from_hiredis(stream)) << testing::PrintToString(stream);
    }
}

// On damaged streams it may refuse earlier, but never reads something else.
// Hazards: R12
TEST(PipelineDifferential, IsNeverMoreLenientThanHiredis) {
    Random random(16);
    int refused = 0;
    for (int i = 0; i < kStreams; ++i) {
        std::string stream = random_stream(random);
        for (auto changes = 1 + random() % 3; changes > 0; --changes) {
            const std::size_t at = random() % stream.size();
            const auto how = random() % 3;
            if (how == 0) stream[at] = static_cast<char>(random());
            if (how == 1) stream.insert(at, 1, "\r\n$*+-:019"[random() % 10]);
            if (how == 2) stream.erase(at, 1);
            if (stream.empty()) stream = "+";
        }
        Replies ours = from_pipeline(stream, random);
        const Replies theirs = from_hiredis(stream);
        const std::string shown = testing::PrintToString(stream);
        if (ours.empty() || ours.back() != "failed") {
            ASSERT_EQ(ours, theirs) << shown;
            continue;
        }
        ++refused;
        ours.pop_back();
        ASSERT_LE(ours.size(), theirs.size()) << shown;
        for (std::size_t n = 0; n < ours.size(); ++n)
            ASSERT_EQ(ours[n], theirs[n]) << shown;
    }
    EXPECT_GT(refused, kStreams / 4) << "the streams are hardly damaged";
}

}  // namespace
}  // namespace apikey::redis
