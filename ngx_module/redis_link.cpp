#include "ngx_module/ngx.hpp"
// nginx first
#include "ngx_module/redis_link.hpp"

#include <algorithm>
#include <cstring>

#include "ngx_module/guard.hpp"
#include "ngx_module/park.hpp"
#include "ngx_module/secret_file.hpp"

namespace apikey::ngx {

namespace {

constexpr std::size_t kReadBytes = 16384;
constexpr ngx_msec_t kWorthRetryingAtOnce = 100;  // a connection that lived so long was no flapping one

redis::Millis now() {
    return static_cast<redis::Millis>(ngx_current_msec);
}

std::string system_error(ngx_err_t error) {
    return std::to_string(error) + ": " + std::strerror(error);
}

redis::LookupSession::Options session_options(const RedisConf& conf, std::string prefix) {
    redis::LookupSession::Options options;
    options.prefix = std::move(prefix);
    options.user = conf.url.user;
    options.password = conf.password;
    options.database = conf.url.database;
    options.timeout = static_cast<redis::Millis>(conf.timeout);
    return options;
}

}  // namespace

RedisLink::RedisLink(const RedisConf& conf, std::string prefix)
    : place_(redis::display(conf.url)),
      addresses_(conf.addresses),
      password_file_(conf.password_file),
      configured_password_(conf.password),
      connect_timeout_(conf.connect_timeout),
      session_(session_options(conf, std::move(prefix))),
      backoff_(static_cast<std::uint64_t>(ngx_pid) * 2654435761U + static_cast<std::uint64_t>(ngx_random())) {
    quiet_log_ = *ngx_cycle->log;
    quiet_log_.log_level = NGX_LOG_EMERG;
    quiet_log_.next = nullptr;
    anchor_.data = this;
    anchor_.fd = static_cast<ngx_socket_t>(-1);
    anchor_.log = ngx_cycle->log;
    const auto set_up = [this](ngx_event_t& event, ngx_event_handler_pt handler) {
        event.data = &anchor_;
        event.handler = handler;
        event.log = ngx_cycle->log;
        event.cancelable = 1;
    };
    set_up(connect_timer_, on_event<&RedisLink::on_connect_timeout>);
    set_up(deadline_timer_, on_event<&RedisLink::on_deadline>);
    set_up(attention_timer_, on_event<&RedisLink::on_attention>);
    set_up(flush_event_, on_event<&RedisLink::flush>);
}

RedisLink::~RedisLink() {
    if (deadline_timer_.timer_set) ngx_del_timer(&deadline_timer_);
    if (flush_event_.posted) {
        ngx_delete_posted_event(&flush_event_);  // a macro of two statements
    }
    close_connection();
}

// An exception in here means that the session's state is unknown: the link is closed and begins anew.
template <void (RedisLink::*handler)()>
void RedisLink::on_event(ngx_event_t* event) noexcept {
    auto* link = static_cast<RedisLink*>(static_cast<ngx_connection_t*>(event->data)->data);
    const bool ok = guarded(ngx_cycle->log, "Redis link", false, [&] {
        (link->*handler)();
        return true;
    });
    if (!ok) guarded(ngx_cycle->log, "Redis link", false, [&] { return link->fail("internal error"), true; });
}

void RedisLink::start() {
    connect();
}

// --- connecting ------------------------------------------------------------------------------------------------

void RedisLink::connect() {
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
    connection_->read->handler = on_event<&RedisLink::on_connection_read>;
    connection_->write->handler = on_event<&RedisLink::on_connection_write>;
    state_ = State::connecting;
    if (rc == NGX_OK) return came_up();
    ngx_add_timer(&connect_timer_, connect_timeout_);
}

void RedisLink::came_up() {
    if (connect_timer_.timer_set) ngx_del_timer(&connect_timer_);
    // A batch must not wait for the acknowledgement of the one before.
    if (reinterpret_cast<const sockaddr*>(address().socket_address.data())->sa_family != AF_UNIX)
        ngx_tcp_nodelay(connection_);
    state_ = State::up;
    was_proven_ = false;
    came_up_at_ = ngx_current_msec;
    refresh_password();
    session_.connected(now());
    flush();
    // What Redis said before we asked (that it has no room, for example) came with the same event and comes with no other.
    if (state_ == State::up && connection_->read->ready) {
        ngx_post_event(connection_->read, &ngx_posted_events);
    }
}

// The file may hold a new password by now. Workers often cannot read it: then what the master read stays good.
void RedisLink::refresh_password() {
    if (password_file_.empty()) return;
    const auto line = read_secret_file(password_file_.c_str());
    session_.set_password(line ? *line : configured_password_);
}

void RedisLink::on_connect_timeout() {
    fail("no connection within connect_timeout");
}

// And everything that was to happen to it.
void RedisLink::close_connection() noexcept {
    for (ngx_event_t* timer : {&connect_timer_, &attention_timer_}) {
        if (timer->timer_set) ngx_del_timer(timer);
    }
    if (connection_ == nullptr) return;
    ngx_close_connection(connection_);
    connection_ = nullptr;
}

void RedisLink::fail(const std::string& why) {
    close_connection();
    const bool at_once = was_proven_ && ngx_current_msec - came_up_at_ >= kWorthRetryingAtOnce;
    was_proven_ = false;
    state_ = at_once ? State::connecting : State::down;
    next_address_ = (next_address_ + 1) % addresses_.size();
    // A name with several addresses: each is tried before anybody waits.
    const std::int64_t wait = at_once || next_address_ != 0 ? 0 : backoff_.next_ms();
    ngx_add_timer(&attention_timer_, static_cast<ngx_msec_t>(wait));
    if (at_once) {
        session_.disconnected();  // what was not sent yet waits for the new connection
    } else {
        session_.fail_all();
    }
    faults_.report(NGX_LOG_ERR, FaultLog::Kind::link,
                   "Redis at " + place_ + " cannot be used: " + why + "; keys that must be looked up are answered 503");
    report_notices();
    deliver();
}

// --- bytes -----------------------------------------------------------------------------------------------------

void RedisLink::on_connection_write() {
    if (state_ == State::connecting) {
        int error = 0;
        socklen_t length = sizeof(error);
        if (getsockopt(connection_->fd, SOL_SOCKET, SO_ERROR, &error, &length) == -1) error = ngx_socket_errno;
        if (error != 0) return fail("cannot connect (" + system_error(error) + ")");
        return came_up();
    }
    flush();
}

void RedisLink::flush() {
    if (state_ != State::up) return;
    for (;;) {
        const std::string_view bytes = session_.output(now());
        if (bytes.empty()) break;
        auto* data = reinterpret_cast<u_char*>(const_cast<char*>(bytes.data()));
        const ssize_t sent = connection_->send(connection_, data, bytes.size());
        if (sent == NGX_AGAIN) break;
        if (sent <= 0) return fail("sending failed (" + system_error(ngx_socket_errno) + ")");
        session_.written(static_cast<std::size_t>(sent));
    }
    if (ngx_handle_write_event(connection_->write, 0) != NGX_OK) return fail("nginx could not watch the socket");
    arm_timers();
}

void RedisLink::on_connection_read() {
    if (connection_->close) {  // worker_shutdown_timeout: nginx ends every connection
        close_connection();
        state_ = State::down;  // and stays so: nothing is to wake us
        session_.fail_all();
        return deliver();
    }
    if (state_ == State::connecting) return;  // the write event tells how the attempt ended
    std::array<u_char, kReadBytes> buffer;
    for (;;) {
        const ssize_t received = connection_->recv(connection_, buffer.data(), buffer.size());
        if (received == NGX_AGAIN) break;
        if (received == 0) return fail("it closed the connection");
        if (received < 0) return fail("receiving failed (" + system_error(ngx_socket_errno) + ")");
        const std::string_view bytes(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(received));
        if (!session_.feed(bytes, now())) return fail(session_.why());
        if (!connection_->read->ready) break;
    }
    if (ngx_handle_read_event(connection_->read, 0) != NGX_OK) return fail("nginx could not watch the socket");
    if (session_.is_proven() && !was_proven_) {
        was_proven_ = true;
        backoff_.reset();
        if (faults_.ended(FaultLog::Kind::link)) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "api_key: Redis at %s is in use again", place_.c_str());
        }
    }
    report_notices();
    flush();  // lookups that waited for the handshake, or are to be repeated
    deliver();
}

