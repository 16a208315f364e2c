#include "core/redis/pipeline.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "core/key_facts.hpp"
#include "tests/core/describe_reply.hpp"

namespace apikey::redis {
namespace {

using Next = Pipeline::Next;
using Answers = std::vector<std::string>;  // "tag reply", or "failed"

Answers drain(Pipeline& pipeline) {
    Answers answers;
    for (Pipeline::Answer answer;;) {
        const Next next = pipeline.next(&answer);
        if (next == Next::failed) answers.emplace_back("failed");
        if (next != Next::answer) return answers;
        answers.push_back(std::to_string(answer.tag) + ' ' + test::describe(answer.reply));
    }
}

// What comes out when `pieces` come in one after the other and `commands` were sent before, tagged
// 100, 101, ...
Answers answers_to(std::initializer_list<std::string_view> pieces, std::size_t commands) {
    Pipeline pipeline;
    for (std::size_t i = 0; i < commands; ++i)
        pipeline.send(100 + i, {"PING"});
    Answers all;
    for (const std::string_view piece : pieces) {
        pipeline.feed(piece);
        for (std::string& answer : drain(pipeline))
            all.push_back(std::move(answer));
    }
    return all;
}

// Every type, empty ones, text that looks like protocol, and what a lookup really gets.
const std::string kStream =
    "+OK\r\n"
    "+\r\n"
    "-WRONGTYPE Operation\r\n"
    ":-42\r\n"
    ":9223372036854775807\r\n"
    "$5\r\nhello\r\n"
    "$0\r\n\r\n"
    "$11\r\na\r\n$1\r\nb\r\n\n\r\n"
    "$-1\r\n"
    "*-1\r\n"
    "*0\r\n"
    "*3\r\n$2\r\nid\r\n$-1\r\n:7\r\n"
    "*2\r\n*2\r\n+a\r\n*0\r\n*1\r\n-E x\r\n"
    "$3\r\nend\r\n";
const Answers kAnswers = {"100 +OK",
                          "101 +",
                          "102 -WRONGTYPE Operation",
                          "103 :-42",
                          "104 :9223372036854775807",
                          "105 \"hello\"",
                          "106 \"\"",
                          "107 \"a\r\n$1\r\nb\r\n\n\"",
                          "108 nil",
                          "109 nil",
                          "110 []",
                          "111 [\"id\" nil :7]",
                          "112 [[+a []] [-E x]]",
                          "113 \"end\""};

// Hazards: R13
TEST(Pipeline, AnswersInOrderFromOneSegment) {
    EXPECT_EQ(answers_to({kStream}, kAnswers.size()), kAnswers);
}

// Hazards: R13
TEST(Pipeline, GivesTheSameWhereverTheStreamIsCut) {
    const std::string_view stream = kStream;
    for (std::size_t a = 0; a <= stream.size(); ++a) {
        for (std::size_t b = a; b <= stream.size(); ++b) {
            ASSERT_EQ(answers_to({stream.substr(0, a), stream.substr(a, b - a), stream.substr(b)}, kAnswers.size()),
                      kAnswers)
                << "cut at " << a << " and " << b;
        }
    }
}

// Hazards: R13
TEST(Pipeline, GivesTheSameByteAfterByte) {
    Pipeline pipeline;
    for (std::size_t i = 0; i < kAnswers.size(); ++i)
        pipeline.send(100 + i, {"PING"});
    Answers all;
    for (const char byte : kStream) {
        pipeline.feed({&byte, 1});
        for (std::string& answer : drain(pipeline))
            all.push_back(std::move(answer));
    }
    EXPECT_EQ(all, kAnswers);
    EXPECT_EQ(pipeline.outstanding(), 0u);
}

TEST(Pipeline, TellsHowManyAnswersAreOwed) {
    Pipeline pipeline;
    pipeline.send(1, {"GET", "a"});
    pipeline.send(2, {"GET", "b"});
    EXPECT_EQ(pipeline.outstanding(), 2u);
    pipeline.feed("$1\r\nx\r\n$1");
    EXPECT_EQ(drain(pipeline), Answers{"1 \"x\""});
    EXPECT_EQ(pipeline.outstanding(), 1u);
}

// Bytes that nobody asked for end the connection, after the answers before them.
// Hazards: R14, R15
TEST(Pipeline, RefusesAReplyNobodyAskedFor) {
    EXPECT_EQ(answers_to({"+OK\r\n"}, 0), Answers{"failed"});
    EXPECT_EQ(answers_to({"+OK\r\n+OK\r\n"}, 1), (Answers{"100 +OK", "failed"}));
    EXPECT_EQ(answers_to({"+OK\r\n", "+OK\r\n"}, 1), (Answers{"100 +OK", "failed"}));
}

TEST(Pipeline, StaysFailedUntilReset) {
    Pipeline pipeline;
    pipeline.feed("+OK\r\n");
    EXPECT_EQ(drain(pipeline), Answers{"failed"});
    EXPECT_FALSE(pipeline.failure().empty());
    pipeline.send(1, {"PING"});
    pipeline.feed("+PONG\r\n");
    EXPECT_EQ(drain(pipeline), Answers{"failed"});
}

// Neither half a reply, nor a tag, nor an unwritten command survives the connection.
// Hazards: R15
TEST(Pipeline, StartsCleanAfterReset) {
    for (const char* const before : {"", "$5\r\nhel", "*2\r\n+a\r\n", "!", "+A\r\n+B\r\n+C\r\n"}) {
        Pipeline pipeline;
        pipeline.send(1, {"AUTH", "secret"});
        pipeline.send(2, {"GET", "a"});
        pipeline.written(3);
        pipeline.feed(before);
        drain(pipeline);
        pipeline.reset();
        EXPECT_EQ(pipeline.outstanding(), 0u);
        EXPECT_EQ(pipeline.output(), "");
        EXPECT_EQ(pipeline.failure(), "");
        pipeline.send(7, {"PING"});
        EXPECT_EQ(pipeline.output(), "*1\r\n$4\r\nPING\r\n");
        pipeline.feed("+PONG\r\n");
        EXPECT_EQ(drain(pipeline), Answers{"7 +PONG"}) << before;
    }
}

TEST(Pipeline, LeavesTheAnswerAloneWhenThereIsNone) {
    Pipeline pipeline;
    pipeline.send(5, {"GET", "a"});
    pipeline.feed("$1\r\nx\r\n+extra\r\n");
    Pipeline::Answer answer;
    ASSERT_EQ(pipeline.next(&answer), Next::answer);
    EXPECT_EQ(answer.tag, 5u);
    answer.tag = 99;
    EXPECT_EQ(pipeline.next(&answer), Next::failed);
    EXPECT_EQ(answer.tag, 99u);
}

// However few bytes a write takes, the peer reads each command once and whole.
// Hazards: R2, R15
TEST(Pipeline, OutputSurvivesPartialWrites) {
    for (std::size_t step = 1; step <= 40; ++step) {
        Pipeline pipeline;
        std::string wanted;
        std::string peer;
        for (int round = 0; round < 20; ++round) {
            const std::string key = "key" + std::to_string(round);
            pipeline.send(1, {"GET", key});
            wanted += "*2\r\n$3\r\nGET\r\n$" + std::to_string(key.size()) + "\r\n" + key + "\r\n";
            const std::string_view taken = pipeline.output().substr(0, step);
            peer += taken;
            pipeline.written(taken.size());
        }
        peer += pipeline.output();
        pipeline.written(pipeline.output().size());
        EXPECT_EQ(peer, wanted) << step;
        EXPECT_EQ(pipeline.output(), "");
    }
}

TEST(Pipeline, FeedsKeyFacts) {
    const Digest asked{};
    const std::string zeros(kDigestHexChars, '0');
    Pipeline pipeline;
    for (Pipeline::Tag tag = 0; tag < 3; ++tag)
        pipeline.send(tag, {"HMGET"});
    pipeline.feed("*7\r\n$64\r\n" + zeros +
                  "\r\n$2\r\nid\r\n$3\r\nann\r\n$0\r\n\r\n$3\r\nia_\r\n$1\r\n*\r\n$0\r\n\r\n");
    pipeline.feed("*7\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n");
    pipeline.feed("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    KeyFacts facts;
    Pipeline::Answer answer;
    for (const FactsStatus wanted : {FactsStatus::found, FactsStatus::absent, FactsStatus::mismatch}) {
        ASSERT_EQ(pipeline.next(&answer), Next::answer);
        EXPECT_EQ(decode_facts(answer.reply, asked, facts), wanted);
    }
    EXPECT_EQ(facts.id, "id");
    EXPECT_EQ(facts.user, "ann");
    EXPECT_EQ(facts.scopes, "*");
}

}  // namespace
}  // namespace apikey::redis
