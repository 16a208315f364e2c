// One connection of this worker to Redis: nginx's socket, its events, and when it is made anew. What is said on it is its
// owner's (RedisLink asks for keys).
//
//            connect()                        on_up()
//   down ────────────────▶ connecting ─────────────────────▶ up ──▶ (fault) ──▶ on_down(): at once / later
//     ▲                                                                              │
//     └──────────────── retry timer: 0 ms after a connection that has worked, else back-off
//
// To which address is RedisAddresses' to say; when DNS says that Redis is elsewhere, an attempt at the old address ends
// without a word, and a pause before the next one, too. A connection that is up stays.
//
// With rediss:// the connection is up when TLS is: the server has proved who it is, within connect_timeout from the
// beginning of the attempt.
//
// Bytes are pulled: whoever has something to say calls flush(), or flush_soon() to let everything said in one turn of
// the event loop leave in one write; the socket asks the owner for output() until there is none or the kernel takes no
// more, and goes on by itself when it does again.
//
// Within its callbacks an owner may call every function of the socket but connect() and flush(); fail() and close() take
// effect at once, and the socket notices when it comes back. What the owner throws closes the connection ("internal
// error") and is logged; on_exception() does the same for events of the owner's own.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/redis/backoff.hpp"
#include "core/tls_session.hpp"
#include "ngx_module/conf.hpp"
#include "ngx_module/redis_addresses.hpp"
#include "ngx_module/worker_event.hpp"

namespace apikey::ngx {

class RedisSocket final : private RedisAddresses::Owner {
  public:
    // connecting: an attempt is under way, or follows at once; what is to be said may wait for it.
    enum class State : std::uint8_t { down, connecting, up };
    // When the next attempt is made.
    enum class Retry : std::uint8_t { at_once, later };

    class Owner {
      public:
        // The connection is up. Queue the greeting, with password(); the socket then asks for output().
        virtual void on_up() = 0;
        // What is to be written now, empty if nothing; valid until written() says how much of it was. What was not
        // written must come again, first and unchanged.
        virtual std::string_view output() = 0;
        virtual void written(std::size_t count) = 0;
        // What there was to write has been written, or as much as the kernel takes: set timers.
        virtual void on_flushed() = 0;
        // Bytes have come. False: close the connection; why() says why.
        virtual bool take(std::string_view bytes) = 0;
        [[nodiscard]] virtual std::string why() const = 0;
        // After take(): all that had come has been taken. Unlike elsewhere, flush() may be called.
        virtual void on_read() = 0;
        // The connection is lost, or could not be made; `why` is fit for the log. The socket tries again by itself.
        virtual void on_down(Retry retry, const std::string& why) = 0;

      protected:
        ~Owner() = default;
    };

    // Copies what it needs of the configuration. `owner` outlives it. Throws std::bad_alloc.
    RedisSocket(const RedisConf& conf, Owner& owner);
    // Closes the connection without a word to the owner.
    ~RedisSocket();
    RedisSocket(const RedisSocket&) = delete;
    RedisSocket& operator=(const RedisSocket&) = delete;

    // Begins. The owner hears of everything else by its callbacks.
    void connect();
    // The owner is content: this connection serves. The first fault after it (if it lived for 100 ms) is followed by an
    // attempt at once, and the back-off starts from its first step.
    void worked() noexcept;
    // Writes what the owner has, now.
    void flush();
    // ... at the end of this turn of the event loop, if the connection is up.
    void flush_soon() noexcept;
    // The owner cannot go on with this connection: closes it, says on_down(), tries again.
    void fail(const std::string& why);
    // For a worker that exits, when events come no more: waits up to `most` ms for bytes and takes them as if there had
    // been an event. False: none have come, or the connection is gone.
    bool wait_for_bytes(ngx_msec_t most);
    // Closes it for good, or until connect(); on_down() is not said.
    void close() noexcept;
    // Something was thrown: fail("internal error").
    void on_exception() noexcept;

    [[nodiscard]] State state() const noexcept { return state_; }
    // Where Redis is, for logs: no password in it.
    [[nodiscard]] const std::string& place() const noexcept { return place_; }
    // For the greeting of a new connection: its file may hold another one by now. Reads the file.
    [[nodiscard]] std::string password() const;

  private:
    template <void (RedisSocket::*handler)()>
    static void on_connection_event(ngx_event_t* event) noexcept;

    void on_moved() noexcept override;
    void tcp_came_up();
    void came_up();
    enum class Sent : std::uint8_t { all, blocked, gone };  // gone: the connection is no more
    [[nodiscard]] Sent send_output();
    [[nodiscard]] Sent send_wire();
    [[nodiscard]] Sent send(std::string_view bytes, std::size_t* count);
    [[nodiscard]] bool take_wire(std::string_view bytes);
    [[nodiscard]] bool take_plain(std::string_view bytes);
    bool tls_failed();
    void on_readable();
    void on_writable();
    void on_connect_timeout();
    void down(Retry retry, const std::string& why);
    void close_connection() noexcept;

    Owner& owner_;
    const std::string place_;
    const bool over_tcp_;
    RedisAddresses addresses_;
    const std::string password_file_;
    const std::string configured_password_;
    const ngx_msec_t connect_timeout_;
    const TlsContext tls_context_;  // null: not over TLS
    const std::string host_;        // whom the server's certificate must name

    redis::Backoff backoff_;
    State state_ = State::down;
    bool has_worked_ = false;  // the owner said so of this connection
    ngx_msec_t came_up_at_ = 0;

    ngx_connection_t* connection_ = nullptr;
    std::unique_ptr<TlsSession> tls_;  // from the moment that TCP is up, with rediss://
    ngx_log_t quiet_log_{};            // nginx' own lines about this connection: we write better ones, less often
    WorkerEvent<RedisSocket> connect_timer_;
    WorkerEvent<RedisSocket> retry_timer_;
    WorkerEvent<RedisSocket> flush_event_;
};

}  // namespace apikey::ngx