void RedisLink::report_notices() {
    const auto notice = session_.take_notice();
    if (notice.corrupt_keys != 0) {
        faults_.report(NGX_LOG_ERR, FaultLog::Kind::corrupt_key,
                       "Redis at " + place_ +
                           " holds a key record that apikeyd would not write; it is answered 503; "
                           "run apikeyctl sync");
    }
    if (notice.pairing_mismatches != 0) {
        faults_.report(NGX_LOG_ERR, FaultLog::Kind::mismatch,
                       "Redis at " + place_ + " answered another question than was asked; the connection is made anew");
    }
    if (notice.untrusted_batches != 0) {
        faults_.report(NGX_LOG_WARN, FaultLog::Kind::untrusted,
                       "Redis at " + place_ +
                           " has not been filled by apikeyd since it started or was flushed; keys "
                           "are answered 503 until it is; is apikeyd running?");
    }
}

// --- time ------------------------------------------------------------------------------------------------------

void RedisLink::arm_timers() {
    deadline_timer_.cancelable = session_.waiting() == 0;
    if (session_.waiting() != 0 && !deadline_timer_.timer_set) arm(deadline_timer_, session_.next_deadline());
    if (state_ == State::up) arm(attention_timer_, session_.next_heartbeat());
}

// A timer that fires earlier stays: it looks again. One that fires later is taken out first, because nginx leaves a
// timer as it is when the new time is less than 300 ms off.
void RedisLink::arm(ngx_event_t& timer, redis::Millis at) {
    const auto wait = static_cast<ngx_msec_t>(std::max<redis::Millis>(at - now(), 1));
    if (timer.timer_set) {
        if (static_cast<ngx_msec_int_t>(timer.timer.key - (ngx_current_msec + wait)) <= 0) return;
        ngx_del_timer(&timer);
    }
    ngx_add_timer(&timer, wait);
}

