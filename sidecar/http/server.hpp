// The HTTP server: takes connections, gives each a thread, and ends them when apikeyd stops.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "sidecar/event_fd.hpp"
#include "sidecar/http/connection.hpp"
#include "sidecar/http/limits.hpp"
#include "sidecar/http/listen_socket.hpp"
#include "sidecar/log.hpp"

namespace apikey::http {

class Server {
  public:
    // `stop`: no further request is taken. Once it is set and Limits::grace has passed, the server sets `cut`, which ends what is still
    // running. All must outlive the server. `handle` is called from many threads at once.
    Server(ListenSocket& socket, Handler handle, const Limits& limits, const EventFd& stop, EventFd& cut);

    // `now_and_then` is called every few seconds by the same thread. Returns when all connections are closed.
    void run(const std::function<void()>& now_and_then);

  private:
    struct Connection {
        Connection(int fd, const EventFd& cut, std::chrono::milliseconds stall) : stream(fd, cut, stall) {}
        TimedStream stream;
        std::thread thread;
        bool waits = true;  // for a request
        TimedStream::Clock::time_point since = TimedStream::Clock::now();
        bool told_so = false;  // there is no place for it
        bool evicted = false;
        bool done = false;
    };

    void take_connections();
    void add(int fd);
    bool make_room();
    bool has_room();
    void serve_one(Connection& connection) noexcept;
    bool waits(Connection& connection, bool now_waits);
    void join_ended();
    void end_all();

    ListenSocket& socket_;
    Handler handle_;
    Handler tell_so_;
    Limits limits_;
    const EventFd& stop_;
    EventFd& cut_;
    QuietLog quiet_;
    EventFd ended_;  // a connection has
    std::mutex mutex_;
    std::list<std::unique_ptr<Connection>>
        connections_;  // the list is the accepting thread's; what changes in them, the mutex'
};

}  // namespace apikey::http
