#include "core/usage/llm_usage.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/core/llm_usage_reading.hpp"

namespace apikey::usage {
namespace {

using test::Format;
using test::Outcome;
using test::Reading;

struct Example {
    const char* what;
    std::string body;
    Reading expected;
};

Reading found(std::uint64_t in, std::uint64_t out, std::uint64_t cached, const std::string& model) {
    return {Outcome::found, in, out, cached, model};
}
Reading absent(const std::string& model = "") {
    return {Outcome::absent, 0, 0, 0, model};
}
Reading malformed(const std::string& model = "") {
    return {Outcome::malformed, 0, 0, 0, model};
}

// Whole, byte by byte, and split at every place.
void expect_read(Format format, const Example& example) {
    SCOPED_TRACE(std::string(example.what) + ": " + example.body);
    EXPECT_EQ(test::read_whole(format, example.body), example.expected) << "whole";
    EXPECT_EQ(test::read_bytewise(format, example.body), example.expected) << "byte by byte";
    for (std::size_t place = 1; place < example.body.size(); ++place)
        ASSERT_EQ(test::read_split(format, example.body, place), example.expected) << "split at " << place;
}

void expect_json(const std::vector<Example>& examples) {
    for (const Example& example : examples)
        expect_read(Format::json, example);
}
void expect_stream(const std::vector<Example>& examples) {
    for (const Example& example : examples)
        expect_read(Format::event_stream, example);
}

const std::string kUsage = R"("usage":{"prompt_tokens":8,"completion_tokens":3})";

// As the servers send them.
const std::string kChat = R"({
  "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": "chat.completion", "created": 1741569952,
  "model": "gpt-4.1-2025-04-14",
  "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello! How can I assist you today?", "refusal": null,
      "annotations": []}, "logprobs": null, "finish_reason": "stop"}],
  "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0, "accepted_prediction_tokens": 0}},
  "service_tier": "default", "system_fingerprint": null
}
)";
const std::string kCompletion =
    R"({"id":"cmpl-uqkvlQyYK7bGYrRHQ0eXlWi7","object":"text_completion","created":1589478378,)"
    R"("model":"gpt-3.5-turbo-instruct","choices":[{"text":"\n\nThis is indeed a test","index":0,"logprobs":null,)"
    R"("finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}})";
const std::string kEmbeddings =
    R"({"object":"list","data":[{"object":"embedding","embedding":[0.0023064255,-9.327292e-03,1E2,-0],"index":0}],)"
    R"("model":"text-embedding-ada-002","usage":{"prompt_tokens":8,"total_tokens":8}})";
const std::string kResponse =
    R"({"id":"resp_67ccd2bed1ec8190b14f964abc054267","object":"response","status":"completed","error":null,)"
    R"("model":"gpt-4.1-2025-04-14","output":[{"type":"message","content":[{"type":"output_text","text":"In a \"usage\""}]}],)"
    R"("usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":12},"output_tokens":87,)"
    R"("output_tokens_details":{"reasoning_tokens":0},"total_tokens":123},"user":null,"metadata":{}})";
// vLLM writes null where it has nothing to say.
const std::string kNulls =
    R"({"id":"chatcmpl-1","model":"meta-llama/Llama-3.1-8B-Instruct","choices":[],"usage":{"prompt_tokens":43,)"
    R"("total_tokens":53,"completion_tokens":10,"prompt_tokens_details":null},"prompt_logprobs":null})";

TEST(LlmUsage, ReadsWholeResponses) {
    expect_json({
        {"chat.completion", kChat, found(19, 10, 16, "gpt-4.1-2025-04-14")},
        {"text_completion", kCompletion, found(5, 7, 0, "gpt-3.5-turbo-instruct")},
        {"embeddings", kEmbeddings, found(8, 0, 0, "text-embedding-ada-002")},
        {"response", kResponse, found(36, 87, 12, "gpt-4.1-2025-04-14")},
        {"nulls", kNulls, found(43, 10, 0, "meta-llama/Llama-3.1-8B-Instruct")},
        {"an error", R"({"error":{"message":"no such model","type":"invalid_request_error","usage":1}})", absent()},
        {"a list of models", R"({"object":"list","data":[{"id":"gpt-4o","object":"model"}]})", absent()},
        {"\"response\" is a text", R"({"model":"llama3","response":"usage","done":true})", absent("llama3")},
    });
}

