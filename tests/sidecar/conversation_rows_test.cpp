#include "sidecar/imports/conversation_rows.hpp"

#include "sidecar/imports/metadata_text.hpp"
#include "tests/sidecar/import_reading.hpp"

namespace apikey {
namespace {

using test::Pieces;
using test::Reading;
using Texts = std::vector<std::string>;

// The lines of the conversations, "--", and those of their messages.
Reading read(const Pieces& pieces) {
    ImportOutcome outcome;
    RowErrors errors(outcome);
    ConversationLines lines;
    const auto reader = conversation_reader(errors, lines);
    Reading reading;
    test::feed_all(*reader, pieces, outcome, reading);
    reading.lines = test::all_of(lines.conversations) + "--\n" + test::all_of(lines.messages);
    return reading;
}

Reading read_cut(const std::string& rows) {
    const std::string text = "{\"data\":[" + rows + "]}";
    const Reading whole = read({text});
    test::for_every_cut(text, [&](const Pieces& pieces) { EXPECT_EQ(read(pieces), whole) << text; });
    return whole;
}

std::string conversation(const std::string& members, const std::string& messages = "") {
    return R"({"id":"c","title":"t","createdAt":"2026-11-28","updatedAt":"2026-11-28")" + members + R"(,"messages":[)" +
           messages + "]}";
}
std::string message(const std::string& members) {
    return R"({"role":"user","content":"hi","createdAt":"2026-11-28")" + members + "}";
}
const std::string kDay = "2026-11-28T00:00:00Z";

TEST(ConversationRows, WritesLinesForCopy) {
    const Reading reading = read_cut(
        R"({"messages":[{"createdAt":"2026-11-28T12:00:00.5Z","metadata":{"n":1.50,"e":1e400,"s":"\"\n","a":[null,true,{}],"a":[]},"content":"a\tb\\\n","role":"user","id":"m1"},)" +
        message("") +
        R"(],"updatedAt":"2026-11-29","createdAt":"2026-11-28","metadata":{ },"model":"gpt","title":"a\nb","id":"c 1"},)" +
        R"({"id":"c2","title":null,"model":null,"metadata":null,"createdAt":"2026-11-28","updatedAt":"2026-11-28","messages":[)" +
        message(R"(,"id":null,"metadata":null)") + "]}");
    EXPECT_EQ(reading.errors, Texts());
    EXPECT_EQ(reading.malformed, "");
    EXPECT_EQ(reading.lines, "1\tc 1\ta\\nb\tgpt\t{}\t" + kDay + "\t2026-11-29T00:00:00Z\n2\tc2\t\t\t{}\t" + kDay +
                                 "\t" + kDay +
                                 "\n--\n1\t0\tm1\tuser\ta\\tb\\\\\\n\t"
                                 R"({"n":1.50,"e":1e400,"s":"\\"\\n","a":[null,true,{}],"a":[]})"
                                 "\t2026-11-28T12:00:00.5Z\n1\t1\t\\N\tuser\thi\t{}\t" +
                                 kDay + "\n2\t0\t\\N\tuser\thi\t{}\t" + kDay + "\n");
}

TEST(ConversationRows, NamesEveryProblem) {
    EXPECT_EQ(
        read_cut(
            R"({},7,{"id":"","title":1,"model":[],"metadata":"{}","createdAt":"today","updatedAt":null,"messages":{},"user_id":"x","id":"c"},)" +
            conversation(
                "",
                R"(7,{},{"id":"a\u0001","role":"","content":null,"metadata":[],"createdAt":1,"x":{"content":"y"},"role":"user"},)" +
                    message("")))
            .errors,
        (Texts{"row 1 id: is missing",
               "row 1 title: is missing",
               "row 1 createdAt: is missing",
               "row 1 updatedAt: is missing",
               "row 1 messages: is missing",
               "row 2 : must be an object",
               "row 3 id: must not be empty",
               "row 3 title: must be a text, in quotes",
               "row 3 model: must be a text, in quotes",
               "row 3 metadata: must be an object",
               "row 3 createdAt: \"today\" is no date (2026-11-28) and no time with its zone (2026-11-28T12:00:00Z) of "
               "the years 1 to 9999",
               "row 3 updatedAt: must be a text, in quotes",
               "row 3 messages: must be an array",
               "row 3 : has an unknown member \"user_id\"",
               "row 3 : has the member \"id\" twice",
               "row 4 messages[0]: must be an object",
               "row 4 messages[1].role: is missing",
               "row 4 messages[1].content: is missing",
               "row 4 messages[1].createdAt: is missing",
               "row 4 messages[2].id: \"a?\" has control characters",
               "row 4 messages[2].role: must not be empty",
               "row 4 messages[2].content: must be a text, in quotes",
               "row 4 messages[2].metadata: must be an object",
               "row 4 messages[2].createdAt: must be a text, in quotes",
               "row 4 messages[2]: has an unknown member \"x\"",
               "row 4 messages[2]: has the member \"role\" twice"}));
}

