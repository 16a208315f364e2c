#include "ngx_module/ngx.hpp"
// nginx first
#include "ngx_module/redis_socket.hpp"

#include <poll.h>

#include <array>
#include <cstring>

#include "core/secret_file.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

constexpr std::size_t kReadBytes = 16384;
constexpr ngx_msec_t kWorthRetryingAtOnce = 100;  // a connection that lived so long was no flapping one

std::string system_error(ngx_err_t error) {
    return std::to_string(error) + ": " + std::strerror(error);
}

}  // namespace

RedisSocket::RedisSocket(const RedisConf& conf, Owner& owner)
    : owner_(owner),
      place_(redis::display(conf.url)),
      over_tcp_(conf.url.unix_path.empty()),
      addresses_(conf, *this),
      password_file_(conf.password_file),
      configured_password_(conf.password),
      connect_timeout_(conf.connect_timeout),
      tls_context_(conf.tls),
      host_(conf.url.host),
      backoff_(static_cast<std::uint64_t>(ngx_pid) * 2654435761U + static_cast<std::uint64_t>(ngx_random())),
      connect_timer_(*this, &RedisSocket::on_connect_timeout, "Redis connect timeout"),
      retry_timer_(*this, &RedisSocket::connect, "Redis reconnect"),
      flush_event_(*this, &RedisSocket::flush, "Redis write") {
    quiet_log_ = *ngx_cycle->log;
    quiet_log_.log_level = NGX_LOG_EMERG;
    quiet_log_.next = nullptr;
}

RedisSocket::~RedisSocket() {
    close_connection();
}

template <void (RedisSocket::*handler)()>
void RedisSocket::on_connection_event(ngx_event_t* event) noexcept {
    auto* socket = static_cast<RedisSocket*>(static_cast<ngx_connection_t*>(event->data)->data);
    const bool ok = guarded(ngx_cycle->log, "Redis connection", false, [&] {
        (socket->*handler)();
        return true;
    });
    if (!ok) socket->on_exception();
}

void RedisSocket::on_exception() noexcept {
    const bool ok = guarded(ngx_cycle->log, "Redis connection", false, [&] { return fail("internal error"), true; });
    if (ok) return;
    close_connection();  // not even that can be told
    retry_timer_.set(redis::Backoff::kMostMs);
}

std::string RedisSocket::password() const {
    if (password_file_.empty()) return configured_password_;
    // Workers often cannot read the file: then what the master read stays good.
    const auto line = read_secret_file(password_file_.c_str());
    return line ? *line : configured_password_;
}

// --- connecting ------------------------------------------------------------------------------------------------

void RedisSocket::connect() {
    if (connection_ != nullptr) return;
    retry_timer_.cancel();
    ngx_peer_connection_t peer{};
    const Address& address = addresses_.dial();
    ngx_str_t name = borrowed(address.name);
    peer.sockaddr = reinterpret_cast<sockaddr*>(const_cast<std::byte*>(address.socket_address.data()));
    peer.socklen = static_cast<socklen_t>(address.socket_address.size());
    peer.name = &name;
    peer.get = ngx_event_get_peer;
    peer.log = &quiet_log_;
    peer.log_error = NGX_ERROR_ERR;
    ngx_set_errno(0);
    const ngx_int_t rc = ngx_event_connect_peer(&peer);
    if (rc != NGX_OK && rc != NGX_AGAIN) {
        const ngx_err_t error = ngx_socket_errno;
        if (peer.connection != nullptr) ngx_close_connection(peer.connection);
        if (error == 0) return fail("nginx has no connection left for it (worker_connections)");
        return fail("cannot connect (" + system_error(error) + ")");
    }
    connection_ = peer.connection;
    connection_->data = this;
    connection_->read->handler = on_connection_event<&RedisSocket::on_readable>;
    connection_->write->handler = on_connection_event<&RedisSocket::on_writable>;
    state_ = State::connecting;
    connect_timer_.set(connect_timeout_);
    if (rc == NGX_OK) tcp_came_up();
}

