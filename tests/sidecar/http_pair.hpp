// For tests of sidecar/http: two ends of a connection, ours and the client's.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include "sidecar/http/connection.hpp"
#include "sidecar/http/timed_stream.hpp"

namespace apikey::http {

using std::chrono::milliseconds;

struct Pair {
    explicit Pair(milliseconds stall = milliseconds(200)) : stream(make(), cut, stall) {}
    ~Pair() { hang_up(); }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;

    void say(std::string_view text) const {
        ASSERT_EQ(send(client, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    }
    // All that comes until the end.
    [[nodiscard]] std::string hear() const {
        std::string all(1 << 20, '\0');
        std::size_t size = 0;
        for (ssize_t bytes = 1; bytes > 0; size += static_cast<std::size_t>(std::max<ssize_t>(bytes, 0)))
            bytes = recv(client, all.data() + size, all.size() - size, 0);
        return all.substr(0, size);
    }
    void hang_up() {
        if (client >= 0) close(client);
        client = -1;
    }

    EventFd cut;
    EventFd stop;
    int client = -1;
    TimedStream stream;

  private:
    int make() {
        int ends[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        client = ends[0];
        return ends[1];
    }
};

// `what` with how long it took.
template <class What>
milliseconds time_of(What what) {
    const auto began = TimedStream::Clock::now();
    what();
    return std::chrono::floor<milliseconds>(TimedStream::Clock::now() - began);
}

}  // namespace apikey::http
