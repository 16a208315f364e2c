// Hazards: V5, V14
#include "core/transfer/query_string.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace apikey {
namespace {

std::string read(std::string_view query, std::span<const std::string_view> ignored = {}) {
    const auto parameters = read_query(query, ignored);
    if (!parameters) return "error: " + parameters.error();
    std::string text;
    for (const auto& [name, value] : *parameters)
        text += "[" + name + "=" + value + "]";
    return text;
}

TEST(ReadQuery, TakesParametersApart) {
    EXPECT_EQ(read(""), "");
    EXPECT_EQ(read("a=1&b=2"), "[a=1][b=2]");
    EXPECT_EQ(read("a"), "[a=]");
    EXPECT_EQ(read("a="), "[a=]");
    EXPECT_EQ(read("=1"), "[=1]");
    EXPECT_EQ(read("&&a=1&&b&"), "[a=1][b=]");
    EXPECT_EQ(read("a=b=c&d=?#"), "[a=b=c][d=?#]");
}

TEST(ReadQuery, DecodesAsFormsEncode) {
    EXPECT_EQ(read("a+b=c+d"), "[a b=c d]");
    EXPECT_EQ(read("%61=%2B%26%3d%20%2b"), "[a=+&= +]");
    EXPECT_EQ(read("a=%c3%A9%E2%82%ac"), "[a=é€]");
    EXPECT_EQ(read("a=é"), "[a=é]");
    EXPECT_EQ(read("a=%0d%0a"), "[a=\r\n]");
}

TEST(ReadQuery, RefusesWhatIsNoText) {
    for (const char* query :
         {"a=%", "a=%4", "a=%4g", "a=%zz", "a=%%34", "a=%00", "a=%ff", "a=%ed%a0%80", "a=\xff", "a=%c3"})
        EXPECT_EQ(read(query), R"(error: the parameter "a" is not percent-encoded UTF-8, or holds a NUL)") << query;
    EXPECT_EQ(read("%zz=1"), R"(error: the parameter "%zz" is not percent-encoded UTF-8, or holds a NUL)");
    EXPECT_EQ(read("a=1&b=2&%61=3"), R"(error: the parameter "a" stands twice)");
    EXPECT_EQ(read(std::string(kMostQueryBytes + 1, 'a')), "error: the query is longer than 16 KiB");
    EXPECT_EQ(read("a=" + std::string(kMostQueryBytes - 2, 'b')).size(), kMostQueryBytes + 2);
}

TEST(ReadQuery, LeavesOutWhatIsAnothers) {
    const std::array<std::string_view, 2> ignored = {"key", "token"};
    EXPECT_EQ(read("key=a%ff&a=1&%6bey=2&token=3&Key=4", ignored), "[a=1][Key=4]");
}

TEST(WriteQuery, LeavesOnlyUnreservedBytes) {
    EXPECT_EQ(write_query({}), "");
    EXPECT_EQ(write_query({{"a", "1"}, {"b", ""}}), "a=1&b=");
    EXPECT_EQ(write_query({{"a b", "\r\n &=+%é/?#\"'-._~"}}), "a%20b=%0D%0A%20%26%3D%2B%25%C3%A9%2F%3F%23%22%27-._~");
}

TEST(WriteQuery, IsReadBackExactly) {
    std::mt19937 chance(20261128);  // NOLINT(cert-msc51-cpp)
    const std::array<std::string_view, 8> texts = {"a", "=", "&", "+", "%41", "é", "\x7f\x01", " "};
    for (int round = 0; round < 2000; ++round) {
        QueryParameters parameters;
        for (unsigned i = 0; i < chance() % 4; ++i) {
            QueryParameter parameter{std::to_string(i), {}};
            for (unsigned j = 0; j < chance() % 6; ++j) {
                parameter.name += texts[chance() % texts.size()];
                parameter.value += texts[chance() % texts.size()];
            }
            parameters.push_back(parameter);
        }
        const auto again = read_query(write_query(parameters));
        ASSERT_TRUE(again);
        EXPECT_EQ(*again, parameters);
    }
}

TEST(QuotedForMessage, IsShortAndPrintable) {
    EXPECT_EQ(quoted_for_message("abc"), R"("abc")");
    EXPECT_EQ(quoted_for_message("a\r\n\x1b[31m\x7f"), R"("a???[31m?")");
    EXPECT_EQ(quoted_for_message("\xff"), "\"\xef\xbf\xbd\"");
    EXPECT_EQ(quoted_for_message(std::string(65, 'x')), "\"" + std::string(64, 'x') + "...\"");
    EXPECT_EQ(quoted_for_message(std::string(63, 'x') + "é"), "\"" + std::string(63, 'x') + "...\"");
}

}  // namespace
}  // namespace apikey