void RedisSocket::on_moved() noexcept {
    const bool connecting = state_ == State::connecting && connection_ != nullptr;
    if (!connecting && !retry_timer_.is_set()) return;
    const State state = state_;
    close_connection();
    state_ = state;
    retry_timer_.set(0);  // not from here: it may be dial() that has found out
}

void RedisSocket::tcp_came_up() {
    // A batch must not wait for the acknowledgement of the one before.
    if (over_tcp_) ngx_tcp_nodelay(connection_);
    if (tls_context_ == nullptr) return came_up();
    tls_ = std::make_unique<TlsSession>(tls_context_, host_);
    flush();
}

void RedisSocket::came_up() {
    connect_timer_.cancel();
    state_ = State::up;
    has_worked_ = false;
    came_up_at_ = ngx_current_msec;
    owner_.on_up();
    flush();
    // What Redis said before we asked (that it has no room, for example) came with the same event and comes with no other.
    if (state_ == State::up && connection_->read->ready) {
        ngx_post_event(connection_->read, &ngx_posted_events);
    }
}

void RedisSocket::worked() noexcept {
    has_worked_ = true;
    backoff_.reset();
}

void RedisSocket::on_connect_timeout() {
    fail(tls_ ? "no TLS handshake within connect_timeout; does it speak TLS on this port?"
              : "no connection within connect_timeout");
}

// And everything that was to happen to it.
void RedisSocket::close_connection() noexcept {
    connect_timer_.cancel();
    retry_timer_.cancel();
    flush_event_.cancel();
    tls_.reset();
    state_ = State::down;
    if (connection_ == nullptr) return;
    ngx_close_connection(connection_);
    connection_ = nullptr;
}

void RedisSocket::close() noexcept {
    close_connection();
    has_worked_ = false;
}

void RedisSocket::fail(const std::string& why) {
    const bool at_once = has_worked_ && ngx_current_msec - came_up_at_ >= kWorthRetryingAtOnce;
    down(at_once ? Retry::at_once : Retry::later, why);
}

void RedisSocket::down(Retry retry, const std::string& why) {
    close();
    if (retry != Retry::never) {
        if (retry == Retry::at_once) state_ = State::connecting;
        // A name with several addresses: each is tried before anybody waits.
        const bool another = addresses_.next();
        const bool no_pause = retry == Retry::at_once || another;
        retry_timer_.set(no_pause ? 0 : static_cast<ngx_msec_t>(backoff_.next_ms()));
    }
    owner_.on_down(retry, why);
}

// --- bytes -----------------------------------------------------------------------------------------------------

void RedisSocket::on_writable() {
    if (state_ == State::connecting && !tls_) {
        int error = 0;
        socklen_t length = sizeof(error);
        if (getsockopt(connection_->fd, SOL_SOCKET, SO_ERROR, &error, &length) == -1) error = ngx_socket_errno;
        if (error != 0) return fail("cannot connect (" + system_error(error) + ")");
        return tcp_came_up();
    }
    flush();
}

void RedisSocket::flush_soon() noexcept {
    if (state_ == State::up) flush_event_.post();
}

void RedisSocket::flush() {
    if (state_ != State::up && !tls_) return;
    if (send_output() == Sent::gone) return;
    if (ngx_handle_write_event(connection_->write, 0) != NGX_OK) return fail("nginx could not watch the socket");
    if (state_ == State::up) owner_.on_flushed();
}

// What TLS has to say, then what the owner has.
RedisSocket::Sent RedisSocket::send_output() {
    for (;;) {
        if (const Sent sent = send_wire(); sent != Sent::all) return sent;
        if (state_ != State::up) return Sent::all;
        const std::string_view bytes = owner_.output();
        if (state_ != State::up) return Sent::gone;  // the owner closed it
        if (bytes.empty()) return Sent::all;
        std::size_t count = bytes.size();
        if (tls_) {
            if (!tls_->write(bytes)) return tls_failed(), Sent::gone;
        } else if (const Sent sent = send(bytes, &count); sent != Sent::all) {
            return sent;
        }
        owner_.written(count);
    }
}

