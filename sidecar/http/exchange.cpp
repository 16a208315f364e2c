#include "sidecar/http/exchange.hpp"

#include <algorithm>
#include <boost/asio/write.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/span_body.hpp>
#include <boost/beast/http/write.hpp>

#include "sidecar/weather.hpp"

namespace apikey::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;

using Empty = beast::http::response<beast::http::empty_body>;

boost::core::string_view view(std::string_view text) {
    return {text.data(), text.size()};
}

std::string_view view_of(boost::core::string_view text) {
    return {text.data(), text.size()};
}

template <class Message>
void set_header(Message& message, int status, std::string_view type, const Fields& fields, bool keep_alive) {
    message.version(11);
    message.result(static_cast<unsigned>(status));
    message.set(beast::http::field::content_type, view(type));
    for (const auto& [name, value] : fields)
        message.set(view(name), view(value));
    message.keep_alive(keep_alive);
}

}  // namespace

Exchange::Exchange(TimedStream& stream, beast::flat_buffer& buffer, RequestParser& parser, const Limits& limits,
                   bool closes)
    : stream_(stream), buffer_(buffer), parser_(parser), limits_(limits), closes_(closes) {
    stream_.forget_writing();
}

std::string_view Exchange::method() const {
    return view_of(parser_.get().method_string());
}

std::string_view Exchange::path() const {
    const std::string_view target = view_of(parser_.get().target());
    return target.substr(0, target.find('?'));
}

std::string_view Exchange::query() const {
    const std::string_view target = view_of(parser_.get().target());
    const std::size_t mark = target.find('?');
    return mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
}

std::optional<std::string_view> Exchange::field(std::string_view name) const {
    const auto [begin, end] = parser_.get().equal_range(view(name));
    if (begin == end) return std::nullopt;
    if (std::next(begin) != end) throw Refused(bad_request("The header field " + std::string(name) + " stands twice."));
    return view_of(begin->value());
}

bool Exchange::is_head() const {
    return parser_.get().method() == beast::http::verb::head;
}

ByteSource& Exchange::body(std::uint64_t most, std::optional<std::uint64_t> declared) {
    return body_.emplace(stream_, buffer_, parser_, most, declared, limits_.body_idle);
}

bool Exchange::keeps_connection() const {
    return answered_ && !closes_ && parser_.is_done() && parser_.get().keep_alive();
}

void Exchange::answer(const Answer& answer) {
    begun_ = true;
    closes_ = closes_ || !parser_.is_done() || !parser_.get().keep_alive();
    if (is_head()) {
        Empty message;
        set_header(message, answer.status, answer.type, answer.fields, !closes_);
        message.content_length(answer.body.size());
        send_message(message);
    } else {
        beast::http::response<beast::http::span_body<const char>> message;
        set_header(message, answer.status, answer.type, answer.fields, !closes_);
        message.body() = {answer.body.data(), answer.body.size()};
        message.content_length(answer.body.size());
        send_message(message);
    }
    answered_ = true;
}

ByteSink& Exchange::stream(std::string type) {
    type_ = std::move(type);
    return *this;
}

void Exchange::begin_stream() {
    begun_ = true;
    closes_ = closes_ || !parser_.is_done() || !parser_.get().keep_alive();
    Empty message;
    set_header(message, 200, type_, {}, !closes_);
    message.chunked(true);
    beast::http::response_serializer<beast::http::empty_body> serializer(message);
    error_code error;
    beast::http::write_header(stream_, serializer, error);
    if (error) fail(error);
    if (!is_head()) return;
    answered_ = true;
    throw HeaderWasEnough();
}

// An empty piece would be a chunk that says: this was all.
void Exchange::write(std::string_view bytes) {
    if (bytes.empty()) return;
    if (!begun_) begin_stream();
    send(beast::http::make_chunk(asio::const_buffer(bytes.data(), bytes.size())));
    bytes_ += bytes.size();
}

void Exchange::end_stream() {
    if (!begun_) begin_stream();
    send(beast::http::make_chunk_last());
    answered_ = true;
}

template <class Buffers>
void Exchange::send(const Buffers& buffers) {
    error_code error;
    asio::write(stream_, buffers, error);
    if (error) fail(error);
}

template <class Message>
void Exchange::send_message(Message& message) {
    beast::http::serializer<false, typename Message::body_type> serializer(message);
    error_code error;
    if (is_head()) {
        beast::http::write_header(stream_, serializer, error);
    } else {
        beast::http::write(stream_, serializer, error);
    }
    if (error) fail(error);
}

void Exchange::fail(const error_code& error) const {
    if (error == asio::error::operation_aborted) throw Stopped();
    if (error == asio::error::timed_out) throw ClientStalled("the client takes too little of the answer");
    throw ClientGone("while the answer was written: " + error.message());
}

}  // namespace apikey::http
