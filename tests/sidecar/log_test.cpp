#include "sidecar/log.hpp"

#include <gtest/gtest.h>

#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

namespace apikey {
namespace {

using namespace std::chrono_literals;

TEST(QuietLog, WritesACauseAtOnceAndThenEveryTenSecondsWithTheCount) {
    QuietLog quiet;
    const std::chrono::steady_clock::time_point start{};
    EXPECT_EQ(quiet.admit("a", start), 0);
    EXPECT_EQ(quiet.admit("b", start), 0) << "another cause is another matter";
    for (auto after = 1s; after < 10s; ++after)
        EXPECT_EQ(quiet.admit("a", start + after), QuietLog::kHoldBack);
    EXPECT_EQ(quiet.admit("a", start + 10s), 9);
    EXPECT_EQ(quiet.admit("a", start + 11s), QuietLog::kHoldBack);
    EXPECT_EQ(quiet.admit("a", start + 20s), 1);
    EXPECT_EQ(quiet.admit("a", start + 30s), 0);
}

TEST(QuietLog, ForgetsRatherThanGrow) {
    QuietLog quiet;
    const std::chrono::steady_clock::time_point start{};
    for (int i = 0; i < 10'000; ++i)
        EXPECT_EQ(quiet.admit("cause " + std::to_string(i), start), 0);
}

TEST(JsonLog, EveryLineIsOneObjectWhateverTheMessage) {
    start_log(LogLevel::info, LogFormat::json);
    testing::internal::CaptureStderr();
    spdlog::warn("quote \" backslash \\ newline \n tab \t bad \xFF end");
    spdlog::debug("not at this level");
    const std::string out = testing::internal::GetCapturedStderr();
    ASSERT_EQ(std::count(out.begin(), out.end(), '\n'), 1) << out;
    const auto line = nlohmann::json::parse(out);
    EXPECT_EQ(line["level"], "warning");
    EXPECT_EQ(line["message"], "quote \" backslash \\ newline \n tab \t bad \xEF\xBF\xBD end");
    EXPECT_EQ(line["time"].get<std::string>().size(), std::string("2026-11-23T10:00:00.000Z").size());
}

}  // namespace
}  // namespace apikey