std::string chunk(const std::string& delta, const std::string& usage) {
    return R"(data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini",)"
           R"("choices":[{"index":0,"delta":)" +
           delta + R"(,"finish_reason":null}],"usage":)" + usage + "}\n\n";
}
const std::string kLastChunk =
    R"(data: {"id":"chatcmpl-123","object":"chat.completion.chunk","model":"gpt-4o-mini","choices":[],)"
    R"("usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":4}}})"
    "\n\n";
const std::string kDone = "data: [DONE]\n\n";

const std::string kResponses =
    "event: response.created\n"
    R"(data: {"type":"response.created","response":{"id":"resp_1","status":"in_progress","model":"gpt-4.1","usage":null}})"
    "\n\n"
    "event: response.output_text.delta\n"
    R"(data: {"type":"response.output_text.delta","item_id":"msg_1","delta":"Hi \"usage\":{\"input_tokens\":9}"})"
    "\n\n"
    "event: response.completed\n"
    R"(data: {"type":"response.completed","response":{"id":"resp_1","model":"gpt-4.1-2025-04-14","output":[{"usage":{}}],)"
    R"("usage":{"input_tokens":37,"output_tokens":11,"output_tokens_details":{"reasoning_tokens":0},)"
    R"("input_tokens_details":{"cached_tokens":2},"total_tokens":48}}})"
    "\n\n";

TEST(LlmUsage, ReadsStreams) {
    const std::string first = chunk(R"({"role":"assistant","content":""})", "null");
    const std::string call =
        chunk(R"({"tool_calls":[{"function":{"arguments":"{\"usage\":{\"prompt_tokens\":1}}"}}]})", "null");
    const auto running = [](int in, int out) {
        return chunk(
            "{}", "{\"prompt_tokens\":" + std::to_string(in) + ",\"completion_tokens\":" + std::to_string(out) + "}");
    };
    expect_stream({
        {"include_usage", first + call + kLastChunk + kDone, found(19, 10, 4, "gpt-4o-mini")},
        {"no usage", first + call + kDone, absent("gpt-4o-mini")},
        {"no end", first + kLastChunk, found(19, 10, 4, "gpt-4o-mini")},
        {"running usage", running(5, 1) + running(5, 2) + running(5, 3) + kDone, found(5, 3, 0, "gpt-4o-mini")},
        {"usage, then null", running(5, 1) + first + kDone, found(5, 1, 0, "gpt-4o-mini")},
        {"responses", kResponses, found(37, 11, 2, "gpt-4.1-2025-04-14")},
        {"nothing", "", absent()},
    });
}

// Where a body ends too early, there is all of the usage or none.
TEST(LlmUsage, ACutBodyHasTheUsageThatWasWhole) {
    const std::vector<std::pair<std::string, std::string>> bodies = {
        {kChat, "},\n  \"service_tier"}, {kCompletion, "}}"}, {kEmbeddings, "}}"}, {kResponse, "},\"user\""}};
    for (const auto& [body, end_of_usage] : bodies) {
        const Reading whole = test::read_whole(Format::json, body);
        const std::size_t usage_end = body.find(end_of_usage);
        ASSERT_NE(usage_end, std::string::npos) << end_of_usage;
        for (std::size_t length = 0; length < body.size(); ++length) {
            const Reading cut = test::read_bytewise(Format::json, body.substr(0, length));
            if (length > usage_end) {
                ASSERT_EQ(cut, whole) << body.substr(0, length);
            } else {
                ASSERT_EQ(cut, malformed(cut.model)) << body.substr(0, length);
                ASSERT_TRUE(cut.model.empty() || cut.model == whole.model) << cut.model;
            }
        }
    }
}

TEST(LlmUsage, ACutStreamHasTheUsageOfWhatWasWhole) {
    const std::string first = "data: {\"model\":\"m\"," + kUsage + "}\n\n";
    const std::string last = R"(data: {"usage":{"prompt_tokens":800,"completion_tokens":300)";
    for (std::size_t length = 0; length <= last.size(); ++length) {
        const std::string end = last.substr(0, length);
        ASSERT_EQ(test::read_whole(Format::event_stream, first + end), found(8, 3, 0, "m")) << end;
        const Outcome alone = length > std::string_view("data: ").size() ? Outcome::malformed : Outcome::absent;
        ASSERT_EQ(test::read_whole(Format::event_stream, end), (Reading{alone, 0, 0, 0, ""})) << end;
    }
    EXPECT_EQ(test::read_whole(Format::event_stream, first + last + "}"), found(800, 300, 0, "m"));
}