TEST(ConversationRows, HasLimits) {
    const auto errors_of = [](const std::string& row) { return read({"{\"data\":[", row, "]}"}).errors; };
    const auto with = [](const std::string& name, std::size_t bytes) {
        return ",\"" + name + "\":\"" + std::string(bytes, 'x') + "\"";
    };
    EXPECT_EQ(errors_of(conversation(with("model", 1024), message(with("id", 255)))), Texts());
    EXPECT_EQ(errors_of(conversation(with("model", 1025), message(with("id", 256)))),
              (Texts{"row 1 model: is longer than 1024 bytes", "row 1 messages[0].id: is longer than 255 bytes"}));
    const auto with_content = [](std::size_t bytes) {
        return R"({"role":"user","createdAt":"2026-11-28","content":")" + std::string(bytes, 'x') + "\"}";
    };
    const std::size_t most = std::size_t{16} << 20U;
    EXPECT_EQ(read({"{\"data\":[" + conversation("", with_content(most)) + "]}"}).lines.size(), most + 92);
    EXPECT_EQ(errors_of(conversation("", with_content(most + 1))),
              Texts{"row 1 messages[0].content: is longer than 16777216 bytes"});
    EXPECT_EQ(errors_of(conversation("", R"({"role":"user","content":"\u0000","createdAt":"2026-11-28"})")),
              Texts{"row 1 messages[0].content: holds a NUL character, which Postgres has no room for"});
}

TEST(ConversationRows, LimitsMetadata) {
    const auto complaint = [](const std::string& metadata) {
        const Reading reading = read({"{\"data\":[" + conversation(",\"metadata\":" + metadata) + "]}"});
        EXPECT_EQ(reading.malformed, "");
        return reading.errors.empty() ? "" : reading.errors.at(0).substr(std::string("row 1 metadata: ").size());
    };
    const auto nested = [](std::size_t levels) {
        std::string text = "1";
        while (levels-- > 0)
            text = "{\"a\":" + text + "}";
        return text;
    };
    EXPECT_EQ(complaint(nested(MetadataText::kMostNesting)), "");
    EXPECT_EQ(complaint(nested(MetadataText::kMostNesting + 1)), "is nested deeper than 32");
    EXPECT_EQ(complaint("{\"a\":\"" + std::string(MetadataText::kMostBytes - 8, 'x') + "\"}"), "");
    EXPECT_EQ(complaint("{\"a\":\"" + std::string(MetadataText::kMostBytes - 7, 'x') + "\"}"),
              "is longer than 256 KiB");
    EXPECT_EQ(complaint("{\"a\":\"" + std::string(10 * MetadataText::kMostBytes, 'x') + "\"}"),
              "is longer than 256 KiB");
    EXPECT_EQ(complaint("{\"" + std::string(MetadataText::kMostBytes, 'x') + "\":1}"), "is longer than 256 KiB");
    EXPECT_EQ(complaint(R"({"a":"\u0000"})"), "holds a NUL character, which Postgres has no room for");
    EXPECT_EQ(complaint(R"({"\u0000":1})"), "holds a NUL character, which Postgres has no room for");
    for (const char* number : {"1e400", "-1E-400", "1e+0400", "0.5"})
        EXPECT_EQ(complaint("{\"a\":" + std::string(number) + "}"), "") << number;
    for (const std::string& number :
         {std::string("1e401"), std::string("1e-401"), std::string("1e+99999"), std::string(1001, '7')})
        EXPECT_EQ(complaint("{\"a\":" + number + "}"), "has a number of too many digits") << number;
}

}  // namespace
}  // namespace apikey
