// One QUIC connection of a client, over UDP to 127.0.0.1: ngtcp2 with GnuTLS, whoever the server says it is.
#pragma once

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

// What a connection leaves for a later one, which may send early data (0-RTT) with it. Both are bytes for nobody but GnuTLS and
// ngtcp2.
struct Session {
    std::string ticket;
    std::string parameters;
};

// The connection has ended, by either side.
struct ConnectionEnded : std::runtime_error {
    using std::runtime_error::runtime_error;
};

using StreamId = std::int64_t;
using Bytes = std::span<const std::uint8_t>;

// What the layer above is told of, and is asked for. Where it returns false, the connection ends. Nothing here may throw.
class QuicUser {
  public:
    struct Part {  // of what is to be sent
        StreamId stream = -1;
        ngtcp2_vec pieces[16];
        std::size_t count = 0;
        bool last = false;  // of the stream
    };

    QuicUser() = default;
    QuicUser(const QuicUser&) = delete;
    QuicUser& operator=(const QuicUser&) = delete;
    virtual ~QuicUser() = default;

    // From now on, or more of them than before. `early`: what is sent now is early data.
    virtual bool can_open_streams(bool early) = 0;
    virtual bool received(StreamId stream, Bytes data, bool last) = 0;
    virtual bool acknowledged(StreamId stream, std::uint64_t bytes) = 0;
    virtual bool may_send_more(StreamId stream) = 0;
    virtual void was_reset(StreamId stream, std::uint64_t code) = 0;  // the server sends no more of it
    virtual bool closed(StreamId stream, std::uint64_t code) = 0;
    virtual void left(Session session) = 0;
    virtual bool shaken_hands(bool early_data_accepted) = 0;

    virtual bool next(Part& part) = 0;  // nothing to be sent: `part` stays as it is
    virtual bool sent(StreamId stream, std::size_t bytes) = 0;
    virtual void cannot_send_now(StreamId stream) = 0;
    virtual void cannot_send_ever(StreamId stream) = 0;
};

class Quic {
  public:
    // `session`: of an earlier connection, for TLS to resume. Throws std::runtime_error where there is no socket.
    Quic(QuicUser& user, std::uint16_t port, const std::optional<Session>& session);
    Quic(const Quic&) = delete;
    Quic& operator=(const Quic&) = delete;
    ~Quic();

    int socket() const { return socket_; }
    int milliseconds_to_wait() const;  // for poll(): until timers() has something to do; -1: forever

    // All of these throw ConnectionEnded, but open_stream().
    void receive();  // what the socket has
    void timers();
    void send();                                      // whatever the user has, and answers of the protocol
    void close(std::uint64_t code);                   // CONNECTION_CLOSE of the application, once
    StreamId open_stream(bool both_ways);             // -1: not now
    void reset(StreamId stream, std::uint64_t code);  // sends no more of it
    void stop(StreamId stream, std::uint64_t code);   // wants no more of it

  private:
    void connect_socket(std::uint16_t port);
    void start_tls(const std::optional<Session>& session);
    void start_quic();
    void use(const Session& session);
    void keep_session();
    void write(std::size_t bytes);
    void check(int result);

    QuicUser& user_;
    int socket_ = -1;
    ngtcp2_path_storage path_{};
    gnutls_certificate_credentials_t credentials_ = nullptr;
    gnutls_session_t tls_ = nullptr;
    ngtcp2_conn* connection_ = nullptr;
    ngtcp2_crypto_conn_ref reference_{};
    std::uint8_t packet_[1500]{};
};
