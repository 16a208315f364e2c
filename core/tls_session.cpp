#include "core/tls_session.hpp"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstring>
#include <new>

namespace apikey {
namespace {

// What an operation left in OpenSSL's queue would be taken for the fault of the next one, be it ours or nginx' own.
struct CleanErrors {
    CleanErrors() { ERR_clear_error(); }
    ~CleanErrors() { ERR_clear_error(); }
    CleanErrors(const CleanErrors&) = delete;
    CleanErrors& operator=(const CleanErrors&) = delete;
};

void must(bool worked) {
    if (!worked) throw std::bad_alloc();  // these fail for want of memory only
}

bool is_address(const std::string& host) {
    std::array<unsigned char, sizeof(in6_addr)> room{};
    return inet_pton(AF_INET, host.c_str(), room.data()) == 1 || inet_pton(AF_INET6, host.c_str(), room.data()) == 1;
}

// An entry of OpenSSL's queue in words: text of its own or the system's, which repeats nothing of what the peer sent.
std::string in_words(unsigned long error) {
    if (ERR_SYSTEM_ERROR(error)) return std::strerror(ERR_GET_REASON(error));
    const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
    return reason == nullptr ? "unknown error" : reason;
}

void expect_server(SSL* ssl, const std::string& host) {
    if (is_address(host)) {
        must(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1);
        return;
    }
    // "redis.example.com." is how a resolver is told not to search; certificates and SNI (RFC 6066 §3) have no dot.
    const std::string name = host.ends_with('.') ? host.substr(0, host.size() - 1) : host;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    must(SSL_set1_host(ssl, name.c_str()) == 1);
    // SSL_set_tlsext_host_name() without its C cast.
    must(SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(name.c_str())) == 1);
}

}  // namespace

Result<TlsContext> make_tls_context(const std::string& ca_file) {
    const CleanErrors clean;
    const TlsContext context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    must(context != nullptr);
    must(SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) == 1);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    if (ca_file.empty()) {
        must(SSL_CTX_set_default_verify_paths(context.get()) == 1);
    } else if (SSL_CTX_load_verify_locations(context.get(), ca_file.c_str(), nullptr) != 1) {
        return Error{"\"" + ca_file + "\" cannot be used (" + in_words(ERR_peek_error()) +
                     "); it must be readable and hold the certificates of the authorities to trust, in PEM"};
    }
    return context;
}

TlsSession::TlsSession(const TlsContext& context, const std::string& host)
    : context_(context), host_(host), ssl_(SSL_new(context.get())) {
    const CleanErrors clean;
    must(ssl_ != nullptr);
    expect_server(ssl_.get(), host);
    from_wire_ = BIO_new(BIO_s_mem());
    to_wire_ = BIO_new(BIO_s_mem());
    if (from_wire_ == nullptr || to_wire_ == nullptr) {
        BIO_free(from_wire_);
        BIO_free(to_wire_);
        throw std::bad_alloc();
    }
    SSL_set_bio(ssl_.get(), from_wire_, to_wire_);  // owns them from now on
    SSL_set_connect_state(ssl_.get());
    must(shake_hands());
}

bool TlsSession::feed(std::string_view wire) {
    const CleanErrors clean;
    if (!why_.empty()) return false;
    must(wire.empty() ||
         BIO_write(from_wire_, wire.data(), static_cast<int>(wire.size())) == static_cast<int>(wire.size()));
    return up_ || shake_hands();
}

bool TlsSession::shake_hands() {
    const int result = SSL_do_handshake(ssl_.get());
    const bool alive = result == 1 || wants_bytes(result);
    collect_output();
    if (result != 1) return alive;
    // SSL_VERIFY_PEER has seen to it; a yes that rests on nothing else may be looked at twice.
    const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
    if (certificate == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK) {
        why_ = "it has not proved by a certificate that it is " + host_;
        return false;
    }
    up_ = true;
    return true;
}

std::optional<std::size_t> TlsSession::read(std::span<char> into) {
    const CleanErrors clean;
    const int count = SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size()));
    const bool alive = count > 0 || wants_bytes(count);
    collect_output();  // an answer to a change of keys (RFC 8446 §4.6.3), or an alert
    if (!alive) return std::nullopt;
    return count > 0 ? static_cast<std::size_t>(count) : 0;
}

bool TlsSession::write(std::string_view plain) {
    const CleanErrors clean;
    if (plain.empty()) return true;
    std::size_t count = 0;
    const int result = SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &count);
    collect_output();
    // Memory takes everything, so that "later" cannot be its answer.
    if (result == 1 && count == plain.size()) return true;
    if (wants_bytes(result)) why_ = "TLS does not take what is to be sent";
    return false;
}

bool TlsSession::wants_bytes(int result) {
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_WANT_READ) return true;
    why_ = reason(error);
    return false;
}

std::string TlsSession::reason(int ssl_error) const {
    if (ssl_error == SSL_ERROR_ZERO_RETURN) return "it closed the connection";
    const long verified = SSL_get_verify_result(ssl_.get());
    if (!up_ && verified != X509_V_OK) {
        return "its certificate does not prove that it is " + host_ + " (" + X509_verify_cert_error_string(verified) +
               ")";
    }
    const std::string what = up_ ? "TLS failed (" : "the TLS handshake failed (";
    const bool no_tls = ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_WRONG_VERSION_NUMBER;
    return what + in_words(ERR_peek_last_error()) + (no_tls ? "); does it speak TLS on this port?" : ")");
}

void TlsSession::collect_output() {
    const std::size_t waiting = BIO_ctrl_pending(to_wire_);
    if (waiting == 0) return;
    const std::size_t before = output_.size();
    output_.resize(before + waiting);
    const int count = BIO_read(to_wire_, output_.data() + before, static_cast<int>(waiting));
    output_.resize(before + (count > 0 ? static_cast<std::size_t>(count) : 0));
}

void TlsSession::written(std::size_t count) {
    written_ += count;
    if (written_ < output_.size()) return;
    output_.clear();
    written_ = 0;
}

}  // namespace apikey
