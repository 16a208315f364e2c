#include "core/policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/core/allocations.hpp"

namespace apikey {
namespace {

using Required = std::vector<std::string_view>;

constexpr std::int64_t kNow = 1'800'000'000;

TEST(Judge, RefusesAKeyFromItsLastSecondOn) {
    EXPECT_EQ(judge({"*", kNow + 1}, kNow, {}), Verdict::valid);
    EXPECT_EQ(judge({"*", kNow}, kNow, {}), Verdict::expired);
    EXPECT_EQ(judge({"*", kNow - 1}, kNow, {}), Verdict::expired);
    EXPECT_EQ(judge({"*", 1}, kNow, {}), Verdict::expired);
    EXPECT_EQ(judge({"*", -1}, kNow, {}), Verdict::expired);
}

TEST(Judge, ZeroNeverExpires) {
    for (const std::int64_t now : {std::int64_t{0}, kNow, std::numeric_limits<std::int64_t>::max()}) {
        EXPECT_EQ(judge({"*", 0}, now, {}), Verdict::valid);
    }
}

TEST(Judge, WantsEveryScope) {
    const Required both = {"usage:read", "keys:write"};
    EXPECT_EQ(judge({"keys:write usage:read"}, kNow, both), Verdict::valid);
    EXPECT_EQ(judge({"keys:write other usage:read"}, kNow, both), Verdict::valid);
    EXPECT_EQ(judge({"usage:read"}, kNow, both), Verdict::forbidden);
    EXPECT_EQ(judge({"keys:write"}, kNow, both), Verdict::forbidden);
    EXPECT_EQ(judge({""}, kNow, both), Verdict::forbidden);
    EXPECT_EQ(judge({""}, kNow, {}), Verdict::valid);
}

TEST(Judge, ComparesWholeScopes) {
    const Required wanted = {"usage:read"};
    for (const char* const scopes : {"usage", "usage:rea", "usage:readx", "xusage:read", "Usage:read", "usage:*",
                                     "** usage", "usage:write:read"}) {
        EXPECT_EQ(judge({scopes}, kNow, wanted), Verdict::forbidden) << scopes;
    }
    for (const char* const scopes : {"usage:read", " usage:read", "usage:read ", "a  usage:read  b"}) {
        EXPECT_EQ(judge({scopes}, kNow, wanted), Verdict::valid) << scopes;
    }
}

TEST(Judge, AStarStandsForAllAlsoAmongOthers) {
    const Required wanted = {"usage:read", "anything"};
    for (const char* const scopes : {"*", "keys:read *", "* keys:read", "a * b"}) {
        EXPECT_EQ(judge({scopes}, kNow, wanted), Verdict::valid) << scopes;
    }
}

TEST(Judge, NobodyHasAnEmptyScope) {
    EXPECT_EQ(judge({"a  b "}, kNow, Required{""}), Verdict::forbidden);
    EXPECT_EQ(judge({"a b"}, kNow, Required{"a b"}), Verdict::forbidden);
}

TEST(Judge, ExpiryGoesBeforeScopes) {
    EXPECT_EQ(judge({"", kNow}, kNow, Required{"usage:read"}), Verdict::expired);
}

std::string joined(const std::vector<std::string>& scopes) {
    std::string text;
    for (const std::string& scope : scopes)
        text += (text.empty() ? "" : " ") + scope;
    return text;
}

TEST(Judge, AgreesWithSetsOfScopes) {
    const std::vector<std::string> all = {"a", "b", "ab", "a:b", "b:a", "aa", "*"};
    std::mt19937 random(10);
    for (int i = 0; i < 100'000; ++i) {
        std::vector<std::string> given;
        for (auto n = random() % 5; n > 0; --n)
            given.push_back(all[random() % all.size()]);
        std::vector<std::string_view> required;
        for (auto n = random() % 4; n > 0; --n)
            required.push_back(all[random() % 6]);
        const std::int64_t expires = random() % 2 == 0 ? 0 : kNow + static_cast<int>(random() % 5) - 2;

        const std::set<std::string_view> have(given.begin(), given.end());
        const bool enough = std::all_of(required.begin(), required.end(),
                                        [&](std::string_view one) { return have.contains("*") || have.contains(one); });
        const bool over = expires != 0 && expires <= kNow;
        const Verdict wanted = over ? Verdict::expired : enough ? Verdict::valid : Verdict::forbidden;
        ASSERT_EQ(judge({joined(given), expires}, kNow, required), wanted) << joined(given) << " expires " << expires;
    }
}

TEST(Judge, DoesNotAllocate) {
    const std::string scopes = std::string(100, 'a') + " " + std::string(100, 'b');
    const Required required = {std::string_view(scopes).substr(101)};
    EXPECT_EQ(test::allocations_of([&] { (void)judge({scopes, kNow + 1}, kNow, required); }), 0u);
}

// RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
TEST(ValidScope, IsAScopeToken) {
    for (int byte = 0; byte < 256; ++byte) {
        const bool good = byte == 0x21 || (byte >= 0x23 && byte <= 0x5b) || (byte >= 0x5d && byte <= 0x7e);
        const std::string one(1, static_cast<char>(byte));
        EXPECT_EQ(valid_scope(one), good) << byte;
        EXPECT_EQ(valid_scope("a" + one + "b"), good) << byte;
    }
    EXPECT_FALSE(valid_scope(""));
    EXPECT_TRUE(valid_scope("conversations:write"));
}

}  // namespace
}  // namespace apikey
