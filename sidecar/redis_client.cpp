#include "sidecar/redis_client.hpp"

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "core/secret_file.hpp"
#include "sidecar/own_thread.hpp"
#include "sidecar/settings.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr int kMostLookups = 16;  // that hang at the same time
constexpr std::size_t kReadBytes = std::size_t{256} * 1024;
constexpr std::size_t kPlainBytes = std::size_t{16} * 1024;  // a TLS record has no more
constexpr std::size_t kWriteEarlyBytes = std::size_t{16} * 1024;
// SCAN and EXEC answer with thousands of elements.
constexpr redis::Pipeline::Limits kLimits = {std::size_t{4} << 20, std::size_t{4} << 20, 65'536};

std::string read_password(const std::string& file) {
    auto password = read_secret_file(file.c_str());
    if (!password)
        throw RedisError("redis_password_file " + file + " cannot be read, or has no password on its first line");
    return std::move(*password);
}

struct Found {
    error_code error;
    asio::ip::tcp::resolver::results_type addresses;
};

// Nothing: not within that time. Not by async_resolve(): the destructor of its context waits for getaddrinfo() however long
// that takes, which is half a minute and more when DNS is silent.
std::optional<Found> look_up(const std::string& host, std::uint16_t port, std::chrono::milliseconds most) {
    static std::atomic<int> under_way = 0;
    if (under_way >= kMostLookups) return std::nullopt;
    ++under_way;
    const std::shared_ptr<void> counted(nullptr, [](void*) { --under_way; });
    const std::function<Found()> call = [host, port, counted] {
        asio::io_context context;
        Found found;
        found.addresses = asio::ip::tcp::resolver(context).resolve(host, std::to_string(port), found.error);
        return found;
    };
    return in_own_thread(call, most, nullptr);
}

}  // namespace

std::string explain(std::string_view error_text) {
    const std::string code(redis::error_code(error_text));
    if (code == "NOAUTH") return "Redis wants a password (NOAUTH): set redis_password_file";
    if (code == "WRONGPASS") return "Redis refuses user or password (WRONGPASS)";
    if (code == "NOPERM") {
        return "the Redis user may not do this (NOPERM): docs/operations.md lists the ACL of apikeyd";
    }
    if (code == "LOADING") return "Redis is loading its data (LOADING)";
    if (code == "READONLY") return "this Redis is a replica (READONLY): let `redis` name the master";
    if (code == "OOM") return "Redis is full (OOM): raise maxmemory";
    if (code == "MISCONF") return "Redis refuses writes since it cannot save (MISCONF): see its log";
    return "Redis answered " + code;
}

void must_succeed(const redis::ReplyView& reply) {
    if (reply.is(redis::ReplyType::error)) throw RedisError(explain(reply.text()));
}

RedisTarget redis_target(const Settings& settings) {
    return {settings.redis, settings.redis_password_file, settings.redis_ca_file};
}

RedisClient::RedisClient(const RedisTarget& target)
    : socket_(context_),
      place_(redis::display(target.url)),
      timeout_(target.timeout),
      deadline_(Clock::now() + timeout_),
      pipeline_(kLimits),
      buffer_(kReadBytes) {
    if (target.url.unix_path.empty()) {
        connect_tcp(target.url.host, target.url.port);
    } else {
        connect_unix(target.url.unix_path);
    }
    if (target.url.tls) start_tls(target);
    greet(target);
}

void RedisClient::fail(const std::string& why) const {
    throw RedisError("Redis at " + place_ + ": " + why);
}

template <class Start>
void RedisClient::complete(const char* doing, Start start) {
    error_code result = asio::error::would_block;
    start([&result](const error_code& error, auto&&...) { result = error; });
    context_.restart();
    context_.run_until(deadline_);
    if (!context_.stopped()) {
        context_.stop();
        fail("no answer within " + std::to_string(timeout_.count()) + " ms while " + doing);
    }
    if (result) fail(result.message() + " while " + doing);
}

void RedisClient::connect_unix(const std::string& path) {
    const Socket::endpoint_type endpoint(asio::local::stream_protocol::endpoint{path});
    complete("connecting", [&](auto done) { socket_.async_connect(endpoint, done); });
}

void RedisClient::connect_tcp(const std::string& host, std::uint16_t port) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
    const auto found = look_up(host, port, left);
    if (!found) fail("no answer within " + std::to_string(timeout_.count()) + " ms while looking up its name");
    if (found->error) fail(found->error.message() + " while looking up its name");
    const auto& addresses = found->addresses;
    asio::ip::tcp::socket tcp(context_);
    complete("connecting", [&](auto done) { asio::async_connect(tcp, addresses, done); });
    tcp.set_option(asio::ip::tcp::no_delay(true));
    tcp.set_option(asio::socket_base::keep_alive(true));
    socket_ = std::move(tcp);
}

