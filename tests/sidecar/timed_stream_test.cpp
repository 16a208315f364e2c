#include "sidecar/http/timed_stream.hpp"

#include <algorithm>
#include <boost/beast/core/stream_traits.hpp>
#include <string>
#include <vector>

#include "tests/sidecar/http_pair.hpp"

namespace apikey::http {
namespace {

namespace asio = boost::asio;

static_assert(boost::beast::is_sync_stream<TimedStream>::value);

TEST(TimedStream, ReadsWhatIsThere) {
    Pair pair;
    pair.say("hello");
    pair.stream.read_within(milliseconds(1'000));
    std::string text(16, '\0');
    error_code error;
    EXPECT_EQ(pair.stream.read_some(asio::buffer(text), error), 5u);
    EXPECT_FALSE(error);
    pair.hang_up();
    EXPECT_EQ(pair.stream.read_some(asio::buffer(text), error), 0u);
    EXPECT_EQ(error, asio::error::eof);
}

TEST(TimedStream, ReadingEndsAtItsMoment) {
    Pair pair;
    char byte = 0;
    error_code error;
    pair.stream.read_within(milliseconds(100));
    const auto took = time_of([&] { pair.stream.read_some(asio::buffer(&byte, 1), error); });
    EXPECT_EQ(error, asio::error::timed_out);
    EXPECT_GE(took, milliseconds(95));
    pair.say("x");
    pair.stream.read_some(asio::buffer(&byte, 1), error);
    EXPECT_EQ(error, asio::error::timed_out) << "the moment is over, whatever has come since";
}

TEST(TimedStream, CutEndsBoth) {
    Pair pair(milliseconds(60'000));
    std::thread cutter([&] {
        std::this_thread::sleep_for(milliseconds(50));
        pair.cut.set();
    });
    std::vector<char> much(1 << 20);
    error_code error;
    while (!error)
        pair.stream.write_some(asio::buffer(much), error);
    EXPECT_EQ(error, asio::error::operation_aborted);
    cutter.join();
    pair.say("x");
    pair.stream.read_some(asio::buffer(much), error);
    EXPECT_EQ(error, asio::error::operation_aborted) << "also where nothing need be waited for";
    std::thread reader([&] { EXPECT_GT(pair.hear().size(), 0u); });
    pair.stream.last_words(milliseconds(1'000));
    pair.stream.write_some(asio::buffer("bye", 3), error);
    EXPECT_FALSE(error) << "but for last words";
    pair.stream.shut_down_writing();
    reader.join();
}

TEST(TimedStream, WhoTakesTooLittleIsGivenUp) {
    Pair pair(milliseconds(200));
    std::vector<char> much(1 << 20);
    error_code error;
    const auto took = time_of([&] {
        while (!error)
            pair.stream.write_some(asio::buffer(much), error);
    });
    EXPECT_EQ(error, asio::error::timed_out);
    EXPECT_GE(took, milliseconds(195));
    EXPECT_LE(took, milliseconds(5'000));
}

// One byte now and then would let a deadline for each write begin anew.
TEST(TimedStream, AByteNowAndThenIsTooLittle) {
    Pair pair(milliseconds(300));
    int size = 1;
    setsockopt(pair.stream.fd(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    std::atomic<bool> over = false;
    std::thread reader([&] {
        char some[512];
        while (!over && recv(pair.client, some, sizeof some, 0) > 0)
            std::this_thread::sleep_for(milliseconds(20));
    });
    std::vector<char> some(512);
    error_code error;
    const auto took = time_of([&] {
        for (int i = 0; i < 100'000 && !error; ++i)
            pair.stream.write_some(asio::buffer(some), error);
    });
    EXPECT_EQ(error, asio::error::timed_out);
    EXPECT_LE(took, milliseconds(5'000));
    over = true;
    pair.stream.shut_down_writing();
    reader.join();
}

TEST(TimedStream, WhoIsSlowButSteadyIsNot) {
    Pair pair(milliseconds(300));
    std::thread reader([&] {
        std::vector<char> some(64 * 1024);
        while (recv(pair.client, some.data(), some.size(), 0) > 0)
            std::this_thread::sleep_for(milliseconds(20));
    });
    std::vector<char> piece(64 * 1024);
    error_code error;
    for (std::size_t left = std::size_t{3} << 20; left > 0 && !error;)
        left -= std::min(left, pair.stream.write_some(asio::buffer(piece), error));
    EXPECT_FALSE(error) << error.message();
    pair.stream.shut_down_writing();
    reader.join();
}

TEST(TimedStream, WritingToNobodyIsAnError) {
    Pair pair;
    pair.hang_up();
    error_code error;
    EXPECT_EQ(pair.stream.write_some(asio::buffer("x", 1), error), 0u);
    EXPECT_EQ(error.value(), EPIPE);
}

TEST(TimedStream, WaitsForData) {
    Pair pair;
    EXPECT_FALSE(pair.stream.wait_for_data(milliseconds(20), pair.stop));
    pair.stop.set();
    EXPECT_LE(time_of([&] { EXPECT_FALSE(pair.stream.wait_for_data(milliseconds(20'000), pair.stop)); }),
              milliseconds(5'000));
    pair.say("x");
    EXPECT_TRUE(pair.stream.wait_for_data(milliseconds(0), pair.stop));
}

}  // namespace
}  // namespace apikey::http
