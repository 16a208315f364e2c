#include "sidecar/keys/key_row.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace apikey {
namespace {

const std::string kHash(64, '7');

KeyRow plain() {
    return {kHash, "11111111-2222-3333-4444-555555555555", "user", "name", "ia_abcdefghi", std::nullopt, "", true};
}

TEST(KeyFields, AreInTheOrderOfKFactFields) {
    KeyRow row = plain();
    row.scopes = "{a,b}";
    row.expires = "1800000000";
    const auto fields = KeyFields::of(row);
    ASSERT_TRUE(fields.ok());
    const std::array<std::string_view, 7> expected = {kHash,          row.id, "user",      "name",
                                                      "ia_abcdefghi", "a b",  "1800000000"};
    EXPECT_EQ(fields->values(), expected);
}

TEST(KeyFields, NoScopesMeansAllAndAnEmptyListMeansNone) {
    KeyRow row = plain();
    EXPECT_EQ(KeyFields::of(row)->values()[5], "*");
    row.scopes = "{}";
    EXPECT_EQ(KeyFields::of(row)->values()[5], "");
}

TEST(KeyFields, NameAndPrefixMayBeEmpty) {
    KeyRow row = plain();
    row.name = row.prefix = "";
    EXPECT_TRUE(KeyFields::of(row).ok());
}

// What nginx would take for corrupt must never be written: it would answer 503 for that key for ever.
TEST(KeyFields, RefusesWhatNginxCouldNotUse) {
    const std::string upper(64, 'A');
    const std::string longest(kMaxFieldBytes, 'x');
    const std::string too_long = longest + "x";
    std::vector<KeyRow> bad(9, plain());
    bad[0].hash = upper;
    bad[1].hash = "abc";
    bad[2].id = "";
    bad[3].user = "";
    bad[4].user = "a\nb";
    bad[5].name = "a\x7f";
    bad[6].prefix = "a\tb";
    bad[7].name = too_long;
    bad[8].scopes = "{\"a b\"}";
    for (const KeyRow& row : bad) {
        const auto fields = KeyFields::of(row);
        ASSERT_FALSE(fields.ok());
        EXPECT_EQ(fields.error().find(row.hash), std::string::npos);
    }
    KeyRow row = plain();
    row.name = longest;
    EXPECT_TRUE(KeyFields::of(row).ok());
    row.name = "Zoë \xF0\x9F\x94\x91";
    EXPECT_TRUE(KeyFields::of(row).ok());
}

TEST(JoinScopes, ReadsPostgresArrays) {
    EXPECT_EQ(join_scopes("{}").value(), "");
    EXPECT_EQ(join_scopes("{a}").value(), "a");
    EXPECT_EQ(join_scopes("{usage:read,keys:write}").value(), "usage:read keys:write");
    EXPECT_EQ(join_scopes(R"({"a,b","c\"d","e\\f","{g}","NULL"})").value(), R"(a,b c"d e\f {g} NULL)");
    EXPECT_EQ(join_scopes("{\"\xC3\xA9\"}").value(), "\xC3\xA9");
}

TEST(JoinScopes, RefusesWhatIsNoListOfScopes) {
    for (const char* array : {"", "a", "{", "{a", "{a}b", "{a,}", "{,a}", "{NULL}", "{a,NULL}", "{\"\"}", "{\"a b\"}",
                              "{{a},{b}}", "[2:3]={a,b}", "{\"a", "{\"a\\", "{\"a\tb\"}", "{\"\x7f\"}"}) {
        EXPECT_FALSE(join_scopes(array).ok()) << array;
    }
}

TEST(ArrayLiteral, IsReadBackByJoinScopes) {
    EXPECT_EQ(array_literal({}), "{}");
    EXPECT_EQ(array_literal({"a", "b"}), R"({"a","b"})");
    const std::vector<std::string> odd = {"a,b", "c\"d", "e\\f", "{g}", "NULL"};
    EXPECT_EQ(join_scopes(array_literal(odd)).value(), R"(a,b c"d e\f {g} NULL)");
}

}  // namespace
}  // namespace apikey
