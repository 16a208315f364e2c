// The log says what became of changes, in a bounded number of lines.
// Hazards: X19
#include "sidecar/change_log.hpp"

#include <gtest/gtest.h>

namespace apikey {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Confirmations::Outcome outcome(std::size_t keys, std::size_t confirmed, std::size_t expected, int took) {
    return {keys, false, confirmed, expected, milliseconds(took), {}};
}

TEST(ChangeLog, OneChangeIsOneLineAtOnce) {
    ChangeLog log;
    const ChangeLog::Time start;
    EXPECT_EQ(log.take_line(start), std::nullopt);
    EXPECT_EQ(log.next_line(), ChangeLog::Time::max());
    log.add(outcome(1, 4, 4, 3));
    EXPECT_LE(log.next_line(), start);
    EXPECT_EQ(log.take_line(start), "1 key changed, in force: 4/4 workers, 3 ms");
    EXPECT_EQ(log.take_line(start), std::nullopt);
}

TEST(ChangeLog, ManyAreSummedUpOnceASecond) {
    ChangeLog log;
    const ChangeLog::Time start;
    log.add(outcome(1, 4, 4, 3));
    EXPECT_TRUE(log.take_line(start));
    for (int i = 0; i < 20; ++i)
        log.add(outcome(500, 4, 4, i));
    EXPECT_EQ(log.take_line(start + milliseconds(999)), std::nullopt);
    EXPECT_EQ(log.next_line(), start + seconds(1));
    EXPECT_EQ(log.take_line(start + seconds(1)),
              "10000 keys changed in 20 batches, in force: 4/4 workers, at most 19 ms");
    EXPECT_EQ(log.next_line(), ChangeLog::Time::max());
}

TEST(ChangeLog, SaysWhenThereIsNobody) {
    ChangeLog log;
    log.add(outcome(2, 0, 0, 0));
    EXPECT_EQ(log.take_line({}), "2 keys changed, in force: no nginx worker is registered, 0 ms");
}

TEST(ChangeLog, SaysThatAnyKeyMayHaveChanged) {
    ChangeLog log;
    log.add({0, true, 2, 2, milliseconds(5), {}});
    EXPECT_EQ(log.take_line({}), "any key may have changed, in force: 2/2 workers, 5 ms");
}

TEST(DescribeLate, SaysHowManyWhichAndWhatBoundsThem) {
    auto late = outcome(3, 2, 3, 1800);
    late.missing = {"web1:17:00112233aabbccdd"};
    EXPECT_EQ(describe_late(late),
              "3 keys changed, not confirmed: 2/3 workers within 1800 ms; 1 worker may go by what it has cached for at "
              "most valid + stale (api_key_cache) of the locations: web1:17:00112233aabbccdd");
}

TEST(DescribeLate, NamesAFewAndNothingThatIsNoName) {
    auto late = outcome(1, 0, 6, 1800);
    late.missing = {"a:1:x", "bad\nline", std::string(200, 'n'), "b:1:x", "c:1:x", "d:1:x"};
    const std::string line = describe_late(late);
    EXPECT_TRUE(line.ends_with(": a:1:x, b:1:x, c:1:x, …")) << line;
    EXPECT_EQ(line.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace apikey
