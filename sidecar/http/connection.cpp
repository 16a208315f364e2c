#include "sidecar/http/connection.hpp"

#include <spdlog/spdlog.h>

#include <array>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <new>

#include "sidecar/weather.hpp"

namespace apikey::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;

using Clock = TimedStream::Clock;

// Where there is no memory for any other.
constexpr std::string_view kNoMemory =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: 166\r\n"
    "Retry-After: 5\r\nConnection: close\r\n\r\n"
    R"({"type":"urn:nginx-api-key:problem:service_unavailable","title":"Not available now",)"
    R"("status":503,"code":"service_unavailable","detail":"apikeyd has no memory left."})"
    "\n";
static_assert(kNoMemory.size() - kNoMemory.find("\r\n\r\n") - 4 == 166);

// The other side reads the answer, and may still be writing: that is thrown away until it has done so, too.
void linger(TimedStream& stream, TimedStream::Milliseconds most) {
    stream.shut_down_writing();
    stream.read_within(most);
    std::array<char, std::size_t{16} * 1024> thrown_away;
    error_code error;
    while (!error)
        stream.read_some(asio::buffer(thrown_away), error);
}

// What is wrong with a header that cannot be read; nothing: nobody is there to be told.
std::optional<Answer> answer_to(const error_code& error) {
    if (error == asio::error::timed_out)
        return problem(408, "request_timeout", "The header came too slowly", "The header must come within 10 s.");
    if (error == beast::http::error::header_limit || error == beast::http::error::buffer_overflow)
        return problem(431, "header_too_large", "Header too large", "The header has more than 64 KiB.");
    if (error == beast::http::error::end_of_stream || error == beast::http::error::partial_message) return std::nullopt;
    if (error.category() == beast::http::make_error_code(beast::http::error::bad_method).category())
        return bad_request("This is no HTTP/1.1 request.");
    return std::nullopt;
}

class Conversation {
  public:
    Conversation(TimedStream& stream, const ConnectionRules& rules)
        : stream_(stream), rules_(rules), buffer_(rules.limits.header_bytes + kMoreThanTheHeader) {}

    // One request. False: the connection ends.
    bool next() {
        if (!rules_.waits()) return false;
        if (buffer_.size() == 0 && !stream_.wait_for_data(rules_.limits.idle, rules_.stop)) return false;
        RequestParser parser;
        parser.header_limit(rules_.limits.header_bytes);
        parser.body_limit(boost::none);
        stream_.read_within(rules_.limits.header);
        error_code error;
        beast::http::read_header(stream_, buffer_, parser, error);
        if (error) return refuse(parser, answer_to(error));
        if (!rules_.works()) return false;
        if (parser.get().version() != 11)
            return refuse(parser, problem(505, "http_version", "HTTP version", "Only HTTP/1.1 is spoken here."));
        return answer(parser);
    }

  private:
    static constexpr std::size_t kMoreThanTheHeader = std::size_t{64} * 1024;
    static constexpr std::size_t kKeptBytes = std::size_t{8} * 1024;  // while it waits for the next request

    bool answer(RequestParser& parser) {
        Exchange exchange(stream_, buffer_, parser, rules_.limits, rules_.stop.is_set());
        if (!answer_request(exchange, stream_, rules_.handle, rules_.limits)) return false;
        if (exchange.has_body()) linger();
        if (buffer_.capacity() > kKeptBytes) buffer_.shrink_to_fit();
        return exchange.keeps_connection() && !rules_.stop.is_set();
    }

    // Meanwhile another connection may take its place.
    void linger() {
        if (rules_.waits())
            http::linger(stream_, rules_.stop.is_set() ? rules_.limits.last_words : rules_.limits.linger);
    }

    bool refuse(RequestParser& parser, const std::optional<Answer>& answer) {
        if (!answer) return false;
        Exchange exchange(stream_, buffer_, parser, rules_.limits, true);
        const Handler handle = [&](Exchange& each) { each.answer(*answer); };
        if (answer_request(exchange, stream_, handle, rules_.limits)) linger();
        return false;
    }

    TimedStream& stream_;
    const ConnectionRules& rules_;
    beast::flat_buffer buffer_;
};

void answer_without_memory(TimedStream& stream) {
    error_code error;
    asio::write(stream, asio::buffer(kNoMemory.data(), kNoMemory.size()), error);
}

// `answer`, where none was begun. False: one was.
bool answer_instead(Exchange& exchange, TimedStream& stream, const Limits& limits, const Answer& answer) {
    if (exchange.has_begun()) return false;
    if (stream.is_cut()) stream.last_words(limits.last_words);
    exchange.answer(answer);
    return true;
}

}  // namespace

bool answer_request(Exchange& exchange, TimedStream& stream, const Handler& handle, const Limits& limits) noexcept {
    try {
        try {
            handle(exchange);
            if (!exchange.is_answered()) throw std::logic_error("the handler gave no answer");
            return true;
        } catch (const HeaderWasEnough&) {
            return exchange.is_answered();
        } catch (const Refused& refused) {
            return answer_instead(exchange, stream, limits, refused.answer());
        } catch (const ClientGone&) {
            return false;
        } catch (const ClientStalled&) {
            return false;
        } catch (const Stopped&) {
            return answer_instead(exchange, stream, limits, unavailable("apikeyd is being stopped."));
        } catch (const std::bad_alloc&) {
            spdlog::error("http: no memory for a request");
            if (!exchange.has_begun()) answer_without_memory(stream);
            return false;
        } catch (const std::exception& error) {
            spdlog::error("http: a request failed: {}", error.what());
        } catch (...) {
            spdlog::error("http: a request failed for an unknown reason");
        }
        return answer_instead(exchange, stream, limits, internal_error());
    } catch (...) {
        return false;  // not even that could be answered: the connection ends
    }
}

void serve(TimedStream& stream, const ConnectionRules& rules) noexcept {
    try {
        Conversation conversation(stream, rules);
        while (conversation.next()) {
        }
    } catch (const std::exception& error) {
        spdlog::error("http: a connection failed: {}", error.what());
    } catch (...) {
        spdlog::error("http: a connection failed for an unknown reason");
    }
}

}  // namespace apikey::http
