#include "sidecar/http/body_source.hpp"

#include <string>

#include "sidecar/http/answer.hpp"
#include "sidecar/weather.hpp"

namespace apikey::http {
namespace {

namespace beast = boost::beast;

constexpr std::size_t kPieceBytes = std::size_t{64} * 1024;

}  // namespace

void refuse_as_too_large(std::uint64_t most) {
    throw Refused(problem(413, "too_large", "Too large",
                          "The body has more than the " + std::to_string(most) +
                              " bytes that are taken here; send it in several parts."));
}

BodySource::BodySource(TimedStream& stream, beast::flat_buffer& buffer, RequestParser& parser, std::uint64_t most,
                       std::optional<std::uint64_t> declared, TimedStream::Milliseconds idle)
    : stream_(stream),
      buffer_(buffer),
      parser_(parser),
      most_(most),
      declared_(declared),
      idle_(idle),
      piece_(kPieceBytes) {
    const auto length = parser_.content_length();
    if ((declared_ && *declared_ > most_) || (length && *length > most_)) refuse_as_too_large(most_);
    parser_.eager(true);
    buffer_.reserve(kPieceBytes);
}

std::string_view BodySource::read() {
    while (!parser_.is_done()) {
        const std::size_t bytes = buffer_.size() > 0 ? parse() : 0;
        count(bytes);
        if (bytes > 0) return {piece_.data(), bytes};
        if (!parser_.is_done()) fill();
    }
    if (declared_ && total_ != *declared_) throw Refused(bad_request("The body has another length than was declared."));
    return {};
}

// How many bytes of the body it found in what was received.
std::size_t BodySource::parse() {
    auto& body = parser_.get().body();
    body.data = piece_.data();
    body.size = piece_.size();
    body.more = true;
    error_code error;
    buffer_.consume(parser_.put(buffer_.data(), error));
    if (error && error != beast::http::error::need_buffer && error != beast::http::error::need_more)
        throw Refused(bad_request("The body is not framed as HTTP/1.1 wants it."));
    return piece_.size() - body.size;
}

void BodySource::fill() {
    stream_.read_within(idle_);
    error_code error;
    buffer_.commit(stream_.read_some(buffer_.prepare(kPieceBytes), error));
    if (!error) return;
    if (error == boost::asio::error::operation_aborted) throw Stopped();
    if (error == boost::asio::error::timed_out) {
        throw Refused(problem(408, "request_timeout", "The body came too slowly",
                              "No byte of the body came for " +
                                  std::to_string(std::chrono::ceil<std::chrono::seconds>(idle_).count()) + " s."));
    }
    throw ClientGone("while its body was read: " + error.message());
}

void BodySource::count(std::size_t bytes) {
    total_ += bytes;
    if (total_ > most_) refuse_as_too_large(most_);
}

}  // namespace apikey::http
