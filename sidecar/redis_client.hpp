// One connection to Redis, blocking, with deadlines: core's pipeline over an Asio stream (TCP, with or without TLS, or a
// Unix socket). A name is looked up at every connection, within the same deadline.
//
//   client.send({"GET", name});  client.send({"PING"});
//   client.exchange([](std::size_t nth, const redis::ReplyView& reply) { ... });   // one write, all replies
//
// Anything that goes wrong throws RedisError; the connection is then unusable and to be thrown away.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/redis/pipeline.hpp"
#include "core/redis/url.hpp"
#include "core/tls_session.hpp"

namespace apikey {

struct Settings;

struct RedisTarget {
    redis::Url url;
    std::string password_file;                // empty: the URL's password. Read at every connection (hazard R9)
    std::string ca_file;                      // of rediss://; empty: the system's. Read at every connection, too
    std::chrono::milliseconds timeout{2000};  // of connecting, and of one exchange
};

// The Redis that the settings name.
RedisTarget redis_target(const Settings& settings);

class RedisClient {
  public:
    // Connects, authenticates and selects the database. Throws RedisError.
    explicit RedisClient(const RedisTarget& target);

    // Queues a command for the next exchange(). What is queued is written early when it gets long, so that
    // Redis works while the caller still makes commands.
    void send(std::initializer_list<std::string_view> arguments) {
        send(std::span<const std::string_view>(arguments.begin(), arguments.size()));
    }
    void send(std::span<const std::string_view> arguments);

    // Commands whose replies the next exchange() will hand over.
    [[nodiscard]] std::size_t queued() const noexcept { return pipeline_.outstanding(); }

    // Sends what is queued and hands over one reply per command, in order; a reply is valid during the call.
    using OnReply = std::function<void(std::size_t nth, const redis::ReplyView& reply)>;
    void exchange(const OnReply& on_reply);

    // --- after SUBSCRIBE, when replies come that answer no command ---

    // Readable when take() may find something.
    [[nodiscard]] int descriptor() { return socket_.native_handle(); }
    // Sends what is queued; its replies come out of take() like everything else.
    void push();
    // Hands over what has come, without waiting: what one read gives, so that whoever publishes without a break does not
    // keep the caller here. descriptor() stays readable while there is more. Throws RedisError, also when the connection
    // is gone.
    void take(const OnReply& on_reply);

    // One command whose reply must be text or nil (nil reads as empty), e.g. GET. Error replies throw.
    std::string text(std::initializer_list<std::string_view> arguments);

  private:
    using Socket = boost::asio::generic::stream_protocol::socket;
    using Clock = std::chrono::steady_clock;

    void connect_unix(const std::string& path);
    void connect_tcp(const std::string& host, std::uint16_t port);
    void start_tls(const RedisTarget& target);
    void greet(const RedisTarget& target);
    void write_all();
    void read_some();
    // Every byte that comes from the socket goes through here, every one for it through write_all(): TLS is in between.
    void feed(std::string_view bytes);
    void write_bytes(std::string_view bytes);
    void write_tls_output();
    std::string_view read_bytes();
    [[noreturn]] void fail(const std::string& why) const;
    bool read_now();
    // Runs what `start` began until it calls back or the deadline passes.
    template <class Start>
    void complete(const char* doing, Start start);

    boost::asio::io_context context_;
    Socket socket_;
    std::unique_ptr<TlsSession> tls_;  // null: not over TLS
    std::string place_;
    std::chrono::milliseconds timeout_;
    Clock::time_point deadline_;
    redis::Pipeline pipeline_;
    std::vector<char> buffer_;
};

// Throws RedisError, in words for an operator, when `reply` is an error.
void must_succeed(const redis::ReplyView& reply);
// What an error reply means and what to do about it; only its code is repeated (the text can hold a hash).
std::string explain(std::string_view error_text);

}  // namespace apikey
