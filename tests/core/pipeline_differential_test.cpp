// The pipeline against plain hiredis: 10⁴ random reply streams, cut at random places, whole and damaged.
#include <random>

#include "tests/core/reply_streams.hpp"

namespace apikey::test {
namespace {

using Random = std::mt19937;

constexpr int kStreams = 10'000;

// Hazards: R13
TEST(PipelineDifferential, AgreesWithHiredisOnWhatIsWhole) {
    Random random(15);
    for (int i = 0; i < kStreams; ++i) {
        const std::string stream = random_stream(random);
        ASSERT_EQ(from_pipeline(stream, random), from_hiredis(stream)) << testing::PrintToString(stream);
    }
}

// On damaged streams it may refuse earlier, but never reads something else.
// Hazards: R12
TEST(PipelineDifferential, IsNeverMoreLenientThanHiredis) {
    Random random(16);
    int refused = 0;
    for (int i = 0; i < kStreams; ++i) {
        std::string stream = random_stream(random);
        for (auto changes = 1 + random() % 3; changes > 0; --changes) {
            const std::size_t at = random() % stream.size();
            const auto how = random() % 3;
            if (how == 0) stream[at] = static_cast<char>(random());
            if (how == 1) stream.insert(at, 1, "\r\n$*+-:019"[random() % 10]);
            if (how == 2) stream.erase(at, 1);
            if (stream.empty()) stream = "+";
        }
        Replies ours = from_pipeline(stream, random);
        const Replies theirs = from_hiredis(stream);
        const std::string shown = testing::PrintToString(stream);
        if (ours.empty() || ours.back() != "failed") {
            ASSERT_EQ(ours, theirs) << shown;
            continue;
        }
        ++refused;
        ours.pop_back();
        ASSERT_LE(ours.size(), theirs.size()) << shown;
        for (std::size_t n = 0; n < ours.size(); ++n)
            ASSERT_EQ(ours[n], theirs[n]) << shown;
    }
    EXPECT_GT(refused, kStreams / 4) << "the streams are hardly damaged";
}

}  // namespace
}  // namespace apikey::test