void RedisClient::start_tls(const RedisTarget& target) {
    const auto context = make_tls_context(target.ca_file);
    if (!context) throw RedisError("redis_ca_file " + context.error());
    tls_ = std::make_unique<TlsSession>(*context, target.url.host);
    write_tls_output();
    while (!tls_->is_up()) {
        const bool good = tls_->feed(read_bytes());
        write_tls_output();
        if (!good) fail(tls_->why());
    }
}

void RedisClient::greet(const RedisTarget& target) {
    const std::string password =
        target.password_file.empty() ? target.url.password : read_password(target.password_file);
    const std::string database = std::to_string(target.url.database);
    if (!password.empty()) {
        if (target.url.user.empty()) {
            send({"AUTH", password});
        } else {
            send({"AUTH", target.url.user, password});
        }
    }
    if (target.url.database != 0) send({"SELECT", database});
    send({"PING"});
    exchange([](std::size_t, const redis::ReplyView& reply) { must_succeed(reply); });
}

void RedisClient::send(std::span<const std::string_view> arguments) {
    if (pipeline_.outstanding() == 0) deadline_ = Clock::now() + timeout_;
    pipeline_.send(0, arguments);
    if (pipeline_.output().size() >= kWriteEarlyBytes) write_all();
}

void RedisClient::exchange(const OnReply& on_reply) {
    deadline_ = Clock::now() + timeout_;
    write_all();
    std::size_t nth = 0;
    static const redis::Reply kNone;
    redis::Pipeline::Answer answer{0, redis::ReplyView(kNone, 0)};
    while (pipeline_.outstanding() > 0) {
        switch (pipeline_.next(&answer)) {
            case redis::Pipeline::Next::answer: on_reply(nth++, answer.reply); break;
            case redis::Pipeline::Next::need_bytes: read_some(); break;
            case redis::Pipeline::Next::failed: fail("sent " + pipeline_.failure());
        }
    }
}

void RedisClient::push() {
    deadline_ = Clock::now() + timeout_;
    write_all();
}

void RedisClient::take(const OnReply& on_reply) {
    std::size_t nth = 0;
    static const redis::Reply kNone;
    redis::Pipeline::Answer answer{0, redis::ReplyView(kNone, 0)};
    for (bool has_read = false;;) {
        if (pipeline_.outstanding() == 0) pipeline_.expect(0);
        switch (pipeline_.next(&answer)) {
            case redis::Pipeline::Next::answer: on_reply(nth++, answer.reply); break;
            case redis::Pipeline::Next::need_bytes:
                if (has_read || !read_now()) return;
                has_read = true;
                break;
            case redis::Pipeline::Next::failed: fail("sent " + pipeline_.failure());
        }
    }
}

std::string RedisClient::text(std::initializer_list<std::string_view> arguments) {
    std::string answer;
    send(arguments);
    exchange([&answer](std::size_t, const redis::ReplyView& reply) {
        must_succeed(reply);
        answer = reply.text();
    });
    return answer;
}

void RedisClient::write_all() {
    const std::string_view bytes = pipeline_.output();
    if (bytes.empty()) return;
    if (!tls_) {
        write_bytes(bytes);
    } else {
        if (!tls_->write(bytes)) fail(tls_->why());
        write_tls_output();
    }
    pipeline_.written(bytes.size());
}

void RedisClient::read_some() {
    feed(read_bytes());
}

void RedisClient::feed(std::string_view bytes) {
    if (!tls_) return pipeline_.feed(bytes);
    bool good = tls_->feed(bytes);
    std::array<char, kPlainBytes> plain;  // NOLINT: only what is used is written and read
    while (good) {
        const auto count = tls_->read(plain);
        good = count.has_value();
        if (!good || *count == 0) break;
        pipeline_.feed({plain.data(), *count});
    }
    write_tls_output();
    if (!good) fail(tls_->why());
}

void RedisClient::write_tls_output() {
    const std::string_view bytes = tls_->output();
    if (bytes.empty()) return;
    write_bytes(bytes);
    tls_->written(bytes.size());
}

void RedisClient::write_bytes(std::string_view bytes) {
    complete("sending", [&](auto done) { asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()), done); });
}

std::string_view RedisClient::read_bytes() {
    std::size_t count = 0;
    complete(tls_ && !tls_->is_up() ? "waiting for its TLS handshake" : "waiting for its answer", [&](auto done) {
        socket_.async_read_some(asio::buffer(buffer_), [&count, done](const error_code& error, std::size_t n) {
            count = n;
            done(error);
        });
    });
    return {buffer_.data(), count};
}

// False: nothing has come.
bool RedisClient::read_now() {
    const ssize_t count = recv(socket_.native_handle(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (count < 0) fail(std::generic_category().message(errno));
    if (count == 0) fail("it closed the connection");
    feed({buffer_.data(), static_cast<std::size_t>(count)});
    return true;
}

}  // namespace apikey
