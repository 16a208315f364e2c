#include "core/problem.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace apikey {
namespace {

using Required = std::vector<std::string_view>;

struct Row {
    Verdict verdict;
    std::string_view name;
    int status;
    std::string_view code;
    std::string_view challenge;
};

// DESIGN §3.2, with the realm "api" and the scopes "a" and "b" required.
const std::vector<Row> kTable = {
    {Verdict::valid, "valid", 200, "", ""},
    {Verdict::missing, "missing", 401, "missing_api_key", R"(Bearer realm="api")"},
    {Verdict::malformed, "malformed", 401, "malformed_api_key", R"(Bearer realm="api", error="invalid_token")"},
    {Verdict::invalid, "invalid", 401, "invalid_api_key", R"(Bearer realm="api", error="invalid_token")"},
    {Verdict::expired, "expired", 401, "expired_api_key", R"(Bearer realm="api", error="invalid_token")"},
    {Verdict::forbidden, "forbidden", 403, "insufficient_scope",
     R"(Bearer realm="api", error="insufficient_scope", scope="a b")"},
    {Verdict::unavailable, "unavailable", 503, "api_key_unavailable", ""},
};

TEST(Problem, AnswersAsTheContractSays) {
    for (const Row& row : kTable) {
        EXPECT_EQ(status_name(row.verdict), row.name);
        EXPECT_EQ(http_status(row.verdict), row.status) << row.name;
        EXPECT_EQ(code(row.verdict), row.code) << row.name;
        EXPECT_EQ(challenge("api", row.verdict, Required{"a", "b"}), row.challenge) << row.name;
    }
}

TEST(Problem, DocumentsAreRfc9457) {
    std::set<std::string> titles;
    for (const Row& row : kTable) {
        if (row.verdict == Verdict::valid) continue;
        const auto document = nlohmann::json::parse(problem_document(row.verdict));
        EXPECT_EQ(document.size(), 5u) << row.name;
        EXPECT_EQ(document.at("type"), "urn:nginx-api-key:problem:" + std::string(row.code));
        EXPECT_EQ(document.at("status"), row.status);
        EXPECT_EQ(document.at("code"), row.code);
        EXPECT_FALSE(document.at("detail").get<std::string>().empty());
        titles.insert(document.at("title").get<std::string>());
    }
    EXPECT_EQ(titles.size(), kTable.size() - 1) << "a title names one kind of problem";
    EXPECT_TRUE(problem_document(Verdict::valid).empty());
}

TEST(Problem, DocumentsAreOneLine) {
    for (const Row& row : kTable) {
        const std::string_view document = problem_document(row.verdict);
        if (document.empty()) continue;
        EXPECT_EQ(document.find('\n'), document.size() - 1) << row.name;
        EXPECT_EQ(document.find_first_of("\r\t"), std::string_view::npos) << row.name;
    }
}

TEST(Challenge, NamesOneScopeOrNone) {
    EXPECT_EQ(challenge("api", Verdict::forbidden, Required{"keys:read"}),
              R"(Bearer realm="api", error="insufficient_scope", scope="keys:read")");
    EXPECT_EQ(challenge("api", Verdict::missing, Required{"keys:read"}), R"(Bearer realm="api")");
}

TEST(Challenge, EscapesTheRealm) {
    EXPECT_EQ(challenge(R"(my "best" \ api)", Verdict::missing, {}), R"(Bearer realm="my \"best\" \\ api")");
    EXPECT_EQ(challenge("", Verdict::missing, {}), R"(Bearer realm="")");
    EXPECT_EQ(challenge("\xc3\xa9t\xc3\xa9", Verdict::missing, {}), "Bearer realm=\"\xc3\xa9t\xc3\xa9\"");
}

// Hazards: V16
TEST(Challenge, CannotSplitAHeader) {
    EXPECT_EQ(challenge("a\r\nSet-Cookie: x=y", Verdict::missing, {}), R"(Bearer realm="aSet-Cookie: x=y")");
    std::string every;
    for (int byte = 0; byte < 256; ++byte)
        every += static_cast<char>(byte);
    for (const char c : challenge(every, Verdict::missing, {})) {
        const auto byte = static_cast<unsigned char>(c);
        EXPECT_TRUE(byte == '\t' || (byte >= 0x20 && byte != 0x7f)) << int{byte};
    }
}

TEST(Problem, OtherTextsHaveTheSameForm) {
    const auto document = nlohmann::json::parse(problem_text(422, "invalid_rows", "Rows not valid", "a \"b\"\n"));
    EXPECT_EQ(document, nlohmann::json({{"type", "urn:nginx-api-key:problem:invalid_rows"},
                                        {"title", "Rows not valid"},
                                        {"status", 422},
                                        {"code", "invalid_rows"},
                                        {"detail", "a \"b\"\n"}}));
    const auto more = nlohmann::json::parse(problem_text(422, "c", "t", "d", R"("errors":[],"skipped":0)"));
    EXPECT_EQ(more.size(), 7u);
    EXPECT_EQ(more.at("skipped"), 0);
}

TEST(ValidRealm, IsWhatTheChallengeShowsAsItIs) {
    EXPECT_TRUE(valid_realm(""));
    EXPECT_TRUE(valid_realm("my \"best\" \\ api\t\xc3\xa9"));
    for (const std::string_view bad : {"a\r", "\n", "a\x01", "\x7f"}) {
        EXPECT_FALSE(valid_realm(bad));
    }
}

}  // namespace
}  // namespace apikey
