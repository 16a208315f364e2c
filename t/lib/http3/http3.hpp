// Requests over one QUIC connection, as nghttp3 writes them: any fields, in any order, whether they make sense or not.
#pragma once

#include <nghttp3/nghttp3.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "t/lib/http3/quic.hpp"

using Fields = std::vector<std::pair<std::string, std::string>>;

class Http3 final : public QuicUser {
  public:
    using Tell = std::function<void(const nlohmann::json&)>;

    // `tell` is given what happens; see http3_client.cpp.
    explicit Http3(Tell tell) : tell_(std::move(tell)) {}

    // Throws std::runtime_error where there is no socket.
    void connect(std::uint16_t port, const std::optional<Session>& session);
    bool connected() const { return quic_ != nullptr; }
    Quic& quic() { return *quic_; }

    // Requests get the streams 0, 4, 8, … in this order, as soon as the server allows one more.
    void request(Fields fields, std::string body, bool end);
    void more_body(StreamId stream, std::string body, bool end);
    // Of streams that the server has let be opened; of others they do nothing.
    void reset(StreamId stream, std::uint64_t code);
    void stop(StreamId stream, std::uint64_t code);

    bool can_open_streams(bool early) override;
    bool received(StreamId stream, Bytes data, bool last) override;
    bool acknowledged(StreamId stream, std::uint64_t bytes) override;
    bool may_send_more(StreamId stream) override;
    void was_reset(StreamId stream, std::uint64_t code) override;
    bool closed(StreamId stream, std::uint64_t code) override;
    void left(Session session) override;
    bool shaken_hands(bool early_data_accepted) override;
    bool next(Part& part) override;
    bool sent(StreamId stream, std::size_t bytes) override;
    void cannot_send_now(StreamId stream) override;
    void cannot_send_ever(StreamId stream) override;

  private:
    struct Request {
        Fields fields;
        std::deque<std::string> body;  // kept until the end: what was sent may have to be sent again
        std::size_t given = 0;         // pieces of it that nghttp3 has
        bool end = false;
        Fields answer;  // of the answer, while they come
    };

    bool start();
    void open_streams();
    bool open_one();
    nghttp3_callbacks callbacks() const;
    static nghttp3_ssize read_body(nghttp3_conn*, StreamId stream, nghttp3_vec* piece, std::size_t,
                                   std::uint32_t* flags, void* self, void*);

    Tell tell_;
    std::unique_ptr<Quic> quic_;
    std::unique_ptr<nghttp3_conn, decltype(&nghttp3_conn_del)> http3_{nullptr, nghttp3_conn_del};
    bool early_ = false;  // early data was sent
    std::map<StreamId, Request> requests_;
    StreamId next_asked_ = 0;   // the stream of the next request
    StreamId next_opened_ = 0;  // …, of those before it that wait for leave to open one
};
