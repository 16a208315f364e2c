// Findings as tests look at them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "sidecar/doctor/findings.hpp"

namespace apikey::doctor::test {

// "check level, check level", in order.
inline std::string levels(const Findings& findings) {
    std::string text;
    for (const Finding& finding : findings.all())
        text += (text.empty() ? "" : ", ") + finding.check + " " + std::string(to_text(finding.level));
    return text;
}

// The first finding of this check; fails where there is none. What is wrong comes with advice.
inline Finding find(const Findings& findings, std::string_view check) {
    for (const Finding& finding : findings.all()) {
        if (finding.check != check) continue;
        EXPECT_TRUE(finding.level < Level::warning || !finding.advice.empty()) << finding.message;
        return finding;
    }
    ADD_FAILURE() << "no finding of " << check;
    return {};
}

// The only one.
inline Finding only(const Findings& findings) {
    EXPECT_EQ(findings.all().size(), 1U) << levels(findings);
    return findings.all().empty() ? Finding{} : find(findings, findings.all().front().check);
}

}  // namespace apikey::doctor::test