TEST(LlmUsage, ReadsUsageAtTheTopAndInResponseOnly) {
    expect_json({
        {"deeper", R"({"a":{)" + kUsage + R"(},"b":[{)" + kUsage + "}]}", absent()},
        {"in response in response", R"({"response":{"response":{)" + kUsage + R"(,"model":"m"}}})", absent()},
        {"an array of responses", R"({"response":[{)" + kUsage + "}]}", absent()},
        {"in usage", R"({"usage":{)" + kUsage + "}}", absent()},
        {"in a text", R"({"content":"\"usage\":{\"prompt_tokens\":8}"})", absent()},
        {"another name", R"({"usages":{"prompt_tokens":8},"Usage":{"prompt_tokens":8},"usag":{"prompt_tokens":8}})",
         absent()},
        {"a name in an array", R"({"a":["usage",{"prompt_tokens":8}]})", absent()},
        {"response behind", R"({"usage":{"prompt_tokens":1},"model":"a","response":{"model":"b",)" + kUsage + "}}",
         found(8, 3, 0, "b")},
        {"response before", R"({"response":{"usage":{"prompt_tokens":1},"model":"b"},"model":"a",)" + kUsage + "}",
         found(8, 3, 0, "a")},
        {"after what is passed over", R"({"a":[[{"x":[1,2]}],{}],"b":{"c":{}},)" + kUsage + "}", found(8, 3, 0, "")},
        {"details elsewhere",
         R"({"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":1},"usage":{"prompt_tokens":8,)"
         R"("cached_tokens":5,"x":{"cached_tokens":5},"prompt_tokens_details":{"x":{"cached_tokens":5}}}})",
         found(8, 0, 0, "")},
    });
}

TEST(LlmUsage, OfSeveralTheLastWholeOneCounts) {
    const std::string two = R"({"usage":{"prompt_tokens":1,"completion_tokens":2},)" + kUsage;
    expect_json({
        {"twice", two + "}", found(8, 3, 0, "")},
        {"then null", two + R"(,"usage":null})", found(8, 3, 0, "")},
        {"then an empty one", two + R"(,"usage":{}})", found(8, 3, 0, "")},
        {"then a misfit", two + R"(,"usage":{"prompt_tokens":-1}})", found(8, 3, 0, "")},
        {"then a cut one", two + R"(,"usage":{"prompt_tokens":5)", found(8, 3, 0, "")},
        {"members twice", R"({"usage":{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens":3,"output_tokens":4}})",
         found(3, 4, 0, "")},
        {"nothing of the one before",
         R"({"usage":{"prompt_tokens":9,"completion_tokens":9,"prompt_tokens_details":)"
         R"({"cached_tokens":9}},"usage":{"input_tokens":3}})",
         found(3, 0, 0, "")},
        {"more cached than there are", R"({"usage":{"prompt_tokens_details":{"cached_tokens":9},"prompt_tokens":5}})",
         found(5, 0, 5, "")},
    });
}

