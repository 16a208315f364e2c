#include "sidecar/keys/key_rights.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/policy.hpp"
#include "sidecar/keys/key_refused.hpp"

namespace apikey {
namespace {

using Scopes = std::optional<std::vector<std::string>>;
using Expiry = std::optional<std::int64_t>;

bool is_within(const KeyRights& wanted, const KeyRights& own) {
    try {
        require_within(wanted, own);
        return true;
    } catch (const KeyRefused& refused) {
        EXPECT_EQ(refused.why(), KeyRefused::Why::exceeds_rights);
        return false;
    }
}

// As Redis holds them.
std::string as_facts(const Scopes& scopes) {
    std::string text;
    for (const std::string& scope : scopes.value_or(std::vector<std::string>{"*"}))
        text += (text.empty() ? "" : " ") + scope;
    return text;
}

// Every pair of a few: what is allowed may nothing, at no time, that the key which allows it may not, as nginx will judge it.
TEST(RequireWithin, AllowsNothingThatNginxWouldNot) {
    const std::vector<Scopes> lists = {std::nullopt,
                                       std::vector<std::string>{},
                                       std::vector<std::string>{"*"},
                                       std::vector<std::string>{"a"},
                                       std::vector<std::string>{"b", "a"},
                                       std::vector<std::string>{"a", "*"},
                                       std::vector<std::string>{"c"}};
    const std::vector<Expiry> ends = {std::nullopt, 10, 20};
    for (const Scopes& own : lists)
        for (const Scopes& wanted : lists)
            for (const Expiry& own_end : ends)
                for (const Expiry& wanted_end : ends) {
                    bool fits = true;
                    for (const std::string_view scope : {"a", "b", "c", "anything"})
                        for (const std::int64_t now : {5, 15, 25}) {
                            const std::vector<std::string_view> needed = {scope};
                            const std::string own_scopes = as_facts(own);
                            const std::string wanted_scopes = as_facts(wanted);
                            const auto may = [&](const std::string& scopes, const Expiry& end) {
                                return judge({scopes, end.value_or(0)}, now, needed) == Verdict::valid;
                            };
                            if (may(wanted_scopes, wanted_end) && !may(own_scopes, own_end)) fits = false;
                        }
                    // A key without any scope may do nothing, but would live longer: that is refused as well.
                    const bool lives_longer = own_end && (!wanted_end || *wanted_end > *own_end);
                    EXPECT_EQ(is_within({wanted, wanted_end}, {own, own_end}), fits && !lives_longer)
                        << as_facts(wanted) << " of " << as_facts(own);
                }
}

TEST(RequireWithin, SaysWhatIsTooMuch) {
    const auto why = [](const KeyRights& wanted, const KeyRights& own) -> std::string {
        try {
            require_within(wanted, own);
        } catch (const KeyRefused& refused) {
            return refused.what();
        }
        return "allowed";
    };
    const std::vector<std::string> some = {"a", "b"};
    EXPECT_EQ(why({some, {}}, {some, {}}), "allowed");
    EXPECT_EQ(why({std::vector<std::string>{"a", "c"}, {}}, {some, {}}),
              R"(The key that asks has not the scope "c" itself.)");
    EXPECT_EQ(why({{}, {}}, {some, {}}),
              "The key that asks has scopes, so a key of its making needs scopes, too: some of the same.");
    EXPECT_EQ(why({{}, 11}, {{}, 10}), "The key that asks expires, so a key of its making must expire no later.");
}

}  // namespace
}  // namespace apikey
