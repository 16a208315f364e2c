// Replies of Redis as the pipeline reads them, against plain hiredis and against the protocol by its letter: what is whole is read
// the same however it is cut, what is damaged is never read as something else, and none of it costs more than the limits say. The last bytes choose; the rest is
// the stream, or says how to make one.
#include "core/redis/pipeline.hpp"

#include <sanitizer/allocator_interface.h>

#include "tests/core/reply_streams.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/fuzz/strict_replies.hpp"

namespace apikey::test {
namespace {

constexpr redis::Pipeline::Limits kNarrow{.unparsed_bytes = 8192, .reply_bytes = 32768, .reply_nodes = 16};
constexpr std::size_t kSlice = 4096;  // both as in LookupSession
constexpr std::size_t kMostMemory = std::size_t{64} * 1024;

// What the protocol's letter has is read, and nothing behind the first damage.
void check_letter(const std::string& stream, const Replies& ours, bool failed) {
    const StrictReplies strict(stream);
    if (strict.end == StrictReplies::End::unclear) return;
    if (strict.end == StrictReplies::End::whole) {
        EXPECT_EQ(ours, strict.replies);
        EXPECT_FALSE(failed);
    }
    ASSERT_LE(ours.size(), strict.replies.size()) << "it read what is damaged";
}

// It may refuse earlier than hiredis.
void check_damaged(const std::string& stream, FuzzedDraw& draw) {
    Replies ours = from_pipeline(stream, draw);
    const Replies theirs = from_hiredis(stream);
    const bool failed = !ours.empty() && ours.back() == "failed";
    if (failed) ours.pop_back();
    check_letter(stream, ours, failed);
    if (!failed) {
        EXPECT_EQ(ours, theirs);
        return;
    }
    ASSERT_LE(ours.size(), theirs.size());
    for (std::size_t n = 0; n < ours.size(); ++n)
        ASSERT_EQ(ours[n], theirs[n]);
    auto all_at_once = [](std::uint32_t = 0) { return ~std::uint32_t{0}; };
    Replies again = from_pipeline(stream, all_at_once);
    ours.emplace_back("failed");
    EXPECT_EQ(again, ours) << "cut elsewhere it is another";
}

void check_memory(const std::string& stream, std::size_t times) {
    const std::size_t before = __sanitizer_get_current_allocated_bytes();
    redis::Pipeline pipeline(kNarrow);
    std::string all;
    for (std::size_t n = 0; n < times; ++n)
        all += stream;
    const std::size_t own = all.capacity();
    redis::Pipeline::Answer answer;
    for (std::size_t at = 0; at < all.size(); at += kSlice) {
        pipeline.feed(std::string_view(all).substr(at, kSlice));
        redis::Pipeline::Next next{};
        do {
            if (pipeline.outstanding() == 0) pipeline.expect(0);
            next = pipeline.next(&answer);
        } while (next == redis::Pipeline::Next::answer);
        ASSERT_LE(__sanitizer_get_current_allocated_bytes(), before + own + kMostMemory);
        if (next == redis::Pipeline::Next::failed) return;
    }
}

}  // namespace
}  // namespace apikey::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace apikey::test;
    FuzzedDataProvider data(bytes, size);
    FuzzedDraw draw(data);
    const bool whole = data.ConsumeBool();
    const auto times = data.ConsumeIntegralInRange<std::size_t>(1, 40);
    if (whole) {
        const std::string stream = random_stream(draw);
        EXPECT_EQ(from_pipeline(stream, draw), from_hiredis(stream));
        return 0;
    }
    const auto cuts = data.ConsumeIntegralInRange<std::size_t>(0, 32);  // bytes that say where
    const std::string stream =
        data.ConsumeBytesAsString(data.remaining_bytes() - std::min(cuts, data.remaining_bytes()));
    check_damaged(stream, draw);
    check_memory(stream, times);
    return 0;
}
