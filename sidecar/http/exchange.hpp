// One request, and its one answer.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/byte_stream.hpp"
#include "sidecar/http/answer.hpp"
#include "sidecar/http/body_source.hpp"
#include "sidecar/http/limits.hpp"
#include "sidecar/http/timed_stream.hpp"

namespace apikey::http {

class Exchange : private ByteSink {
  public:
    // All must outlive it. `parser` has read the header, `buffer` holds what was received after it. `closes`: the connection ends
    // with this answer.
    Exchange(TimedStream& stream, boost::beast::flat_buffer& buffer, RequestParser& parser, const Limits& limits,
             bool closes);

    [[nodiscard]] std::string_view method() const;
    [[nodiscard]] std::string_view path() const;
    [[nodiscard]] std::string_view query() const;  // without its "?"; empty: none
    // Nothing when it is not there. Throws Refused (400) when it stands twice.
    [[nodiscard]] std::optional<std::string_view> field(std::string_view name) const;
    [[nodiscard]] bool has_body() const { return !parser_.is_done(); }
    // For poll(2): it hangs up when the client has gone.
    [[nodiscard]] int socket() const noexcept { return stream_.fd(); }

    // The body; to be asked for once. `declared`: how long the client says it is. Throws Refused (413) when that is more than `most`.
    ByteSource& body(std::uint64_t most, std::optional<std::uint64_t> declared);

    // The whole answer at once. Throws ClientGone, ClientStalled, Stopped.
    void answer(const Answer& answer);
    // Or in pieces: what is written to the sink. Its header goes with the first byte, so that until then another answer can be given;
    // the end is marked by end_stream() alone: without it the connection breaks off, which shows the client that something is
    // missing. The sink throws the same, and HeaderWasEnough.
    ByteSink& stream(std::string type);
    void end_stream();

    // The header of the answer is under way: it can no longer be another one.
    [[nodiscard]] bool has_begun() const noexcept { return begun_; }
    [[nodiscard]] bool is_answered() const noexcept { return answered_; }
    // The connection can take another request.
    [[nodiscard]] bool keeps_connection() const;
    [[nodiscard]] std::uint64_t bytes_written() const noexcept { return bytes_; }

  private:
    void write(std::string_view bytes) override;
    void begin_stream();
    template <class Buffers>
    void send(const Buffers& buffers);
    template <class Message>
    void send_message(Message& message);
    [[noreturn]] void fail(const error_code& error) const;
    [[nodiscard]] bool is_head() const;

    TimedStream& stream_;
    boost::beast::flat_buffer& buffer_;
    RequestParser& parser_;
    const Limits& limits_;
    bool closes_;
    std::optional<BodySource> body_;
    std::string type_;  // of the stream
    bool begun_ = false;
    bool answered_ = false;
    std::uint64_t bytes_ = 0;  // of the stream
};

}  // namespace apikey::http
