// A worker's subscription: what it hears is in the bytes, in the form of a change, in their order, and the same however they are
// cut. Messages of every kind, PINGs and any bytes, as the input chooses.
#include "core/redis/change.hpp"
#include "tests/core/subscription_fixture.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace apikey::test {
namespace {

constexpr int kPings = 4;

struct Told {
    bool lasted = true;
    std::vector<std::string> changes;
    std::uint64_t malformed = 0;
    std::uint64_t answered = 0;
    std::string why;

    bool operator==(const Told&) const = default;
};

// Pieces of `length` bytes.
Told tell(std::string_view bytes, std::size_t length) {
    Subscriber t;
    t.connect();
    for (int n = 0; n < kPings; ++n)
        t.session.ping(t.now);
    Told told;
    for (std::size_t at = 0; at < bytes.size() && told.lasted; at += length) {
        told.lasted = t.feed(Exact(bytes.substr(at, length)));
        std::vector<redis::Change> changes;
        t.session.take_changes(changes);
        for (const redis::Change& change : changes)
            told.changes.push_back(redis::format_change(change.key ? to_hex_string(*change.key) : "", change.receipt));
    }
    told.malformed = t.session.take_malformed();
    told.answered = t.session.answered().number;
    told.why = t.session.why();
    EXPECT_EQ(told.lasted, told.why.empty());
    EXPECT_LE(told.answered, t.session.last_ping());
    return told;
}

// What a Redis may send, or any bytes. `changes`: what of it is a change.
std::string draw_stream(FuzzedDataProvider& data, std::vector<std::string>& changes, bool& proper) {
    std::string stream;
    std::uint64_t pong_number = 2;  // the first was answered
    while (data.remaining_bytes() > 0) {
        const auto receipt = data.ConsumeIntegral<std::uint64_t>() >> (data.ConsumeIntegral<std::uint8_t>() % 64);
        const std::string change = redis::format_change(
            data.ConsumeBool() ? "" : to_hex_string(digest_of(data.ConsumeIntegral<std::uint8_t>())), receipt);
        switch (data.ConsumeIntegralInRange(0, 7)) {
            case 0:
                if (pong_number < 2 + kPings) stream += pong(pong_number++);
                break;
            case 1:
                stream += data.ConsumeRandomLengthString(60);
                proper = false;
                break;
            case 2:
                stream += message(data.ConsumeRandomLengthString(100));
                proper = false;
                break;
            case 3: stream += message(change, "other:changed"); break;
            case 4: {
                std::string damaged = message(change);
                damaged[data.ConsumeIntegralInRange<std::size_t>(0, damaged.size() - 1)] = data.ConsumeIntegral<char>();
                stream += damaged;
                proper = false;
                break;
            }
            default: stream += message(change); changes.push_back(change);
        }
    }
    return stream;
}

// Anybody's payload: what reads as one says no more than it.
void check_words(const std::string& payload) {
    const Exact exact(payload);
    if (const auto change = redis::parse_change(exact)) {
        const std::string text = redis::format_change(change->key ? to_hex_string(*change->key) : "", change->receipt);
        const auto again = redis::parse_change(text);
        ASSERT_TRUE(again && again->key == change->key && again->receipt == change->receipt);
        EXPECT_EQ(payload.substr(0, payload.find(' ')), text.substr(0, text.find(' ')));
    }
    if (const auto confirmation = redis::parse_confirmation(exact)) {
        EXPECT_NE(confirmation->receipt, redis::kNobodyWaits);
        const std::string text = redis::format_confirmation(confirmation->worker, confirmation->receipt);
        EXPECT_EQ(payload.substr(0, payload.find(' ')), text.substr(0, text.find(' ')));
    }
    const std::string worker = redis::worker_name(payload, payload.size(), payload.size());
    EXPECT_LE(worker.size(), redis::kMaxWorkerBytes);
    const std::string confirmed = redis::format_confirmation(worker, 7);
    const auto confirmation = redis::parse_confirmation(confirmed);
    ASSERT_TRUE(confirmation && confirmation->worker == worker && confirmation->receipt == 7);
}

}  // namespace
}  // namespace apikey::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace apikey::test;
    FuzzedDataProvider data(bytes, size);
    const auto length = data.ConsumeIntegralInRange<std::size_t>(1, 200);
    check_words(data.ConsumeRandomLengthString(150));
    std::vector<std::string> changes;
    bool proper = true;
    const std::string stream = draw_stream(data, changes, proper);
    const Told told = tell(stream, length);
    EXPECT_TRUE(told == tell(stream, stream.size() + 1)) << told.why;
    if (proper) EXPECT_TRUE(told.lasted && told.changes == changes) << told.why;
    for (const std::string& change : told.changes)
        EXPECT_NE(stream.find(change.substr(0, change.find(' ') + 1)), std::string::npos) << change;
    return 0;
}
