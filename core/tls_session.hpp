// One TLS connection as its client sees it, without a socket: bytes of the wire and plain bytes in, the other kind out.
// nginx and apikeyd talk to Redis through it, so that what is verified is written down once.
//
//   socket ──feed()──▶ OpenSSL ──read()──▶ owner          socket ◀──output()── OpenSSL ◀──write()── owner
//
// The server must prove itself: a certificate that a trusted authority signed (RFC 5280), within its time, and for the
// name or address that was configured (RFC 6125; a certificate without any DNS name is known by its common name, as
// OpenSSL, nginx and redis-cli do it). TLS 1.2 or newer. There is no way to turn any of that off.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace apikey {

// Whom to trust, read once and shared by the connections that are made with it. Null: none.
using TlsContext = std::shared_ptr<SSL_CTX>;

// Trusts the certificates in `ca_file` (PEM) and no other; an empty name means the system's store. Error: what is wrong
// with the file. Throws std::bad_alloc.
Result<TlsContext> make_tls_context(const std::string& ca_file);

class TlsSession {
  public:
    // A new connection to the server that must be `host`, a DNS name or the literal of an IP address. The first bytes
    // of the handshake wait in output(). Throws std::bad_alloc.
    TlsSession(const TlsContext& context, const std::string& host);

    // Takes what was read from the wire. False: close the connection, after output() was written if that can be done at
    // once (an alert that tells the server why); why() says why.
    [[nodiscard]] bool feed(std::string_view wire);
    // The handshake is over and the server has proved itself: write() and read() may be used.
    [[nodiscard]] bool is_up() const noexcept { return up_; }

    // The next plain bytes: how many, 0 when there are none for now. Nothing: close the connection, as above. After
    // each feed() it is to be called until it gives no more.
    [[nodiscard]] std::optional<std::size_t> read(std::span<char> into);
    // Takes all of `plain`. False: close the connection.
    [[nodiscard]] bool write(std::string_view plain);

    // Bytes that wait to be written to the wire, also during the handshake and after read(); valid until the next call
    // of anything but written(), which takes `count` of them off.
    [[nodiscard]] std::string_view output() const noexcept { return std::string_view(output_).substr(written_); }
    void written(std::size_t count);

    // In words for an operator.
    [[nodiscard]] const std::string& why() const noexcept { return why_; }

  private:
    [[nodiscard]] bool shake_hands();
    // Of an operation that gave `result`. True: it only wants more bytes.
    [[nodiscard]] bool wants_bytes(int result);
    void collect_output();
    [[nodiscard]] std::string reason(int ssl_error) const;

    struct Free {
        void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
    };
    TlsContext context_;
    std::string host_;
    std::unique_ptr<SSL, Free> ssl_;
    BIO* from_wire_ = nullptr;  // ssl_ owns both
    BIO* to_wire_ = nullptr;
    std::string output_;
    std::size_t written_ = 0;
    bool up_ = false;
    std::string why_;
};

}  // namespace apikey
