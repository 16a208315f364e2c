// LlmUsage against nlohmann's parser: random responses and streams, whole, cut off and damaged, in random pieces.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

#include "tests/core/llm_usage_reading.hpp"
#include "tests/core/llm_usage_reference.hpp"

namespace apikey::usage {
namespace {

using test::Format;
using test::Outcome;
using test::Reading;
using Random = std::mt19937;

constexpr int kBodies = 10'000;

template <class... Choices>
std::string one_of(Random& random, Choices... choices) {
    const std::array<std::string, sizeof...(Choices)> all = {choices...};
    return all.at(random() % all.size());
}

// As it stands between quotes. Half surrogate pairs are left to the examples: nlohmann refuses them.
std::string random_text(Random& random) {
    std::string text;
    const auto length = random() % 40 == 0 ? random() % 300 : random() % 6;
    for (auto i = length; i > 0; --i) {
        text += one_of(random, "a", "usage", "}", "{", "]", ":", ",", "\\\"", "\\\\", "\\n", "\\u0000", "\\u0041",
                       "\\u00e9", "\\u20AC", "\\ud83d\\ude00", "\\/", "\u00e9", "\u20ac", "\xf0\x9f\x98\x80", "\x7f",
                       "data: ", "[DONE]", R"(\"usage\":{\"prompt_tokens\":1})");
    }
    return text;
}

std::string random_number(Random& random) {
    if (random() % 2 == 0) return std::to_string(random() % 1000);
    return one_of(random, "0", "-0", "-1", "8.0", "1e3", "0.5E-2", "12E+2", "9223372036854775807",
                  "9223372036854775808", "18446744073709551615", "18446744073709551616",
                  "123456789012345678901234567890");
}

std::string random_name(Random& random) {
    return one_of(random, "usage", "model", "response", "prompt_tokens", "input_tokens", "completion_tokens",
                  "output_tokens", "prompt_tokens_details", "input_tokens_details", "cached_tokens", "total_tokens",
                  "choices", "\\u0075sage", "m\\u006fdel", "usage ", "Usage", "response\\u0000", "");
}

std::string white(Random& random) {
    return random() % 4 == 0 ? one_of(random, " ", "  ", "\t", " \t ") : "";
}

std::string random_value(Random& random, int depth);

// A value that fits its name more often than not.
std::string random_member(Random& random, const std::string& name, int depth) {
    const bool count = name.ends_with("_tokens");
    const bool object = name.ends_with("usage") || name.ends_with("_details") || name == "response";
    if (random() % 8 == 0) return random_value(random, depth);
    if (count && random() % 4 != 0) return std::to_string(random() % 1000);
    if (count) return random_number(random);
    if (name == "model" || name == "m\\u006fdel") return '"' + random_text(random) + '"';
    if (!object || depth > 5) return random_value(random, depth);
    std::string all = "{";
    for (auto members = random() % 5; members > 0; --members) {
        const std::string member = name.ends_with("usage")
                                       ? one_of(random, "prompt_tokens", "input_tokens", "output_tokens",
                                                "completion_tokens", "prompt_tokens_details")
                                   : name.ends_with("_details") ? "cached_tokens"
                                                                : random_name(random);
        all += white(random) + '"' + member + '"' + white(random) + ':' + random_member(random, member, depth + 1);
        all += white(random) + (members > 1 ? "," : "");
    }
    return all + '}';
}

std::string random_value(Random& random, int depth) {
    switch (random() % (depth < 5 ? 8 : 4)) {
        case 0: return one_of(random, "true", "false", "null");
        case 1: return random_number(random);
        case 2:
        case 3: return '"' + random_text(random) + '"';
        case 4:
        case 5: return random_member(random, "response", depth + 1);
        default: break;
    }
    std::string all = "[";
    for (auto elements = random() % 4; elements > 0; --elements)
        all += white(random) + random_value(random, depth + 1) + white(random) + (elements > 1 ? "," : "");
    return all + ']';
}

std::string random_object(Random& random) {
    std::string all = "{";
    for (auto members = random() % 6; members > 0; --members) {
        const std::string name =
            random() % 2 == 0 ? one_of(random, "usage", "model", "response", "response", "usage") : random_name(random);
        all += white(random) + '"' + name + "\":" + white(random) + random_member(random, name, 1) +
               (members > 1 ? "," : "");
    }
    return all + '}';
}

std::string random_stream(Random& random) {
    const std::string end = one_of(random, "\n", "\r", "\r\n");
    const auto line_end = [&] { return random() % 8 == 0 ? one_of(random, "\n", "\r", "\r\n") : end; };
    std::string stream;
    for (auto events = random() % 6; events > 0; --events) {
        if (random() % 3 == 0)
            stream += one_of(random, "event: response.completed", "id: 7", ": alive", "dat", "data",
                             "data:", "datax: {", "id") +
                      line_end();
        std::string data =
            random() % 6 == 0 ? one_of(random, "[DONE]", "[DONE", "{", "", "{}}", "[]") : random_object(random);
        // Between the lines of an event there is a LF: white space, unless it is inside a text.
        for (std::size_t at = 0; random() % 3 == 0 && at < data.size(); ++at) {
            const std::string between = line_end() + one_of(random, "data:", "data: ", "data:  ");
            if (data[at] == ',' || data[at] == ':') data.insert(at + 1, between), at += between.size();
        }
        stream += one_of(random, "data:", "data: ") + data + line_end();
        if (random() % 3 == 0) stream += "id: 8" + line_end();
        if (random() % 10 != 0) stream += line_end();
    }
    return stream;
}

Reading read_in_random_pieces(Format format, const std::string& body, Random& random) {
    const std::size_t longest = 1 + random() % 40;
    return test::read_in_pieces(format, body, [&](std::size_t) { return 1 + random() % longest; });
}

// Each kind of outcome must be frequent, or the test says little.
struct Tally {
    std::array<int, 3> outcomes{};
    int models = 0;

