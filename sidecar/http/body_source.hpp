// The body of a request as it comes (hazards X13, X17).
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstdint>
#include <optional>
#include <vector>

#include "sidecar/byte_stream.hpp"
#include "sidecar/http/timed_stream.hpp"

namespace apikey::http {

using RequestParser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;

class BodySource : public ByteSource {
  public:
    // `buffer` holds what was read beyond the header, `parser` has read that. More than `most` bytes are refused (413), and so are
    // `idle` without a byte (408) and an end elsewhere than after `declared` bytes (400).
    BodySource(TimedStream& stream, boost::beast::flat_buffer& buffer, RequestParser& parser, std::uint64_t most,
               std::optional<std::uint64_t> declared, TimedStream::Milliseconds idle);

    // Throws Refused, ClientGone, Stopped.
    std::string_view read() override;

  private:
    std::size_t parse();
    void fill();
    void count(std::size_t bytes);

    TimedStream& stream_;
    boost::beast::flat_buffer& buffer_;
    RequestParser& parser_;
    std::uint64_t most_;
    std::optional<std::uint64_t> declared_;
    TimedStream::Milliseconds idle_;
    std::uint64_t total_ = 0;
    std::vector<char> piece_;
};

// 413.
[[noreturn]] void refuse_as_too_large(std::uint64_t most);

}  // namespace apikey::http
