// Requests over a connection: what is answered, when it goes on, and what the client sees of an answer that was not finished.
#include "sidecar/http/connection.hpp"

#include <gmock/gmock.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <tuple>

#include "sidecar/weather.hpp"
#include "tests/sidecar/http_pair.hpp"

namespace apikey::http {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kGet = "GET /a?b=c HTTP/1.1\r\nX: y\r\n\r\n";
constexpr const char* kEnd = "\r\n0\r\n\r\n";

Limits short_limits() {
    Limits limits;
    limits.header = milliseconds(200);
    limits.idle = milliseconds(200);
    limits.body_idle = milliseconds(200);
    limits.linger = milliseconds(300);
    return limits;
}

// What the client hears that says `request`, and hangs up or not.
std::string answer_to(Pair& pair, std::string_view request, const Handler& handle) {
    const Limits limits = short_limits();
    pair.say(request);
    std::string heard;
    std::thread client([&] { heard = pair.hear(); });
    serve(pair.stream, {handle, limits, pair.stop, [] { return true; }, [] { return true; }});
    pair.stream.shut_down_writing();
    client.join();
    return heard;
}

std::string answer_to(std::string_view request, const Handler& handle) {
    Pair pair;
    return answer_to(pair, request, handle);
}

void say_yes(Exchange& exchange) {
    exchange.answer({200, "text/plain", "yes", {}});
}

int count(const std::string& text, std::string_view what) {
    int found = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
        ++found;
    return found;
}

TEST(HttpConnection, TheHandlerSeesTheRequest) {
    const std::string heard = answer_to(kGet, [](Exchange& exchange) {
        EXPECT_EQ(exchange.method(), "GET");
        EXPECT_EQ(exchange.path(), "/a");
        EXPECT_EQ(exchange.query(), "b=c");
        EXPECT_EQ(exchange.field("x"), "y");
        EXPECT_EQ(exchange.field("z"), std::nullopt);
        EXPECT_FALSE(exchange.has_body());
        say_yes(exchange);
    });
    EXPECT_THAT(heard, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(heard, HasSubstr("Content-Length: 3\r\n"));
    EXPECT_THAT(heard, EndsWith("\r\n\r\nyes"));
}

TEST(HttpConnection, TakesOneRequestAfterTheOther) {
    const std::string three = std::string(kGet) + kGet + "GET / HTTP/1.1\r\nConnection: close\r\n\r\n" + kGet;
    EXPECT_EQ(count(answer_to(three, say_yes), "yes"), 3) << "the last one comes after the end";
}

TEST(HttpConnection, StopsTakingThem) {
    Pair pair;
    const std::string heard = answer_to(pair, std::string(kGet) + kGet, [&](Exchange& exchange) {
        pair.stop.set();
        say_yes(exchange);
    });
    EXPECT_EQ(count(heard, "yes"), 1);
}

// Hazards: S14, S15
TEST(HttpConnection, AStreamEndsOnlyWhenItIsWhole) {
    const std::string whole = answer_to(kGet, [](Exchange& exchange) {
        ByteSink& sink = exchange.stream("text/csv");
        EXPECT_FALSE(exchange.has_begun());
        sink.write("");
        EXPECT_FALSE(exchange.has_begun()) << "the header goes with the first byte";
        sink.write("one");
        EXPECT_TRUE(exchange.has_begun());
        sink.write("");
        sink.write("two");
        exchange.end_stream();
        EXPECT_EQ(exchange.bytes_written(), 6u);
    });
    EXPECT_THAT(whole, HasSubstr("Transfer-Encoding: chunked\r\n"));
    EXPECT_THAT(whole, EndsWith("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"));
    for (const auto& fail : std::vector<std::function<void()>>{
             [] { throw std::runtime_error("x"); }, [] { throw std::bad_alloc(); }, [] { throw Stopped(); },
             [] { throw Refused(internal_error()); }, [] { throw ClientGone("x"); }, [] { throw 1; }, [] {}}) {
        const std::string cut = answer_to(std::string(kGet) + kGet, [&](Exchange& exchange) {
            exchange.stream("text/csv").write("one");
            fail();
        });
        EXPECT_THAT(cut, EndsWith("\r\n\r\n3\r\none\r\n")) << "no end, no other answer, no further request";
    }
}

TEST(HttpConnection, AnEmptyStreamIsWholeToo) {
    EXPECT_THAT(answer_to(kGet,
                          [](Exchange& exchange) {
                              exchange.stream("text/csv");
                              exchange.end_stream();
                          }),
                EndsWith("\r\n\r\n0\r\n\r\n"));
}

TEST(HttpConnection, HeadHasTheSameHeaderAndNoBody) {
    const std::string heard = answer_to("HEAD / HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\n", [](Exchange& exchange) {
        exchange.stream("text/csv").write("one");
        ADD_FAILURE() << "nothing more is wanted";
    });
    EXPECT_EQ(count(heard, "Transfer-Encoding: chunked\r\n"), 2) << "the connection goes on";
    EXPECT_THAT(heard, EndsWith("\r\n\r\n"));
    EXPECT_THAT(heard, Not(HasSubstr("one")));
    EXPECT_THAT(answer_to("HEAD / HTTP/1.1\r\n\r\n", say_yes), EndsWith("Content-Length: 3\r\n\r\n"));
}

// Hazards: S14, S15
TEST(HttpConnection, WhateverIsThrownIsAnswered) {
    const auto status = [](auto fail) { return answer_to(std::string(kGet), [&](Exchange&) { fail(); }).substr(9, 3); };
    EXPECT_EQ(status([] { throw std::runtime_error("secret"); }), "500");
    EXPECT_EQ(status([] { throw 1; }), "500");
    EXPECT_EQ(status([] {}), "500") << "no answer at all";
    EXPECT_EQ(status([] { throw std::bad_alloc(); }), "503");
    EXPECT_EQ(status([] { throw Stopped(); }), "503");
    EXPECT_EQ(status([] { throw Refused(bad_request("no")); }), "400");
    EXPECT_THAT(answer_to(kGet, [](Exchange&) { throw std::runtime_error("SELECT secret"); }),
                Not(HasSubstr("SELECT")));
    EXPECT_EQ(count(answer_to(std::string(kGet) + kGet, [](Exchange&) { throw std::runtime_error("x"); }), " 500 "), 2)
        << "the connection goes on";
}

// Hazards: S15
TEST(HttpConnection, WhatIsThrownIsLogged) {
    std::ostringstream log;
    const auto before = spdlog::default_logger();
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
    answer_to(kGet, [](Exchange&) { throw std::runtime_error("what happened"); });
    answer_to(kGet, [](Exchange&) { throw 1; });
    answer_to(kGet, [](Exchange&) { throw std::bad_alloc(); });
    answer_to(kGet, [](Exchange&) { throw ClientGone("no fault of ours"); });
    spdlog::set_default_logger(before);
    EXPECT_THAT(log.str(), HasSubstr("http: a request failed: what happened"));
    EXPECT_THAT(log.str(), HasSubstr("http: a request failed for an unknown reason"));
    EXPECT_THAT(log.str(), HasSubstr("http: no memory for a request"));
    EXPECT_THAT(log.str(), Not(HasSubstr("no fault of ours")));
}

TEST(HttpConnection, RefusesWhatIsNoRequest) {
    EXPECT_THAT(answer_to("hello\r\n\r\n", say_yes), StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(answer_to("GET / HTTP/1.0\r\n\r\n", say_yes), StartsWith("HTTP/1.1 505 "));
    EXPECT_THAT(answer_to("GET / HTTP/1.1\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n", say_yes),
                StartsWith("HTTP/1.1 431 "));
    EXPECT_THAT(answer_to("GET / HTTP/1.1\r\nX: ", say_yes), StartsWith("HTTP/1.1 408 "));
    EXPECT_EQ(answer_to("", say_yes), "") << "idle for too long";
    EXPECT_THAT(
        answer_to("GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", say_yes),
        StartsWith("HTTP/1.1 400 "));
    const Handler twice = [](Exchange& exchange) {
        std::ignore = exchange.field("x");
        say_yes(exchange);
    };
    EXPECT_THAT(answer_to("GET / HTTP/1.1\r\nX: 1\r\nx: 2\r\n\r\n", twice), StartsWith("HTTP/1.1 400 "));
}

// Reads the body, of at most 10 bytes, and answers with it.
void echo(Exchange& exchange) {
    const auto declared = exchange.field("Declared");
    ByteSource& source =
        exchange.body(10, declared ? std::optional<std::uint64_t>(std::stoull(std::string(*declared))) : std::nullopt);
    std::string body;
    for (auto piece = source.read(); !piece.empty(); piece = source.read())
        body += piece;
    EXPECT_TRUE(source.read().empty());
    exchange.answer({200, "text/plain", "<" + body + ">", {}});
}

TEST(HttpBody, ComesInPieces) {
    const std::string chunks = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    EXPECT_THAT(answer_to(chunks, echo), EndsWith("<abc>"));
    EXPECT_EQ(count(answer_to(chunks + chunks, echo), "<abc>"), 2) << "the connection goes on";
    EXPECT_THAT(answer_to("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789", echo), EndsWith("<0123456789>"));
    EXPECT_THAT(answer_to("POST / HTTP/1.1\r\n\r\n", echo), EndsWith("<>"));
    EXPECT_THAT(answer_to("POST / HTTP/1.1\r\nDeclared: 2\r\nContent-Length: 2\r\n\r\nab", echo), EndsWith("<ab>"));
}

TEST(HttpBody, HasLimits) {
    const std::string post = "POST / HTTP/1.1\r\n";
    const std::string chunked = post + "Transfer-Encoding: chunked\r\n";
    EXPECT_THAT(answer_to(post + "Content-Length: 11\r\n\r\n", echo), StartsWith("HTTP/1.1 413 ")) << "at once";
    EXPECT_THAT(answer_to(chunked + "Declared: 11\r\n\r\n", echo), StartsWith("HTTP/1.1 413 ")) << "at once";
    EXPECT_THAT(answer_to(chunked + "\r\n6\r\n012345\r\n6\r\n012345\r\n", echo), StartsWith("HTTP/1.1 413 "));
    EXPECT_THAT(answer_to(chunked + "\r\n6\r\n012", echo), StartsWith("HTTP/1.1 408 "));
    EXPECT_THAT(answer_to(chunked + "\r\nx\r\n", echo), StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(answer_to(chunked + "Declared: 3\r\n\r\n2\r\nab\r\n0\r\n\r\n", echo), StartsWith("HTTP/1.1 400 "));
}

// The client writes on after an answer that did not wait for it: neither an error, nor for ever.
TEST(HttpBody, WhatIsLeftIsThrownAway) {
    Pair pair;
    const Limits limits = short_limits();
    const Handler refuse = [](Exchange&) { throw Refused(bad_request("no")); };
    pair.say("POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
    std::thread server([&] {
        EXPECT_LE(
            time_of([&] { serve(pair.stream, {refuse, limits, pair.stop, [] { return true; }, [] { return true; }}); }),
            milliseconds(5'000));
    });
    const std::string heard = pair.hear();
    EXPECT_THAT(heard, StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(heard, HasSubstr("Connection: close\r\n"));
    pair.say(std::string(100'000, 'x'));
    server.join();
}

TEST(HttpBody, AClientThatLeavesIsNotAnEnd) {
    Pair pair;
    const Limits limits = short_limits();
    pair.say("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    shutdown(pair.client, SHUT_WR);
    bool gone = false;
    const Handler handle = [&](Exchange& exchange) {
        ByteSource& source = exchange.body(10, std::nullopt);
        try {
            while (!source.read().empty()) {
            }
        } catch (const ClientGone&) {
            gone = true;
            throw;
        }
    };
    serve(pair.stream, {handle, limits, pair.stop, [] { return true; }, [] { return true; }});
    EXPECT_TRUE(gone);
}

}  // namespace
}  // namespace apikey::http