void RedisLink::on_deadline() {
    if (!session_.tick(now())) return fail(session_.why());
    flush();  // there may be a heartbeat to send
    arm_timers();
    deliver();
}

void RedisLink::on_attention() {
    if (connection_ == nullptr) return connect();
    on_deadline();
}

// --- requests --------------------------------------------------------------------------------------------------

RedisLink::Lookup* RedisLink::ask(const Digest& digest, void* ctx) {
    if (state_ == State::down) return nullptr;
    Lookup* lookup = session_.ask(digest, ctx, now());
    if (lookup == nullptr) return nullptr;
    arm_timers();
    if (state_ == State::up) {
        ngx_post_event(&flush_event_, &ngx_posted_events);  // does nothing if it is posted already
    }
    return lookup;
}

void RedisLink::deliver() {
    if (!delivering_.empty()) return;  // an outer call is at it
    for (session_.take_done(delivering_); !delivering_.empty(); session_.take_done(delivering_)) {
        for (Lookup* lookup : delivering_) {
            if (lookup->asker != nullptr) resume(*static_cast<RequestCtx*>(lookup->asker), *lookup);
            session_.release(lookup);
        }
        delivering_.clear();
    }
    deadline_timer_.cancelable = session_.waiting() == 0;
}

}  // namespace apikey::ngx
