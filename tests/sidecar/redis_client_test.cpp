// What a connection to Redis does with messages that come by themselves, against a server that is a socket of this test.
#include "sidecar/redis_client.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>

namespace apikey {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kMessage = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n";

// Listens on a Unix socket, takes one client and answers its PING.
class Server {
  public:
    Server() : path_(testing::TempDir() + "apikey-redis-" + std::to_string(getpid()) + ".sock") {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path_.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
        EXPECT_EQ(bind(listening_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(listen(listening_, 1), 0);
        greeter_ = std::thread([this] {
            client_ = accept(listening_, nullptr, nullptr);
            say("+PONG\r\n");
        });
    }
    ~Server() {
        close(client_);
        close(listening_);
        std::remove(path_.c_str());
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    RedisTarget target() {
        RedisTarget target;
        target.url.unix_path = path_;
        return target;
    }
    void greeted() { greeter_.join(); }
    void say(std::string_view bytes) const {
        EXPECT_EQ(send(client_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    }

  private:
    std::string path_;
    int listening_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client_ = -1;
    std::thread greeter_;
};

bool is_readable(int descriptor) {
    pollfd watched{descriptor, POLLIN, 0};
    return poll(&watched, 1, 0) == 1;
}

TEST(RedisClientTake, HandsOverWhatHasComeAndDoesNotWait) {
    Server server;
    RedisClient client(server.target());
    server.greeted();
    std::size_t heard = 0;
    const auto hear = [&](std::size_t, const redis::ReplyView& reply) {
        EXPECT_EQ(reply[2].text(), "hello");
        ++heard;
    };
    client.take(hear);
    EXPECT_EQ(heard, 0U);
    server.say(std::string(kMessage) + std::string(kMessage.substr(0, 9)));
    client.take(hear);
    EXPECT_EQ(heard, 1U) << "half a message waits for its rest";
    server.say(kMessage.substr(9));
    client.take(hear);
    EXPECT_EQ(heard, 2U);
    EXPECT_FALSE(is_readable(client.descriptor()));
}

// Whoever publishes faster than we read, for ever.
TEST(RedisClientTake, ComesBackFromAFlood) {
    constexpr std::size_t kMuch = 100'000;
    Server server;
    RedisClient client(server.target());
    server.greeted();
    std::size_t heard = 0;
    const auto hear = [&](std::size_t, const redis::ReplyView&) {
        if (++heard < kMuch) server.say(kMessage);
    };
    server.say(kMessage);
    client.take(hear);
    EXPECT_LT(heard, 10U);
    EXPECT_TRUE(is_readable(client.descriptor())) << "the rest makes the caller come again";
    const std::size_t before = heard;
    client.take(hear);
    EXPECT_GT(heard, before) << "and is not lost";
}

}  // namespace
}  // namespace apikey