TEST(LlmUsage, CountsAreWholeNumbers) {
    const auto counting = [](const std::string& number) { return R"({"usage":{"prompt_tokens":)" + number + "}}"; };
    for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{10}, std::uint64_t{INT64_MAX}})
        expect_json({{"a count", counting(std::to_string(number)), found(number, 0, 0, "")}});
    for (const std::string number :
         {"8.0", "1e3", "1E3", "-1", "-0", "0.5", "0e0", "9223372036854775808", "18446744073709551616",
          "18446744073709551624", "99999999999999999999999999999999999999", "\"8\"", "true", "false", "[]", "[8]", "{}",
          "{\"prompt_tokens\":8}"}) {
        expect_json(
            {{"no count", counting(number), malformed()},
             {"no count", R"({"usage":{"prompt_tokens":8,"output_tokens":)" + number + "}}", malformed()},
             {"no count", R"({"usage":{"prompt_tokens":8,"prompt_tokens_details":{"cached_tokens":)" + number + "}}}",
              malformed()}});
    }
    expect_json({
        {"null is none", counting("null"), absent()},
        {"null is none",
         R"({"usage":{"prompt_tokens":8,"output_tokens":null,"input_tokens_details":{"cached_tokens":null}}})",
         found(8, 0, 0, "")},
        {"no prompt", R"({"usage":{"total_tokens":5,"completion_tokens":5}})", absent()},
        {"empty", R"({"usage":{}})", absent()},
        {"details that are none", R"({"usage":{"prompt_tokens":8,"prompt_tokens_details":[]}})", malformed()},
        {"details that are none", R"({"usage":{"prompt_tokens":8,"prompt_tokens_details":7}})", malformed()},
        {"usage that is none", R"({"usage":[{"prompt_tokens":8}]})", malformed()},
        {"usage that is none", R"({"usage":"8"})", malformed()},
        {"other members are free", R"({"usage":{"prompt_tokens":8,"cost":1.5e-3,"x":"y","z":[-1],"total_tokens":-1}})",
         found(8, 0, 0, "")},
    });
}

TEST(LlmUsage, RefusesWhatIsNoJsonObject) {
    for (const std::string body : {"",
                                   " \n",
                                   "null",
                                   "8",
                                   "[]",
                                   R"("usage")",
                                   "{",
                                   "}",
                                   "<html>",
                                   "{}{}",
                                   "{},",
                                   "{,}",
                                   R"({"a"})",
                                   R"({"a":})",
                                   R"({"a":1,})",
                                   R"({"a":1 "b":2})",
                                   R"({a:1})",
                                   R"({'a':1})",
                                   R"({"a":01})",
                                   R"({"a":1.})",
                                   R"({"a":.5})",
                                   R"({"a":+1})",
                                   R"({"a":1e})",
                                   R"({"a":1e+})",
                                   R"({"a":-})",
                                   R"({"a":--1})",
                                   R"({"a":1-})",
                                   R"({"a":1.e3})",
                                   R"({"a":0x1})",
                                   R"({"a":tru})",
                                   R"({"a":True})",
                                   R"({"a":nul}})",
                                   R"({"a":truee})",
                                   R"({"a":NaN})",
                                   R"({"a":[1,]})",
                                   R"({"a":[,1]})",
                                   R"({"a":[1 2]})",
                                   R"({"a":[1}})",
                                   R"({"a":{"b":1]})",
                                   R"({"a":"\x"})",
                                   R"({"a":"\u12g4"})",
                                   R"({"a":"\u12"})",
                                   "{\"a\":\"\n\"}",
                                   "{\"a\":\"\x1f\"}",
                                   "{\"a\":\"",
                                   R"({"a":1,,"b":1})",
                                   R"({"a"::1})",
                                   R"({"a":1:})",
                                   R"({1:1})",
                                   "{/**/}",
                                   "[DONE]",
                                   "\xef\xbb{}",
                                   "\xef\xbb",
                                   "{}\xef\xbb\xbf"}) {
        expect_read(Format::json, {"no JSON", body, malformed()});
    }
    expect_json({
        {"usage in what is no JSON", "{" + kUsage + ",}", malformed()},
        {"usage before what is no JSON", "{" + kUsage + "}}", malformed()},
        {"a zero byte", std::string("{\"a\":\"\0\"}", 9), malformed()},
        {"white space", " \t\r\n{ \"usage\" :\n{\t\"prompt_tokens\"\r: 8 , \"completion_tokens\" :3 } } \n",
         found(8, 3, 0, "")},
        {"a byte order mark", "\xef\xbb\xbf{" + kUsage + "}", found(8, 3, 0, "")},
        {"0x7f and broken UTF-8", "{\"a\":\"\x7f\xff\xc3\"," + kUsage + "}", found(8, 3, 0, "")},
    });
}

