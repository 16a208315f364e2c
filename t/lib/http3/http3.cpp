#include "t/lib/http3/http3.hpp"

namespace {

constexpr StreamId kNextStream = 4;  // RFC 9000 §2.1
constexpr std::size_t kTable = 4096;

// A byte is a code point, as in Python's latin-1.
std::string text_of(Bytes bytes) {
    std::string text;
    for (const std::uint8_t byte : bytes) {
        if (byte < 0x80) {
            text += static_cast<char>(byte);
        } else {
            text += static_cast<char>(0xc0 | byte >> 6);
            text += static_cast<char>(0x80 | (byte & 0x3f));
        }
    }
    return text;
}

std::string text_of(nghttp3_rcbuf* buffer) {
    const nghttp3_vec bytes = nghttp3_rcbuf_get_buf(buffer);
    return text_of(Bytes{bytes.base, bytes.len});
}

std::string text_of(const std::string& bytes) {
    return text_of(Bytes{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

std::uint8_t* bytes_of(std::string& text) {
    return reinterpret_cast<std::uint8_t*>(text.data());
}

}  // namespace

void Http3::connect(std::uint16_t port, const std::optional<Session>& session) {
    quic_ = std::make_unique<Quic>(*this, port, session);
}

// --- requests -----------------------------------------------------------------------------------------------

void Http3::request(Fields fields, std::string body, bool end) {
    Request& request = requests_[next_asked_];
    next_asked_ += kNextStream;
    request.fields = std::move(fields);
    if (!body.empty()) request.body.push_back(std::move(body));
    request.end = end;
    if (http3_) open_streams();
}

void Http3::more_body(StreamId stream, std::string body, bool end) {
    const auto found = requests_.find(stream);
    if (found == requests_.end()) return;  // its end has come meanwhile
    if (!body.empty()) found->second.body.push_back(std::move(body));
    found->second.end = end;
    if (http3_ && stream < next_opened_) nghttp3_conn_resume_stream(http3_.get(), stream);
}

void Http3::reset(StreamId stream, std::uint64_t code) {
    if (stream >= next_opened_) return;
    nghttp3_conn_shutdown_stream_write(http3_.get(), stream);
    quic_->reset(stream, code);
}

void Http3::stop(StreamId stream, std::uint64_t code) {
    if (stream >= next_opened_) return;
    nghttp3_conn_shutdown_stream_read(http3_.get(), stream);
    quic_->stop(stream, code);
}

nghttp3_ssize Http3::read_body(nghttp3_conn*, StreamId stream, nghttp3_vec* piece, std::size_t, std::uint32_t* flags,
                               void* self, void*) {
    Request& request = static_cast<Http3*>(self)->requests_[stream];
    const bool more = request.given < request.body.size();
    if (!more && !request.end) return NGHTTP3_ERR_WOULDBLOCK;
    if (more) {
        std::string& next = request.body[request.given++];
        *piece = {bytes_of(next), next.size()};
    }
    if (request.end && request.given == request.body.size()) *flags |= NGHTTP3_DATA_FLAG_EOF;
    return more ? 1 : 0;
}

bool Http3::open_one() {
    const StreamId stream = quic_->open_stream(true);
    if (stream == -1) return false;
    Request& request = requests_[stream];
    next_opened_ = stream + kNextStream;
    std::vector<nghttp3_nv> fields;
    for (auto& [name, value] : request.fields)
        fields.push_back({bytes_of(name), bytes_of(value), name.size(), value.size(), NGHTTP3_NV_FLAG_NONE});
    const nghttp3_data_reader reader{read_body};
    const bool has_body = !request.body.empty() || !request.end;
    nghttp3_conn_submit_request(http3_.get(), stream, fields.data(), fields.size(), has_body ? &reader : nullptr,
                                nullptr);
    return true;
}

// --- answers --------------------------------------------------------------------------------------------------

nghttp3_callbacks Http3::callbacks() const {
    nghttp3_callbacks c{};
    c.recv_header = [](nghttp3_conn*, StreamId stream, std::int32_t, nghttp3_rcbuf* name, nghttp3_rcbuf* value,
                       std::uint8_t, void* self, void*) {
        static_cast<Http3*>(self)->requests_[stream].answer.emplace_back(text_of(name), text_of(value));
        return 0;
    };
    c.end_headers = [](nghttp3_conn*, StreamId stream, int, void* self, void*) {
        auto& client = *static_cast<Http3*>(self);
        client.tell_(
            {{"is", "fields"}, {"stream", stream}, {"fields", std::exchange(client.requests_[stream].answer, {})}});
        return 0;
    };
    c.recv_data = [](nghttp3_conn*, StreamId stream, const std::uint8_t* data, std::size_t bytes, void* self, void*) {
        static_cast<Http3*>(self)->tell_({{"is", "data"}, {"stream", stream}, {"data", text_of(Bytes{data, bytes})}});
        return 0;
    };
    c.end_stream = [](nghttp3_conn*, StreamId stream, void* self, void*) {
        static_cast<Http3*>(self)->tell_({{"is", "end"}, {"stream", stream}});
        return 0;
    };
    c.shutdown = [](nghttp3_conn*, StreamId, void* self) {
        static_cast<Http3*>(self)->tell_({{"is", "going away"}});
        return 0;
    };
    return c;
}

bool Http3::start() {
    const nghttp3_callbacks calls = callbacks();
    nghttp3_settings settings;
    nghttp3_settings_default(&settings);
    // As browsers do: what came once may be named by its place in a table (of the fields here, :authority is).
    settings.qpack_encoder_max_dtable_capacity = kTable;
    settings.qpack_blocked_streams = 100;
    nghttp3_conn* made = nullptr;
    if (nghttp3_conn_client_new(&made, &calls, &settings, nghttp3_mem_default(), this) != 0) return false;
    http3_.reset(made);
    const StreamId control = quic_->open_stream(false);
    const StreamId encoder = quic_->open_stream(false);
    const StreamId decoder = quic_->open_stream(false);
    return decoder != -1 && nghttp3_conn_bind_control_stream(made, control) == 0 &&
           nghttp3_conn_bind_qpack_streams(made, encoder, decoder) == 0;
}

bool Http3::shaken_hands(bool early_data_accepted) {
    tell_({{"is", "ready"}, {"early", early_data_accepted}});
    return early_data_accepted || !early_;  // what was refused is not sent again: a test wants to know
}

void Http3::left(Session session) {
    tell_({{"is", "session"}, {"ticket", text_of(session.ticket)}, {"parameters", text_of(session.parameters)}});
}

// --- between nghttp3 and QUIC -----------------------------------------------------------------------------------

bool Http3::can_open_streams(bool early) {
    if (!http3_ && !start()) return false;
    early_ = early_ || early;
    open_streams();
    return true;
}

void Http3::open_streams() {
    while (next_opened_ < next_asked_ && open_one()) {
    }
}

bool Http3::received(StreamId stream, Bytes data, bool last) {
    return nghttp3_conn_read_stream(http3_.get(), stream, data.data(), data.size(), last ? 1 : 0) >= 0;
}

bool Http3::acknowledged(StreamId stream, std::uint64_t bytes) {
    return nghttp3_conn_add_ack_offset(http3_.get(), stream, bytes) == 0;
}

bool Http3::may_send_more(StreamId stream) {
    return nghttp3_conn_unblock_stream(http3_.get(), stream) == 0;
}

void Http3::was_reset(StreamId stream, std::uint64_t code) {
    nghttp3_conn_shutdown_stream_read(http3_.get(), stream);
    tell_({{"is", "reset"}, {"stream", stream}, {"code", code}});
}

bool Http3::closed(StreamId stream, std::uint64_t code) {
    const int result = nghttp3_conn_close_stream(http3_.get(), stream, code);
    requests_.erase(stream);
    tell_({{"is", "closed stream"}, {"stream", stream}, {"code", code}});
    return result == 0 || result == NGHTTP3_ERR_STREAM_NOT_FOUND;
}

bool Http3::next(Part& part) {
    if (!http3_) return true;
    int last = 0;
    nghttp3_vec pieces[std::size(Part{}.pieces)];
    const nghttp3_ssize count =
        nghttp3_conn_writev_stream(http3_.get(), &part.stream, &last, pieces, std::size(pieces));
    if (count < 0) return false;
    for (nghttp3_ssize i = 0; i < count; ++i)
        part.pieces[i] = {pieces[i].base, pieces[i].len};
    part.count = static_cast<std::size_t>(count);
    part.last = last != 0;
    return true;
}

bool Http3::sent(StreamId stream, std::size_t bytes) {
    return stream == -1 || nghttp3_conn_add_write_offset(http3_.get(), stream, bytes) == 0;
}

void Http3::cannot_send_now(StreamId stream) {
    nghttp3_conn_block_stream(http3_.get(), stream);
}

void Http3::cannot_send_ever(StreamId stream) {
    nghttp3_conn_shutdown_stream_write(http3_.get(), stream);
}
