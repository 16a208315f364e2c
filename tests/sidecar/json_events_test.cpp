#include "sidecar/imports/json_events.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>

#include "tests/sidecar/cut_anywhere.hpp"

namespace apikey {
namespace {

using test::Pieces;

constexpr std::size_t kMostText = 20;

// Writes the events down: {a: "b" 1 true null [ ] }; a text that was cut ends with "...".
class Notes : public JsonTaker {
  public:
    bool take(const JsonEvent& event) override {
        notes += notes.empty() ? "" : " ";
        switch (event.kind) {
            case JsonKind::object_begin: notes += "{"; break;
            case JsonKind::object_end: notes += "}"; break;
            case JsonKind::array_begin: notes += "["; break;
            case JsonKind::array_end: notes += "]"; break;
            case JsonKind::name: notes += std::string(event.text) + ":"; break;
            case JsonKind::text: notes += "'" + std::string(event.text) + (event.whole ? "'" : "...'"); break;
            case JsonKind::null: notes += "null"; break;
            default: notes += event.text;
        }
        return ++events < most_events;
    }
    [[nodiscard]] std::size_t most_text_bytes() const override { return kMostText; }

    std::string notes;
    std::size_t events = 0;
    std::size_t most_events = 1'000'000'000;
};

struct Read {
    std::string notes;
    std::string error;
    bool finished = false;
};

Read read(const Pieces& pieces) {
    Notes notes;
    JsonEvents events(notes);
    bool goes_on = true;
    for (const std::string_view piece : pieces)
        goes_on = goes_on && events.feed(piece);
    const bool finished = goes_on && events.finish();
    EXPECT_EQ(finished, events.error().empty()) << events.error();
    return {notes.notes, events.error(), finished};
}

TEST(JsonEvents, HandsOnWhatStandsThere) {
    const std::vector<std::pair<std::string, std::string>> table = {
        {"{}", "{ }"},
        {" [ ] \r\n\t", "[ ]"},
        {R"({"a":[1,true,false,null,"b"],"a":{"":""}})", "{ a: [ 1 true false null 'b' ] a: { : '' } }"},
        {"[0,-0,1.50,1e5,1E+05,-1.0e-10,18446744073709551616]",
         "[ 0 -0 1.50 1e5 1E+05 -1.0e-10 18446744073709551616 ]"},
        {"[9223372036854775807,9007199254740993,0.1000000000000000000000000000000000000000001]",
         "[ 9223372036854775807 9007199254740993 0.1000000000000000000000000000000000000000001 ]"},
        {"[123456789012345678901234567890.123456789012345678901234567890]",
         "[ 123456789012345678901234567890.123456789012345678901234567890 ]"},
        {"[1e400,1e-400,1e99999]", "[ 1e400 1e-400 1e99999 ]"},
        {R"("\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00")", "'\"\\/\b\f\n\r\t\xC3\xA9\xF0\x9F\x98\x80'"},
        {"\"\xC3\xA9\xEF\xBF\xBD\xEF\xBB\xBF\xF0\x9F\x98\x80\"", "'\xC3\xA9\xEF\xBF\xBD\xEF\xBB\xBF\xF0\x9F\x98\x80'"},
        {R"("a\u0000b")", std::string("'a\0b'", 5)},
        {"\"01234567890123456789\"", "'01234567890123456789'"},
        {R"({"01234567890123456789x":"01234567890123456789x"})",
         "{ 01234567890123456789x: '01234567890123456789...' }"},
        {"7", "7"},
        {"-12.5", "-12.5"},
        {"\"x\"", "'x'"},
        {"null", "null"},
    };
    for (const auto& [text, notes] : table) {
        test::for_every_cut(text, [&, &text = text, &notes = notes](const Pieces& pieces) {
            const Read got = read(pieces);
            EXPECT_TRUE(got.finished) << got.error << ": " << text;
            EXPECT_EQ(got.notes, notes);
        });
    }
}

TEST(JsonEvents, RefusesWhatIsNoJson) {
    for (const std::string text :
         {"", " ", "{", "[", "[1", "[1,]", "{\"a\":1,}", "{\"a\"}", "{a:1}", "{'a':1}", "[01]", "[+1]", "[.5]", "[5.]",
          "[1e]", "[NaN]", "[Infinity]", "[-]", "nul", "tru", "\"a", "\"\\x\"", "\"\\u12g4\"", "\"\n\"", "\"\t\"",
          "[1]]", "[1] x", "{}{}", "1 2", "//c\n[]", "[/**/]", "\xEF\xBB\xBF[]",
          // Not UTF-8: stray and missing bytes, long forms, surrogates, what is beyond U+10FFFF.
          "\"\xFF\"", "\"\x80\"", "\"\xC3\"", "\"\xE2\x82\"", "\"\xC0\x80\"", "\"\xE0\x80\x80\"", "\"\xED\xA0\x80\"",
          "\"\xF4\x90\x80\x80\"", "\"\xF0\x80\x80\x80\"", "[\xC3\xA9]",
          // Halves of pairs.
          "\"\\ud800\"", "\"\\ud800x\"", "\"\\ud800\\n\"", "\"\\ud800\\u0041\"", "\"\\ud800\\ud800\"", "\"\\udc00\"",
          "{\"\\udc00\":1}"}) {
        test::for_every_cut(text, [&](const Pieces& pieces) {
            const Read got = read(pieces);
            EXPECT_FALSE(got.finished) << testing::PrintToString(text);
        });
    }
    EXPECT_FALSE(read({std::string_view("\"\0\"", 3)}).finished);
}

TEST(JsonEvents, SaysWhere) {
    EXPECT_EQ(read({"{\n\"a\": 1,\n x"}).error, "line 3 (byte 12): this is no JSON");
    EXPECT_EQ(read({"{\n\"a\":", " 1,\n", " x"}).error, "line 3 (byte 12): this is no JSON");
    EXPECT_EQ(read({"[1,\n2"}).error, "line 2 (byte 6): the document is not complete");
    EXPECT_EQ(read({"[]\n\n[]"}).error, "line 3 (byte 5): there is more behind the document");
    Notes notes;
    notes.most_events = 3;
    JsonEvents events(notes);
    EXPECT_FALSE(events.feed("[1,\n2,3]"));
    EXPECT_FALSE(events.feed("]"));
    EXPECT_FALSE(events.finish());
    EXPECT_EQ(notes.notes, "[ 1 2");
    EXPECT_EQ(events.error(), "");
    EXPECT_EQ(events.place(), "line 2 (byte 6)");
}

TEST(JsonEvents, LimitsNesting) {
    const std::string open(JsonEvents::kMostNesting, '[');
    EXPECT_TRUE(read({open, std::string(JsonEvents::kMostNesting, ']')}).finished);
    EXPECT_EQ(read({std::string(1'000'000, '[')}).error, "line 1 (byte 65): arrays and objects nested deeper than 64");
    std::string objects;
    for (int i = 0; i < 1'000'000; ++i)
        objects += "{\"a\":";
    EXPECT_FALSE(read({objects}).finished);
}

TEST(JsonEvents, LimitsNumbers) {
    const std::string most(JsonEvents::kMostNumberBytes, '7');
    EXPECT_EQ(read({most}).notes, most);
    EXPECT_FALSE(read({most, "7"}).finished);
    for (const std::string& huge :
         {std::string(10'000'000, '7'), "0." + std::string(10'000'000, '0'), "1e" + std::string(10'000'000, '0')}) {
        Notes notes;
        JsonEvents events(notes);
        EXPECT_FALSE(events.feed(huge));
        EXPECT_LE(std::stoull(events.place().substr(events.place().find("byte ") + 5)), 70'000U)
            << "at the first piece";
    }
    EXPECT_FALSE(read({"[1e99999999999]"}).finished);
}

double cpu_ms_per_mb(const std::string& text) {
    const std::clock_t begin = std::clock();
    read({text});
    return 1e3 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC / (static_cast<double>(text.size()) / 1e6);
}

// Hazard X14: less than 100 ms for each MB, whatever it is.
TEST(JsonEvents, IsFastWhateverComes) {
    std::string keys = "{";
    for (int i = 0; i < 300'000; ++i)
        keys += "\"" + std::to_string(i) + "\":1,";
    std::string escapes = "\"";
    for (int i = 0; i < 500'000; ++i)
        escapes += "\\ud83d\\ude00";
    std::string numbers = "[";
    for (int i = 0; i < 300'000; ++i)
        numbers += "1.5e300,";
    for (const std::string& text :
         {keys, escapes, numbers, "\"" + std::string(5'000'000, 'x'), std::string(5'000'000, ' ')})
        EXPECT_LT(cpu_ms_per_mb(text), 100) << text.substr(0, 20);
}

}  // namespace
}  // namespace apikey
