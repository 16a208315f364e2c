#include "sidecar/http/server.hpp"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace apikey::http {
namespace {

using Clock = TimedStream::Clock;

constexpr std::chrono::seconds kNowAndThen{5};
constexpr std::chrono::milliseconds kRest{100};  // after a connection could not be taken

}  // namespace

Server::Server(ListenSocket& socket, Handler handle, const Limits& limits, const EventFd& stop, EventFd& cut)
    : socket_(socket),
      handle_(std::move(handle)),
      tell_so_([](Exchange& exchange) { exchange.answer(unavailable("apikeyd has no connection left.")); }),
      limits_(limits),
      stop_(stop),
      cut_(cut) {}

void Server::run(const std::function<void()>& now_and_then) {
    spdlog::info("http: listens on {}", socket_.path());
    auto next = Clock::now() + kNowAndThen;
    while (!stop_.is_set()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
        wait_readable({socket_.fd(), stop_.fd(), ended_.fd()}, std::max(left, std::chrono::milliseconds(0)));
        join_ended();
        take_connections();
        if (Clock::now() < next) continue;
        next = Clock::now() + kNowAndThen;
        now_and_then();
    }
    socket_.close();
    end_all();
}

// As many as wait, and at most a few at once, so that what ends is seen between them.
void Server::take_connections() {
    constexpr int kAtOnce = 32;
    for (int i = 0; i < kAtOnce && !stop_.is_set(); ++i) {
        const int fd = accept4(socket_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            add(fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return;
        quiet_.warn("http: no connection can be taken: " + std::generic_category().message(errno));
        wait_readable({stop_.fd()}, kRest);  // it would be readable again at once
        return;
    }
}

void Server::add(int fd) {
    std::unique_ptr<Connection> connection;
    try {
        connection = std::make_unique<Connection>(fd, cut_, limits_.stall);
    } catch (...) {
        close(fd);
        quiet_.warn("http: no memory for a connection");
        return;
    }
    try {
        if (connections_.size() >= limits_.connections) join_ended();
        connection->told_so = connections_.size() >= limits_.connections && !make_room();
        if (!has_room()) {
            quiet_.warn("http: too many connections; hanging up");
            return;
        }
        Connection& added = *connections_.emplace_back(std::move(connection));
        added.thread = std::thread([this, &added] { serve_one(added); });
    } catch (const std::exception& error) {
        if (!connection && !connections_.back()->thread.joinable()) connections_.pop_back();
        quiet_.warn("http: no thread for a connection",
                    std::string("http: no thread for a connection: ") + error.what());
    }
}

// Those that were hung up on take a moment to end.
bool Server::has_room() {
    const std::size_t most = limits_.connections + limits_.told_so;
    if (connections_.size() < most) return true;
    wait_readable({ended_.fd(), stop_.fd()}, kRest);
    join_ended();
    return connections_.size() < most;
}

// Of those that wait for a request, the one that does so the longest is hung up on. False: all are busy.
bool Server::make_room() {
    const std::lock_guard lock(mutex_);
    Connection* oldest = nullptr;
    for (const auto& each : connections_) {
        if (each->waits && !each->evicted && !each->done && (oldest == nullptr || each->since < oldest->since))
            oldest = each.get();
    }
    if (oldest == nullptr) return false;
    oldest->evicted = true;
    shutdown(oldest->stream.fd(), SHUT_RDWR);
    return true;
}

void Server::serve_one(Connection& connection) noexcept {
    serve(connection.stream, {connection.told_so ? tell_so_ : handle_, limits_, stop_,
                              [&] { return waits(connection, true); }, [&] { return waits(connection, false); }});
    shutdown(connection.stream.fd(), SHUT_RDWR);  // at once: the descriptor is closed by whoever joins us
    const std::lock_guard lock(mutex_);
    connection.done = true;
    ended_.set();
}

bool Server::waits(Connection& connection, bool now_waits) {
    const std::lock_guard lock(mutex_);
    if (now_waits) connection.since = Clock::now();
    connection.waits = now_waits;
    return !connection.evicted;
}

void Server::join_ended() {
    ended_.clear();
    std::list<std::unique_ptr<Connection>> ended;
    {
        const std::lock_guard lock(mutex_);
        for (auto each = connections_.begin(); each != connections_.end();) {
            const auto at = each++;
            if ((*at)->done) ended.splice(ended.end(), connections_, at);
        }
    }
    for (const auto& each : ended)
        each->thread.join();
}

void Server::end_all() {
    const auto end = Clock::now() + limits_.grace;
    for (join_ended(); !connections_.empty(); join_ended()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
        if (left.count() <= 0 && !cut_.is_set()) {
            spdlog::info("http: {} request{} cut", connections_.size(), connections_.size() == 1 ? " is" : "s are");
            cut_.set();
        }
        wait_readable({ended_.fd()}, cut_.is_set() ? std::chrono::milliseconds(kNowAndThen) : left);
    }
    cut_.set();
}

}  // namespace apikey::http
