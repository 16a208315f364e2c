#include "sidecar/keys/key_requests.hpp"

#include <gtest/gtest.h>

namespace apikey {
namespace {

using namespace std::chrono_literals;
using Scopes = std::optional<std::vector<std::string>>;

constexpr std::chrono::sys_seconds kNow = std::chrono::sys_days(std::chrono::year(2026) / 11 / 23) + 10h;

std::string refusal_of(std::string_view body) {
    const auto key = new_key_request(body, kNow);
    return key ? "taken" : key.error();
}

TEST(NewKeyRequest, TakesWhatItSays) {
    const auto key = new_key_request(
        R"( {"name": "l\u00e4ptop", "scopes": ["a:b", "c", "a:b"], "expiresAt": "2026-11-23T10:00:01.9Z"} )", kNow);
    ASSERT_TRUE(key) << key.error();
    EXPECT_EQ(key->name, "l\xC3\xA4ptop");
    EXPECT_EQ(key->scopes, (std::vector<std::string>{"a:b", "c"}));
    EXPECT_EQ(key->expires, kNow + 1s) << "rounded down: never later than it was said";
    EXPECT_EQ(key->user, "");
}

TEST(NewKeyRequest, LeavesOutWhatIsNull) {
    for (const char* body : {R"({"name":"n"})", R"({"name":"n","scopes":null,"expiresAt":null})"}) {
        const auto key = new_key_request(body, kNow);
        ASSERT_TRUE(key) << body;
        EXPECT_EQ(key->scopes, Scopes());
        EXPECT_FALSE(key->expires);
    }
    const auto none = new_key_request(R"({"name":"n","scopes":[]})", kNow);
    ASSERT_TRUE(none);
    EXPECT_EQ(none->scopes, Scopes(std::in_place)) << "no scope is not every scope";
}

TEST(NewKeyRequest, ReadsADateAsItsFirstSecond) {
    const auto key = new_key_request(R"({"name":"n","expiresAt":"2027-01-01"})", kNow);
    ASSERT_TRUE(key);
    EXPECT_EQ(key->expires, std::chrono::sys_seconds(std::chrono::sys_days(std::chrono::year(2027) / 1 / 1)));
    const auto east = new_key_request(R"({"name":"n","expiresAt":"2027-01-01T02:00:00+02:00"})", kNow);
    ASSERT_TRUE(east);
    EXPECT_EQ(east->expires, key->expires);
}

TEST(NewKeyRequest, NamesWhatIsWrong) {
    EXPECT_EQ(refusal_of(""), "the body is no JSON in UTF-8");
    EXPECT_EQ(refusal_of("{\"name\":\"\xff\"}"), "the body is no JSON in UTF-8");
    EXPECT_EQ(refusal_of(R"(["n"])"), "the body must be a JSON object");
    EXPECT_EQ(refusal_of(R"({"name":"n","name":"m"})"), R"(the field "name" stands twice)");
    EXPECT_EQ(refusal_of(R"({"name":"n","a":{"name":1,"name":2}})"),
              R"(the field "a" is unknown here; there is name, scopes, expiresAt)");
    EXPECT_EQ(refusal_of(R"({"name":"n","user\n":"u"})"),
              R"(the field "user?" is unknown here; there is name, scopes, expiresAt)");
    EXPECT_EQ(refusal_of(R"({"name":"n","expiresAt":"2026-11-23T10:00:00Z"})"),
              R"(expiresAt "2026-11-23T10:00:00Z" is not in the future)");
    EXPECT_EQ(refusal_of(R"({"name":"n","expiresAt":1})"), "expiresAt must be a text, or null for never");
    EXPECT_EQ(refusal_of(R"({"name":null})"), "name must be a text");
}

TEST(NewKeyRequest, IsNotBuriedUnderBrackets) {
    EXPECT_EQ(refusal_of(std::string(60'000, '[')), "the body is no JSON in UTF-8");
    EXPECT_EQ(refusal_of(std::string(30'000, '[') + std::string(30'000, ']')), "the body must be a JSON object");
}

TEST(RenameRequest, TakesANameAlone) {
    EXPECT_EQ(*rename_request(R"({"name":"n"})"), "n");
    EXPECT_EQ(rename_request("{}").error(), "name is missing: what the key is to be called");
    EXPECT_EQ(rename_request(R"({"name":"n","scopes":[]})").error(),
              R"(the field "scopes" is unknown here; there is name)");
}

TEST(RotateRequest, HasADefault) {
    for (const char* body : {"", "{}", R"({"overlap":null})", R"({"overlap":"24h"})"})
        EXPECT_EQ(*rotate_request(body), 24h) << body;
    EXPECT_EQ(*rotate_request(R"({"overlap":"0s"})"), 0s);
    EXPECT_EQ(rotate_request(R"({"overlap":24})").error(), R"(overlap must be a text like "24h")");
    EXPECT_EQ(rotate_request(R"({"overlap":"24"})").error(),
              R"(overlap "24" is no duration; write it like 30m, 24h, 7d)");
}

}  // namespace
}  // namespace apikey