    void add(const Reading& reading) {
        ++outcomes.at(static_cast<std::size_t>(reading.outcome));
        models += reading.model.empty() ? 0 : 1;
    }
    void expect_all_often() const {
        for (const int count : outcomes)
            EXPECT_GT(count, kBodies / 50);
        EXPECT_GT(models, kBodies / 10);
    }
};

template <class Body, class Reference>
void expect_agreement(unsigned seed, Format format, Body random_body, Reference reference) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Tally tally;
    for (int i = 0; i < kBodies; ++i) {
        const std::string body = random_body(random);
        const Reading expected = reference(body);
        ASSERT_EQ(read_in_random_pieces(format, body, random), expected) << "body " << i << ": " << body;
        tally.add(expected);
    }
    tally.expect_all_often();
}

template <class Body>
auto cut_off(Body random_body) {
    return [random_body](Random& random) {
        const std::string body = random_body(random);
        std::size_t length = random() % (body.size() + 1);
        while (length < body.size() && (static_cast<unsigned char>(body[length]) & 0xc0) == 0x80)
            ++length;
        return body.substr(0, length);
    };
}

TEST(LlmUsageDifferential, AgreesAboutObjects) {
    expect_agreement(21, Format::json, random_object, test::reference_json);
}

TEST(LlmUsageDifferential, AgreesAboutObjectsThatAreCutOff) {
    expect_agreement(22, Format::json, cut_off(random_object), test::reference_json);
}

TEST(LlmUsageDifferential, AgreesAboutStreams) {
    expect_agreement(23, Format::event_stream, random_stream, test::reference_stream);
}

TEST(LlmUsageDifferential, AgreesAboutStreamsThatAreCutOff) {
    expect_agreement(24, Format::event_stream, cut_off(random_stream), test::reference_stream);
}

// nlohmann refuses numbers that no double can hold, and half surrogate pairs. Both are good JSON.
bool is_refused_by_nlohmann_alone(const std::string& body) {
    try {
        return nlohmann::json::parse(body).is_discarded();
    } catch (const nlohmann::json::out_of_range&) {
        return true;
    } catch (const nlohmann::json::parse_error& error) {
        return std::string_view(error.what()).find("surrogate") != std::string_view::npos;
    }
}

// Of what is damaged nothing is read that is not there, and nothing counts but what the damage left whole.
TEST(LlmUsageDifferential, IsNeverMoreLenientThanNlohmann) {
    Random random(25);
    int refused = 0;
    for (int i = 0; i < kBodies; ++i) {
        std::string body = random_object(random);
        for (auto changes = 1 + random() % 2; changes > 0; --changes) {
            const std::size_t at = random() % body.size();
            if ((body[at] & 0x80) != 0) continue;  // nlohmann looks at UTF-8, too
            if (random() % 2 == 0) {
                body.insert(at, 1, "\"\\{}[]:,.-+eE019tn \n\x01"[random() % 21]);
            } else {
                body.erase(at, 1);
            }
            if (body.empty()) body = "{";
        }
        if (is_refused_by_nlohmann_alone(body)) continue;
        const Reading ours = read_in_random_pieces(Format::json, body, random);
        const Reading theirs = test::reference_json(body);
        if (nlohmann::json::accept(body) || ours.outcome == Outcome::found) {
            ASSERT_EQ(ours, theirs) << body;
        } else {  // theirs may have seen a whole usage object before an end that came too early for both
            ASSERT_EQ(ours.outcome, Outcome::malformed) << body;
            ++refused;
        }
    }
    EXPECT_GT(refused, kBodies / 4) << "the bodies are hardly damaged";
}

}  // namespace
}  // namespace apikey::usage
