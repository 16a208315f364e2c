#include "t/lib/http3/quic.hpp"

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <netinet/in.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

namespace {

constexpr char kCiphers[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-GROUP-ALL:+GROUP-X25519:"
    "+GROUP-SECP256R1:%DISABLE_TLS13_COMPAT_MODE";
constexpr std::uint64_t kWindow = 16 << 20;  // bytes: more than any test's answer
constexpr std::size_t kConnectionIdBytes = 16;

ngtcp2_tstamp now() {
    return static_cast<ngtcp2_tstamp>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

void fill_randomly(std::uint8_t* to, std::size_t bytes) {
    if (gnutls_rnd(GNUTLS_RND_RANDOM, to, bytes) != 0) std::memset(to, 0x5a, bytes);
}

ngtcp2_cid random_connection_id() {
    std::uint8_t bytes[kConnectionIdBytes];
    fill_randomly(bytes, sizeof bytes);
    ngtcp2_cid id;
    ngtcp2_cid_init(&id, bytes, sizeof bytes);
    return id;
}

// --- what ngtcp2 calls ------------------------------------------------------------------------------------

int result(bool good) {
    return good ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

QuicUser& user_of(void* data) {
    return *static_cast<QuicUser*>(data);
}

int on_data(ngtcp2_conn* connection, std::uint32_t flags, StreamId stream, std::uint64_t, const std::uint8_t* data,
            std::size_t bytes, void* user, void*) {
    const bool good = user_of(user).received(stream, {data, bytes}, (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
    ngtcp2_conn_extend_max_stream_offset(connection, stream, bytes);
    ngtcp2_conn_extend_max_offset(connection, bytes);
    return result(good);
}

int on_acknowledged(ngtcp2_conn*, StreamId stream, std::uint64_t, std::uint64_t bytes, void* user, void*) {
    return result(user_of(user).acknowledged(stream, bytes));
}

int on_close(ngtcp2_conn*, std::uint32_t flags, StreamId stream, std::uint64_t code, void* user, void*) {
    const bool told = (flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) != 0;
    return result(user_of(user).closed(stream, told ? code : 0x100));  // H3_NO_ERROR
}

int on_reset(ngtcp2_conn*, StreamId stream, std::uint64_t, std::uint64_t code, void* user, void*) {
    user_of(user).was_reset(stream, code);
    return 0;
}

int on_more_streams(ngtcp2_conn*, std::uint64_t, void* user) {
    return result(user_of(user).can_open_streams(false));
}

int on_more_window(ngtcp2_conn*, StreamId stream, std::uint64_t, void* user, void*) {
    return result(user_of(user).may_send_more(stream));
}

int on_key(ngtcp2_conn*, ngtcp2_crypto_level level, void* user) {
    const bool early = level == NGTCP2_CRYPTO_LEVEL_EARLY;
    return result((!early && level != NGTCP2_CRYPTO_LEVEL_APPLICATION) || user_of(user).can_open_streams(early));
}

int on_handshake(ngtcp2_conn* connection, void* user) {
    auto* tls = static_cast<gnutls_session_t>(ngtcp2_conn_get_tls_native_handle(connection));
    return result(user_of(user).shaken_hands((gnutls_session_get_flags(tls) & GNUTLS_SFLAGS_EARLY_DATA) != 0));
}

int on_connection_id(ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token, std::size_t bytes, void*) {
    fill_randomly(id->data, bytes);
    id->datalen = bytes;
    fill_randomly(token, NGTCP2_STATELESS_RESET_TOKENLEN);
    return 0;
}

void on_random(std::uint8_t* to, std::size_t bytes, const ngtcp2_rand_ctx*) {
    fill_randomly(to, bytes);
}

ngtcp2_callbacks callbacks() {
    ngtcp2_callbacks c{};
    c.client_initial = ngtcp2_crypto_client_initial_cb;
    c.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    c.encrypt = ngtcp2_crypto_encrypt_cb;
    c.decrypt = ngtcp2_crypto_decrypt_cb;
    c.hp_mask = ngtcp2_crypto_hp_mask_cb;
    c.recv_retry = ngtcp2_crypto_recv_retry_cb;
    c.update_key = ngtcp2_crypto_update_key_cb;
    c.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    c.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    c.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
    c.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
    c.rand = on_random;
    c.get_new_connection_id = on_connection_id;
    c.recv_stream_data = on_data;
    c.acked_stream_data_offset = on_acknowledged;
    c.stream_close = on_close;
    c.stream_reset = on_reset;
    c.extend_max_local_streams_bidi = on_more_streams;
    c.extend_max_stream_data = on_more_window;
    c.recv_tx_key = on_key;
    c.handshake_completed = on_handshake;
    return c;
}

}  // namespace

// --- the beginning ------------------------------------------------------------------------------------------

Quic::Quic(QuicUser& user, std::uint16_t port, const std::optional<Session>& session) : user_(user) {
    connect_socket(port);
    start_tls(session);
    start_quic();
    if (session) use(*session);
}

Quic::~Quic() {
    ngtcp2_conn_del(connection_);
    gnutls_deinit(tls_);
    gnutls_certificate_free_credentials(credentials_);
    ::close(socket_);
}

void Quic::connect_socket(std::uint16_t port) {
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_port = htons(port);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in own{};
    socklen_t length = sizeof own;
    socket_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ == -1 || connect(socket_, reinterpret_cast<sockaddr*>(&server), sizeof server) != 0 ||
        getsockname(socket_, reinterpret_cast<sockaddr*>(&own), &length) != 0)
        throw std::runtime_error("no UDP socket");
    ngtcp2_path_storage_init(&path_, reinterpret_cast<sockaddr*>(&own), sizeof own,
                             reinterpret_cast<sockaddr*>(&server), sizeof server, nullptr);
}

void Quic::start_tls(const std::optional<Session>& session) {
    gnutls_certificate_allocate_credentials(&credentials_);
    gnutls_init(&tls_, GNUTLS_CLIENT | GNUTLS_ENABLE_EARLY_DATA | GNUTLS_NO_END_OF_EARLY_DATA);
    gnutls_priority_set_direct(tls_, kCiphers, nullptr);
    gnutls_credentials_set(tls_, GNUTLS_CRD_CERTIFICATE, credentials_);
    gnutls_server_name_set(tls_, GNUTLS_NAME_DNS, "localhost", std::strlen("localhost"));
    static unsigned char http3[] = "h3";
    const gnutls_datum_t protocol{http3, 2};
    gnutls_alpn_set_protocols(tls_, &protocol, 1, GNUTLS_ALPN_MANDATORY);
    if (session) gnutls_session_set_data(tls_, session->ticket.data(), session->ticket.size());
    // The ticket comes some time after the handshake. gnutls_session_get_ptr() gives what ngtcp2 wants there.
    gnutls_handshake_set_hook_function(
        tls_, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET, GNUTLS_HOOK_POST,
        [](gnutls_session_t tls, unsigned, unsigned, unsigned, const gnutls_datum_t*) {
            static_cast<Quic*>(static_cast<ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(tls))->user_data)
                ->keep_session();
            return 0;
        });
    reference_.user_data = this;
    reference_.get_conn = [](ngtcp2_crypto_conn_ref* reference) {
        return static_cast<Quic*>(reference->user_data)->connection_;
    };
    gnutls_session_set_ptr(tls_, &reference_);
    if (ngtcp2_crypto_gnutls_configure_client_session(tls_) != 0) throw std::runtime_error("no TLS for QUIC");
}

void Quic::start_quic() {
    const ngtcp2_cid server_id = random_connection_id();
    const ngtcp2_cid own_id = random_connection_id();
    ngtcp2_settings settings;
    ngtcp2_settings_default(&settings);
    settings.initial_ts = now();
    ngtcp2_transport_params parameters;
    ngtcp2_transport_params_default(&parameters);
    parameters.initial_max_stream_data_bidi_local = kWindow;
    parameters.initial_max_stream_data_uni = kWindow;
    parameters.initial_max_data = kWindow;
    parameters.initial_max_streams_uni = 8;
    parameters.max_idle_timeout = 60 * NGTCP2_SECONDS;
    const ngtcp2_callbacks calls = callbacks();
    check(ngtcp2_conn_client_new(&connection_, &server_id, &own_id, &path_.path, NGTCP2_PROTO_VER_V1, &calls, &settings,
                                 &parameters, nullptr, &user_));
    ngtcp2_conn_set_tls_native_handle(connection_, tls_);
}

// --- sessions -------------------------------------------------------------------------------------------------

void Quic::use(const Session& session) {
    ngtcp2_transport_params parameters;
    check(ngtcp2_decode_transport_params(&parameters, NGTCP2_TRANSPORT_PARAMS_TYPE_ENCRYPTED_EXTENSIONS,
                                         reinterpret_cast<const std::uint8_t*>(session.parameters.data()),
                                         session.parameters.size()));
    ngtcp2_conn_set_early_remote_transport_params(connection_, &parameters);
}

void Quic::keep_session() {
    gnutls_datum_t ticket{};
    if (gnutls_session_get_data2(tls_, &ticket) != 0) return;
    std::uint8_t parameters[256];
    const auto bytes =
        ngtcp2_encode_transport_params(parameters, sizeof parameters, NGTCP2_TRANSPORT_PARAMS_TYPE_ENCRYPTED_EXTENSIONS,
                                       ngtcp2_conn_get_remote_transport_params(connection_));
    if (bytes > 0)
        user_.left({{reinterpret_cast<const char*>(ticket.data), ticket.size},
                    {reinterpret_cast<const char*>(parameters), static_cast<std::size_t>(bytes)}});
    gnutls_free(ticket.data);
}

// --- packets and time -------------------------------------------------------------------------------------------

void Quic::check(int result) {
    if (result == 0) return;
    ngtcp2_connection_close_error why{};
    if (connection_ != nullptr) ngtcp2_conn_get_connection_close_error(connection_, &why);
    throw ConnectionEnded(std::string(ngtcp2_strerror(result)) + ", code " + std::to_string(why.error_code));
}

int Quic::milliseconds_to_wait() const {
    const ngtcp2_tstamp expiry = ngtcp2_conn_get_expiry(connection_);
    if (expiry == UINT64_MAX) return -1;
    const ngtcp2_tstamp at = now();
    return expiry <= at ? 0 : static_cast<int>((expiry - at) / NGTCP2_MILLISECONDS) + 1;
}

void Quic::receive() {
    std::uint8_t datagram[65536];
    for (;;) {
        const ssize_t bytes = recv(socket_, datagram, sizeof datagram, 0);
        if (bytes == -1 && (errno == EAGAIN || errno == EINTR)) return;
        if (bytes == -1) throw ConnectionEnded(std::strerror(errno));
        const ngtcp2_pkt_info info{};
        check(ngtcp2_conn_read_pkt(connection_, &path_.path, &info, datagram, static_cast<std::size_t>(bytes), now()));
    }
}

void Quic::timers() {
    if (ngtcp2_conn_get_expiry(connection_) <= now()) check(ngtcp2_conn_handle_expiry(connection_, now()));
}

void Quic::write(std::size_t bytes) {
    // A full buffer of the socket is a lost packet, which QUIC sends again.
    if (::send(socket_, packet_, bytes, 0) == -1 && errno != EAGAIN && errno != EINTR)
        throw ConnectionEnded(std::strerror(errno));
}

void Quic::send() {
    const ngtcp2_tstamp at = now();
    for (;;) {
        QuicUser::Part part;
        if (!user_.next(part)) throw ConnectionEnded("no more to send");
        const std::uint32_t flags =
            NGTCP2_WRITE_STREAM_FLAG_MORE | (part.last ? NGTCP2_WRITE_STREAM_FLAG_FIN : NGTCP2_WRITE_STREAM_FLAG_NONE);
        ngtcp2_ssize taken = -1;
        ngtcp2_pkt_info info{};
        const ngtcp2_ssize bytes = ngtcp2_conn_writev_stream(connection_, &path_.path, &info, packet_, sizeof packet_,
                                                             &taken, flags, part.stream, part.pieces, part.count, at);
        if (taken >= 0 && !user_.sent(part.stream, static_cast<std::size_t>(taken))) throw ConnectionEnded("not sent");
        switch (bytes) {
            case 0: return ngtcp2_conn_update_pkt_tx_time(connection_, at);
            case NGTCP2_ERR_WRITE_MORE: continue;
            case NGTCP2_ERR_STREAM_DATA_BLOCKED: user_.cannot_send_now(part.stream); continue;
            case NGTCP2_ERR_STREAM_SHUT_WR:
            case NGTCP2_ERR_STREAM_NOT_FOUND: user_.cannot_send_ever(part.stream); continue;
            default: break;
        }
        if (bytes < 0) check(static_cast<int>(bytes));
        write(static_cast<std::size_t>(bytes));
    }
}

void Quic::close(std::uint64_t code) {
    ngtcp2_connection_close_error why;
    ngtcp2_connection_close_error_default(&why);
    ngtcp2_connection_close_error_set_application_error(&why, code, nullptr, 0);
    ngtcp2_pkt_info info{};
    const auto bytes =
        ngtcp2_conn_write_connection_close(connection_, &path_.path, &info, packet_, sizeof packet_, &why, now());
    if (bytes > 0) write(static_cast<std::size_t>(bytes));
}

// --- streams ------------------------------------------------------------------------------------------------------

StreamId Quic::open_stream(bool both_ways) {
    StreamId stream = -1;
    const int failed = both_ways ? ngtcp2_conn_open_bidi_stream(connection_, &stream, nullptr)
                                 : ngtcp2_conn_open_uni_stream(connection_, &stream, nullptr);
    return failed != 0 ? -1 : stream;
}

void Quic::reset(StreamId stream, std::uint64_t code) {
    check(ngtcp2_conn_shutdown_stream_write(connection_, stream, code));
}

void Quic::stop(StreamId stream, std::uint64_t code) {
    check(ngtcp2_conn_shutdown_stream_read(connection_, stream, code));
}