TEST(LlmUsage, NestingIsBounded) {
    const auto nested = [](std::size_t deep, bool arrays) {  // in all, with the object around it
        std::string body = "{" + kUsage + ",\"a\":";
        for (std::size_t i = 1; i < deep; ++i)
            body += arrays ? "[" : "{\"a\":";
        body += arrays ? "" : "1";
        for (std::size_t i = 1; i < deep; ++i)
            body += arrays ? "]" : "}";
        return body + "}";
    };
    expect_json({{"arrays", nested(LlmUsage::kDeepest, true), found(8, 3, 0, "")},
                 {"objects", nested(LlmUsage::kDeepest, false), found(8, 3, 0, "")},
                 {"arrays", nested(LlmUsage::kDeepest + 1, true), malformed()},
                 {"objects", nested(LlmUsage::kDeepest + 1, false), malformed()},
                 // Not only when it is closed again:
                 {"cut off", "{" + kUsage + ",\"a\":" + std::string(LlmUsage::kDeepest - 1, '['), found(8, 3, 0, "")},
                 {"cut off", "{" + kUsage + ",\"a\":" + std::string(LlmUsage::kDeepest, '['), malformed()}});
}

TEST(LlmUsage, UndoesEscapesInNames) {
    expect_json({
        {"usage", R"({"\u0075sag\u0065":{"\u0070rompt_tokens":8,"complet\u0069on\u005ftokens":3},"\u006dodel":"m"})",
         found(8, 3, 0, "m")},
        {"another name",
         R"({"usage\u0000":{"prompt_tokens":8},"\\usage":{"prompt_tokens":8},"usage\n":{"prompt_tokens":8}})",
         absent()},
    });
}

std::string repeated(std::string_view piece, std::size_t times) {
    std::string all;
    for (; times > 0; --times)
        all += piece;
    return all;
}

TEST(LlmUsage, UndoesEscapesInTheModel) {
    const std::string replaced = "\xef\xbf\xbd";
    const auto model = [](const std::string& text) { return "{\"model\":\"" + text + "\"}"; };
    expect_json({
        {"short ones", model(R"(\"\\\/\b\f\n\r\t)"), absent("\"\\/\b\f\n\r\t")},
        {"one, two, three bytes", model(R"(\u0041\u00e9\u20AC\u007f\u0080\u07ff\u0800\uffff)"),
         absent("A\u00e9\u20ac\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf")},
        {"pairs", model(R"(\ud83d\ude00\uD800\uDC00\udbff\udfff)"),
         absent("\xf0\x9f\x98\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")},
        {"half pairs", model(R"(\ud83d|\ude00|\ud83d\n\ud83d\ud83d\ude00\ud83d\u0041\ud83d)"),
         absent(replaced + "|" + replaced + "|" + replaced + "\n" + replaced + "\xf0\x9f\x98\x80" + replaced + "A" +
                replaced)},
        {"zero", model(R"(a\u0000b)"), absent("a" + replaced + "b")},
        {"UTF-8", model("\xf0\x9f\x98\x80 \xe2\x82\xac"), absent("\xf0\x9f\x98\x80 \xe2\x82\xac")},
        {"empty", R"({"model":"a","model":"","model":null,"model":7,"model":["b"],"model":{"model":"b"}})",
         absent("a")},
        {"the last", R"({"model":"a","model":"b"})", absent("b")},
        {"cut off", R"({"model":"a","model":"bcd)", malformed("a")},
    });
    expect_stream(
        {{"the last of a stream", "data: {\"model\":\"a\"}\n\ndata: {\"model\":\"b\"}\n\ndata: {\"model\":\"\"}\n\n",
          absent("b")},
         {"of an event that is none", "data: {\"model\":\"a\"}\n\ndata: {\"model\":\"b\"\n\n", malformed("b")}});
}

