#include "core/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace apikey {
namespace {

using testing::HasSubstr;

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

TEST(DurationHistogram, CountsIntoTheFirstBucketThatHolds) {
    DurationHistogram durations{};
    for (const std::int64_t microseconds : {-1, 0, 100, 101, 250, 1000000, 1000001})
        durations.add(microseconds);
    EXPECT_EQ(durations.buckets[0], 3U);
    EXPECT_EQ(durations.buckets[1], 2U);
    EXPECT_EQ(durations.buckets[11], 1U);
    EXPECT_EQ(durations.buckets[12], 1U);
    EXPECT_EQ(durations.sum_microseconds, 2000452U);
}

TEST(Metrics, BucketsCountAllBelowThem) {
    Counters counters{};
    counters.lookup_time.add(50);
    counters.lookup_time.add(300);
    counters.lookup_time.add(5000000);
    const std::string text = metrics_text(counters, {});
    EXPECT_THAT(text, HasSubstr("lookup_duration_seconds_bucket{le=\"0.0001\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("lookup_duration_seconds_bucket{le=\"0.0005\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("lookup_duration_seconds_bucket{le=\"1\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("lookup_duration_seconds_bucket{le=\"+Inf\"} 3\n"));
    EXPECT_THAT(text, HasSubstr("lookup_duration_seconds_sum 5.00035\n"));
    EXPECT_THAT(text, HasSubstr("lookup_duration_seconds_count 3\n"));
}

// Every number has its own place: a page of different numbers shows each of them once.
TEST(Metrics, ShowsEveryCounter) {
    Counters counters{};
    std::array<std::uint64_t, sizeof(Counters) / sizeof(std::uint64_t)> words{};
    for (std::size_t i = 0; i < words.size(); ++i)
        words[i] = 1000003 * (i + 1);
    std::memcpy(&counters, words.data(), sizeof(counters));
    const std::string text = metrics_text(counters, {});
    const auto shown = [&](std::uint64_t value) { return text.find(" " + std::to_string(value) + "\n") != text.npos; };
    for (const std::uint64_t value : counters.requests)
        EXPECT_TRUE(shown(value));
    for (const CacheUse use : {CacheUse::hit, CacheUse::miss, CacheUse::stale, CacheUse::negative})
        EXPECT_TRUE(shown(counters.cache_requests[static_cast<std::size_t>(use)])) << cache_use_name(use);
    for (const std::uint64_t value :
         {counters.cache_too_long,         counters.lookups_found,     counters.lookups_unknown,
          counters.lookups_unavailable,    counters.lookups_joined,    counters.pairing_mismatches,
          counters.corrupt_keys,           counters.untrusted_batches, counters.link_failures,
          counters.subscription_failures,  counters.changes,           counters.changes_of_all,
          counters.changes_malformed,      counters.cache_flushes,     counters.confirmations,
          counters.confirmations_refused,  counters.gauges.parked,     counters.gauges.link_up,
          counters.gauges.subscription_up, counters.gauges.workers,    counters.gauges.watching})
        EXPECT_TRUE(shown(value)) << value;
}

TEST(Metrics, EveryFamilyHasHelpAndTypeAndNoSampleComesTwice) {
    std::set<std::string> samples;
    std::string family;
    for (const std::string& line : lines_of(metrics_text(Counters{}, {}))) {
        if (line.starts_with("# HELP ")) {
            family = line.substr(7, line.find(' ', 7) - 7);
        } else if (line.starts_with("# TYPE ")) {
            EXPECT_TRUE(line.starts_with("# TYPE " + family + " ")) << line;
        } else {
            EXPECT_TRUE(line.starts_with(family)) << line;
            EXPECT_TRUE(samples.insert(line.substr(0, line.rfind(' '))).second) << line;
        }
    }
    EXPECT_GT(samples.size(), 50U);
}

}  // namespace
}  // namespace apikey