RedisSocket::Sent RedisSocket::send_wire() {
    while (tls_ && !tls_->output().empty()) {
        std::size_t count = 0;
        if (const Sent sent = send(tls_->output(), &count); sent != Sent::all) return sent;
        tls_->written(count);
    }
    return Sent::all;
}

// One write: `count` says how much of `bytes` the kernel took.
RedisSocket::Sent RedisSocket::send(std::string_view bytes, std::size_t* count) {
    auto* data = reinterpret_cast<u_char*>(const_cast<char*>(bytes.data()));
    const ssize_t sent = connection_->send(connection_, data, bytes.size());
    if (sent == NGX_AGAIN) return Sent::blocked;
    if (sent <= 0) {
        fail("sending failed (" + system_error(ngx_socket_errno) + ")");
        return Sent::gone;
    }
    *count = static_cast<std::size_t>(sent);
    return Sent::all;
}

void RedisSocket::on_readable() {
    if (connection_->close) {
        if (state_ != State::up || !owner_.on_shutdown()) return down(Retry::never, "nginx closes its connections");
        if (connection_ == nullptr) return;
        connection_->close = 0;
        connection_->error = 0;
    }
    if (state_ == State::connecting && !tls_) return;  // the write event tells how the attempt ended
    std::array<char, kReadBytes> buffer;
    do {
        const ssize_t received =
            connection_->recv(connection_, reinterpret_cast<u_char*>(buffer.data()), buffer.size());
        if (received == NGX_AGAIN) break;
        if (received == 0) {
            return fail(state_ == State::up ? "it closed the connection"
                                            : "it closed the connection in the TLS handshake");
        }
        if (received < 0) return fail("receiving failed (" + system_error(ngx_socket_errno) + ")");
        const std::string_view bytes(buffer.data(), static_cast<std::size_t>(received));
        if (!(tls_ ? take_wire(bytes) : take_plain(bytes))) return;
    } while (connection_->read->ready);
    if (ngx_handle_read_event(connection_->read, 0) != NGX_OK) return fail("nginx could not watch the socket");
    if (tls_ && !tls_->output().empty()) flush();  // the handshake, or an answer to new keys
    if (state_ == State::up) owner_.on_read();
}

bool RedisSocket::wait_for_bytes(ngx_msec_t most) {
    if (state_ != State::up) return false;
    pollfd watched{connection_->fd, POLLIN, 0};
    if (poll(&watched, 1, static_cast<int>(most)) != 1) return false;
    connection_->read->ready = 1;
    connection_->read->available = -1;  // unknown how many
    on_readable();
    return state_ == State::up;
}

// False: the connection is no more.
bool RedisSocket::take_plain(std::string_view bytes) {
    if (!owner_.take(bytes)) {
        fail(owner_.why());
        return false;
    }
    return state_ == State::up;  // or the owner closed it
}

// False: the connection is no more.
bool RedisSocket::take_wire(std::string_view bytes) {
    if (!tls_->feed(bytes)) return tls_failed();
    if (!tls_->is_up()) return true;
    if (state_ == State::connecting) came_up();
    std::array<char, kReadBytes> plain;
    while (state_ == State::up) {
        const auto count = tls_->read(plain);
        if (!count) return tls_failed();
        if (*count == 0) return true;
        if (!take_plain({plain.data(), *count})) return false;
    }
    return false;
}

bool RedisSocket::tls_failed() {
    const std::string why = tls_->why();
    const std::string_view alert = tls_->output();  // it may tell the server's operator; if not, so be it
    if (!alert.empty()) {
        connection_->send(connection_, reinterpret_cast<u_char*>(const_cast<char*>(alert.data())), alert.size());
    }
    fail(why);
    return false;
}

}  // namespace apikey::ngx
