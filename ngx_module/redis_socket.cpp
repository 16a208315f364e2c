#include "ngx_module/ngx.hpp"
// nginx first
#include "ngx_module/redis_socket.hpp"

#include <array>
#include <cstring>

#include "ngx_module/guard.hpp"
#include "ngx_module/secret_file.hpp"

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
      addresses_(conf.addresses),
      password_file_(conf.password_file),
      configured_password_(conf.password),
      connect_timeout_(conf.connect_timeout),
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
    auto* socket_address = const_cast<std::byte*>(address().socket_address.data());
    ngx_str_t name{address().name.size(), reinterpret_cast<u_char*>(const_cast<char*>(address().name.data()))};
    peer.sockaddr = reinterpret_cast<sockaddr*>(socket_address);
    peer.socklen = static_cast<socklen_t>(address().socket_address.size());
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
    if (rc == NGX_OK) return came_up();
    connect_timer_.set(connect_timeout_);
}

void RedisSocket::came_up() {
    connect_timer_.cancel();
    // A batch must not wait for the acknowledgement of the one before.
    if (reinterpret_cast<const sockaddr*>(address().socket_address.data())->sa_family != AF_UNIX)
        ngx_tcp_nodelay(connection_);
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
    fail("no connection within connect_timeout");
}

// And everything that was to happen to it.
void RedisSocket::close_connection() noexcept {
    connect_timer_.cancel();
    retry_timer_.cancel();
    flush_event_.cancel();
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
        next_address_ = (next_address_ + 1) % addresses_.size();
        // A name with several addresses: each is tried before anybody waits.
        const bool no_pause = retry == Retry::at_once || next_address_ != 0;
        retry_timer_.set(no_pause ? 0 : static_cast<ngx_msec_t>(backoff_.next_ms()));
    }
    owner_.on_down(retry, why);
}

// --- bytes -----------------------------------------------------------------------------------------------------

void RedisSocket::on_writable() {
    if (state_ == State::connecting) {
        int error = 0;
        socklen_t length = sizeof(error);
        if (getsockopt(connection_->fd, SOL_SOCKET, SO_ERROR, &error, &length) == -1) error = ngx_socket_errno;
        if (error != 0) return fail("cannot connect (" + system_error(error) + ")");
        return came_up();
    }
    flush();
}

void RedisSocket::flush_soon() noexcept {
    if (state_ == State::up) flush_event_.post();
}

void RedisSocket::flush() {
    if (state_ != State::up) return;
    for (;;) {
        const std::string_view bytes = owner_.output();
        if (state_ != State::up) return;  // the owner closed it
        if (bytes.empty()) break;
        auto* data = reinterpret_cast<u_char*>(const_cast<char*>(bytes.data()));
        const ssize_t sent = connection_->send(connection_, data, bytes.size());
        if (sent == NGX_AGAIN) break;
        if (sent <= 0) return fail("sending failed (" + system_error(ngx_socket_errno) + ")");
        owner_.written(static_cast<std::size_t>(sent));
    }
    if (ngx_handle_write_event(connection_->write, 0) != NGX_OK) return fail("nginx could not watch the socket");
    owner_.on_flushed();
}

void RedisSocket::on_readable() {
    // worker_shutdown_timeout: nginx ends every connection. It stays so, nothing is to wake us.
    if (connection_->close) return down(Retry::never, "nginx closes its connections");
    if (state_ == State::connecting) return;  // the write event tells how the attempt ended
    read();
}

void RedisSocket::read() {
    std::array<u_char, kReadBytes> buffer;
    do {
        const ssize_t received = connection_->recv(connection_, buffer.data(), buffer.size());
        if (received == NGX_AGAIN) break;
        if (received == 0) return fail("it closed the connection");
        if (received < 0) return fail("receiving failed (" + system_error(ngx_socket_errno) + ")");
        const std::string_view bytes(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(received));
        if (!owner_.take(bytes)) return fail(owner_.why());
        if (state_ != State::up) return;  // the owner closed it
    } while (connection_->read->ready);
    if (ngx_handle_read_event(connection_->read, 0) != NGX_OK) return fail("nginx could not watch the socket");
    owner_.on_read();
}

}  // namespace apikey::ngx
