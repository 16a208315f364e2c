// What a hostile or broken upstream sends costs no memory, little time, and never a number that is not there.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <utility>

#include "tests/core/allocations.hpp"
#include "tests/core/llm_usage_reading.hpp"

namespace apikey::usage {
namespace {

using test::Format;
using test::Outcome;
using test::Reading;

constexpr std::size_t kMany = 1'000'000;
constexpr std::array<Format, 2> kFormats = {Format::json, Format::event_stream};

std::string repeated(std::string_view piece, std::size_t times) {
    std::string all;
    for (; times > 0; --times)
        all += piece;
    return all;
}

// The same document as a body and as an event.
Outcome outcome_of(Format format, const std::string& document) {
    const std::string body = format == Format::json ? document : "data: " + document + "\n\n";
    const Reading reading = test::read_whole(format, body);
    EXPECT_EQ(test::read_in_pieces(format, body, [](std::size_t at) { return 1 + at % 977; }), reading);
    EXPECT_TRUE(reading.outcome == Outcome::found || reading.in + reading.out + reading.cached == 0) << reading;
    return reading.outcome;
}

TEST(LlmUsageHostile, DeepNesting) {
    const std::string usage = R"("usage":{"prompt_tokens":8})";
    for (const Format format : kFormats) {
        EXPECT_EQ(outcome_of(format, "{\"a\":" + repeated("[", kMany)), Outcome::malformed);
        EXPECT_EQ(outcome_of(format, repeated("{\"a\":", kMany)), Outcome::malformed);
        EXPECT_EQ(outcome_of(format, repeated("{\"usage\":", kMany)), Outcome::malformed);
        EXPECT_EQ(outcome_of(format, repeated("{\"response\":", kMany) + "{" + usage + "}"), Outcome::malformed);
        EXPECT_EQ(outcome_of(format, "{\"a\":" + repeated("[", kMany) + repeated("]", kMany) + "," + usage + "}"),
                  Outcome::malformed);
        EXPECT_EQ(outcome_of(format, "{\"a\":[" + repeated("[[]],{},", kMany) + "1]," + usage + "}"), Outcome::found);
        EXPECT_EQ(outcome_of(format, "{" + repeated(usage + ",", 10'000) + usage + "}"), Outcome::found);
    }
}

TEST(LlmUsageHostile, HugeNumbersNamesAndTexts) {
    const auto usage = [](const std::string& number) { return R"({"usage":{"prompt_tokens":)" + number + "}}"; };
    for (const Format format : kFormats) {
        EXPECT_EQ(outcome_of(format, usage(std::string(kMany, '9'))), Outcome::malformed);
        EXPECT_EQ(outcome_of(format, usage(std::string(kMany, '0'))), Outcome::malformed);
        EXPECT_EQ(outcome_of(format, usage("1" + std::string(kMany, '0'))), Outcome::malformed);
        EXPECT_EQ(outcome_of(format, usage("0." + std::string(kMany, '0'))), Outcome::malformed);
        EXPECT_EQ(outcome_of(format, usage("1e" + std::string(kMany, '9'))), Outcome::malformed);
        EXPECT_EQ(outcome_of(format, usage("8" + std::string(kMany, ' '))), Outcome::found);
        for (const std::string& text : {std::string(kMany, 'x'), repeated("\\u0000", kMany / 6),
                                        repeated("\\ud83d", kMany / 6), repeated("\\\"", kMany / 2)}) {
            EXPECT_EQ(outcome_of(format, "{\"model\":\"" + text + "\"," + usage("8").substr(1)), Outcome::found);
            EXPECT_EQ(outcome_of(format, "{\"usage" + text + "\":{\"prompt_tokens\":8}}"), Outcome::absent);
        }
    }
}

TEST(LlmUsageHostile, RandomBytes) {
    constexpr std::string_view kLikely = "{}[]\":,\\u0 \n\rdata-.e19tfn";
    std::mt19937 random(31);
    for (int i = 0; i < 20'000; ++i) {
        std::string body = random() % 2 == 0 ? "{\"usage\":{\"prompt_tokens\":" : "data: {\"model\":\"";
        for (auto length = random() % 60; length > 0; --length)
            body += random() % 3 == 0 ? static_cast<char>(random()) : kLikely[random() % kLikely.size()];
        for (const Format format : kFormats) {
            const Reading whole = test::read_whole(format, body);
            ASSERT_EQ(test::read_bytewise(format, body), whole) << testing::PrintToString(body);
            ASSERT_LE(whole.model.size(), LlmUsage::kMostModelBytes);
        }
    }
}

TEST(LlmUsageHostile, OtherKindsOfBody) {
    for (const std::string body : {"<!DOCTYPE html><html>usage</html>", "\x1f\x8b\x08", "PK\x03\x04", "usage: 8",
                                   "%PDF-1.7", "--boundary\r\n\r\n{}"}) {
        EXPECT_EQ(test::read_bytewise(Format::json, body).outcome, Outcome::malformed);
        EXPECT_EQ(test::read_bytewise(Format::event_stream, body).outcome, Outcome::absent);
    }
}

// An endless stream of one kind of line, and lines that never end.
TEST(LlmUsageHostile, AllocatesNothing) {
    const std::array<std::pair<Format, std::string>, 6> bodies = {{
        {Format::json, "{\"a\":[" + repeated("{\"usage\":[\"\\ud83d\\ude00\",-1.5e-3,null,true]},", 1000)},
        {Format::json, "{\"model\":\"" + std::string(100'000, 'x')},
        {Format::event_stream, repeated("data: {\"model\":\"m\",\"usage\":{\"prompt_tokens\":8}}\n\n", 1000)},
        {Format::event_stream, repeated("data: {\"usage\":\n", 1000)},
        {Format::event_stream, repeated("\r", 10'000) + repeated("data:\r\n", 1000) + repeated(":\n", 1000)},
        {Format::event_stream, std::string(100'000, 'd')},
    }};
    for (const auto& [format, body] : bodies) {
        const std::size_t count = test::allocations_of([&] {
            LlmUsage usage(format);
            for (std::size_t at = 0; at < body.size(); at += 100)
                usage.feed(std::string_view(body).substr(at, 100));
            usage.end();
            EXPECT_LE(usage.model().size(), LlmUsage::kMostModelBytes);
        });
        EXPECT_EQ(count, 0u) << body.substr(0, 40);
    }
    static_assert(sizeof(LlmUsage) <= 512);
}

}  // namespace
}  // namespace apikey::usage