TEST(LlmUsage, CutsALongModelAtACharacter) {
    const std::size_t most = LlmUsage::kMostModelBytes;
    const auto model = [](const std::string& text) { return "{\"model\":\"" + text + "\"}"; };
    for (const std::string_view character : {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
        for (std::size_t before = most - 8; before <= most + 1; ++before) {
            const std::string start(before, 'x');
            const std::size_t fits = before > most ? 0 : (most - before) / character.size();
            const std::string expected = std::string(std::min(before, most), 'x') + repeated(character, fits);
            expect_json({{"cut", model(start + repeated(character, 9)), absent(expected)}});
        }
    }
    const std::string start(most - 2, 'x');
    expect_json({
        {"just fits", model(start + "\u00e9"), absent(start + "\u00e9")},
        {"an escape that does not fit", model(start + R"(\u20acx)"), absent(start)},
        {"an escape that fits", model(start + R"(\u00e9\u00e9)"), absent(start + "\u00e9")},
        {"half a pair that does not fit", model(start + R"(\ud83dx)"), absent(start)},
        {"an escape behind the cut", model(start + "xxx\\n\\u0041" + std::string(99, 'y')), absent(start + "xx")},
    });
}

// --- event streams ---------------------------------------------------------------------------------------------

TEST(LlmUsage, LinesEndInThreeWays) {
    const std::string object = "{" + kUsage + ",\"model\":\"m\"}";
    for (const std::string end : {"\n", "\r", "\r\n"}) {
        const std::string event = "data: " + object + end + end;
        expect_stream({{"one", event, found(8, 3, 0, "m")},
                       {"and nothing behind", "data: " + object, found(8, 3, 0, "m")},
                       {"and a line end", "data: " + object + end, found(8, 3, 0, "m")},
                       {"a byte order mark", "\xef\xbb\xbf" + event, found(8, 3, 0, "m")},
                       {"half a byte order mark", "\xef\xbb" + event, absent()},
                       {"a byte order mark later", end + "\xef\xbb\xbf" + event, absent()},
                       {"many", event + event + end + end + event, found(8, 3, 0, "m")},
                       {"an event that is none before", "data: {" + end + end + event, found(8, 3, 0, "m")},
                       {"an event that is none behind", event + "data: {" + end + end, found(8, 3, 0, "m")},
                       {"[DONE]", event + "data: [DONE]" + end + end, found(8, 3, 0, "m")}});
    }
}

TEST(LlmUsage, FieldsAreReadAsTheStandardSays) {
    const std::string object = "{" + kUsage + "}";
    expect_stream({
        {"no space", "data:" + object + "\n\n", found(8, 3, 0, "")},
        {"two spaces", "data:  " + object + "\n\n", found(8, 3, 0, "")},
        {"other fields", ": data: x\nevent: data\nid: 1\nretry: 10\ndata: " + object + "\nx\n\n", found(8, 3, 0, "")},
        {"other names", "Data: x\ndatas: x\ndat: x\n data: x\ndata : x\n:data: x\n\n", absent()},
        {"an event without data", "event: ping\n\n: alive\n\nid\n\n", absent()},
        {"empty data", "data\n\ndata:\n\ndata: \n\ndata:\ndata\n\n", absent()},
        {"several lines",
         "data: {\"usage\":\ndata\ndata: {\"prompt_tokens\":8,\nid: 7\ndata:\"completion_tokens\":3}\ndata\ndata: "
         "}\n\n",
         found(8, 3, 0, "")},
        {"a number in two lines", "data: {\"usage\":{\"prompt_tokens\":8\ndata: 1}}\n\n", malformed()},
        {"a text in two lines", "data: {\"model\":\"a\ndata: b\"}\n\n", malformed()},
        {"two objects in two lines", "data: " + object + "\ndata: " + object + "\n\n", malformed()},
        {"two events", "data: {\"usage\":\n\ndata: {\"prompt_tokens\":8}}\n\n", malformed()},
        {"control characters", "data: {\"usage\":{\"prompt_tokens\":\t8}}\n\n:\x01\x02\x1f\n", found(8, 0, 0, "")},
        {"a zero byte", std::string("data: {\"a\":\0}\n\n", 15), malformed()},
        {"plain JSON", object, absent()},
    });
}

TEST(LlmUsage, OnlyDoneIsNoJsonAndNoError) {
    expect_stream({{"[DONE]", kDone, absent()},
                   {"[DONE]", "data:[DONE] \ndata\n\n", absent()},
                   {"[DONE]", "data: [DONE]", absent()}});
    for (const std::string data :
         {"[done]", "[DONE", "[DONE]]", "[DONE] x", "[", "[]", "[D ONE]", "DONE", "\"[DONE]\"", "[DONE]{}"})
        expect_stream({{"not [DONE]", "data: " + data + "\n\n", malformed()}});
}

TEST(LlmUsage, EndsOnce) {
    LlmUsage usage(Format::json);
    usage.feed("{}");
    usage.end();
    usage.end();
    EXPECT_EQ(usage.outcome(), Outcome::absent);
}

}  // namespace
}  // namespace apikey::usage
