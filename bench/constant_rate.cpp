// A load of so many requests a second, whatever the server does: each request is due at a fixed time, and its latency counts from then,
// not from when a connection was free for it. (A generator that waits for the answer first asks a slow server less often, and
// finds it fast: "coordinated omission".)
//
//     bench_constant_rate PORT KEYS_FILE RATE SECONDS CONNECTIONS SEED
//
// Keys are taken from the file at random, over kept connections with one request at a time on each. What is due while none is free is
// sent when one becomes so. Prints `result REQUESTS P50 P99 MAX LATE`: nanoseconds, LATE half of the requests were at most sent behind their
// time, which is this program's own share of P50. Any answer but 200 ends it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using std::chrono::nanoseconds;

constexpr std::chrono::seconds kGiveUp{5};  // on answers that are still to come at the end

[[noreturn]] void fail(std::string_view what) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(what.size()), what.data());
    std::exit(1);
}

struct Connection {
    int socket = -1;
    Time due;              // of the request under way
    std::string received;  // of its answer
};

struct Plan {
    std::uint16_t port = 0;
    std::vector<std::string> requests;  // one for each key, as text
    nanoseconds interval{};
    std::size_t count = 0;
    std::size_t connections = 0;
    std::minstd_rand random;
};

int connect_to(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0 || connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        fail("cannot connect");
    const int on = 1;
    setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return made;
}

// Whether it is a whole answer, which must be 200 and say its length.
bool complete(const std::string& received) {
    const std::size_t head = received.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    if (received.compare(0, 13, "HTTP/1.1 200 ") != 0) fail("answered: " + received.substr(0, received.find('\r')));
    constexpr std::string_view name = "\r\ncontent-length: ";
    for (std::size_t at = received.find("\r\n"); at < head; at = received.find("\r\n", at + 2)) {
        if (strncasecmp(received.data() + at, name.data(), name.size()) != 0) continue;
        return received.size() >= head + 4 + std::strtoul(received.data() + at + name.size(), nullptr, 10);
    }
    fail("an answer without Content-Length");
}

class Load {
  public:
    explicit Load(Plan plan) : plan_(std::move(plan)), connections_(plan_.connections), epoll_(epoll_create1(0)) {
        for (Connection& connection : connections_) {
            connection.socket = connect_to(plan_.port);
            epoll_event event{EPOLLIN, {&connection}};
            if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.socket, &event) != 0) fail("epoll_ctl");
            free_.push_back(&connection);
        }
        latencies_.reserve(plan_.count);
        lateness_.reserve(plan_.count);
    }

    void run() {
        const Time began = Clock::now() + plan_.interval;
        const Time end = began + plan_.count * plan_.interval + kGiveUp;
        while (latencies_.size() < plan_.count) {
            const Time now = Clock::now();
            if (now > end) fail("answers are missing: the server is slower than the rate, or silent");
            const Time due = began + lateness_.size() * plan_.interval;
            const bool all_sent = lateness_.size() == plan_.count;
            if (!all_sent && due <= now && !free_.empty()) {
                send(due, now);
            } else {
                wait(all_sent || free_.empty() ? end - now : due - now);
            }
        }
    }

    void print() {
        std::printf("result %zu %lld %lld %lld %lld\n", latencies_.size(), percentile(latencies_, 50),
                    percentile(latencies_, 99), percentile(latencies_, 100), percentile(lateness_, 50));
    }

  private:
    void send(Time due, Time now) {
        Connection& connection = *free_.back();
        free_.pop_back();
        connection.due = due;
        const std::string& request = plan_.requests[plan_.random() % plan_.requests.size()];
        if (write(connection.socket, request.data(), request.size()) != static_cast<ssize_t>(request.size()))
            fail("cannot send");
        lateness_.push_back(now - due);
    }

    // For answers, no longer than `most`.
    void wait(nanoseconds most) {
        const auto ns = std::max<std::int64_t>(0, most.count());
        const timespec timeout{ns / 1'000'000'000, ns % 1'000'000'000};
        std::array<epoll_event, 64> events{};
        const int count = epoll_pwait2(epoll_, events.data(), events.size(), &timeout, nullptr);
        for (int i = 0; i < count; ++i)
            receive(*static_cast<Connection*>(events[i].data.ptr));
    }

    void receive(Connection& connection) {
        std::array<char, 4096> bytes;  // NOLINT: only what is read is used
        const ssize_t size = read(connection.socket, bytes.data(), bytes.size());
        if (size <= 0) fail("the server closed a connection");
        connection.received.append(bytes.data(), size);
        if (!complete(connection.received)) return;
        latencies_.push_back(Clock::now() - connection.due);
        connection.received.clear();
        free_.push_back(&connection);
    }

    static long long percentile(std::vector<nanoseconds>& values, std::size_t percent) {
        const std::size_t place = (values.size() * percent + 99) / 100 - 1;
        std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(place), values.end());
        return values[place].count();
    }

    Plan plan_;
    std::vector<Connection> connections_;
    std::vector<Connection*> free_;
    std::vector<nanoseconds> latencies_;
    std::vector<nanoseconds> lateness_;  // of what was sent, behind its time
    int epoll_;
};

Plan read_plan(char** argv) {
    Plan plan;
    plan.port = static_cast<std::uint16_t>(std::atoi(argv[1]));
    std::ifstream file(argv[2]);
    for (std::string key; std::getline(file, key);)
        plan.requests.push_back("GET / HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " + key + "\r\n\r\n");
    const long rate = std::atol(argv[3]);
    const long seconds = std::atol(argv[4]);
    if (plan.requests.empty() || rate < 1 || seconds < 1) fail("no keys, or a bad RATE or SECONDS");
    plan.interval = nanoseconds(1'000'000'000 / rate);
    plan.count = static_cast<std::size_t>(rate * seconds);
    plan.connections = std::strtoul(argv[5], nullptr, 10);
    plan.random.seed(static_cast<unsigned>(std::strtoull(argv[6], nullptr, 10)));
    return plan;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 7) fail("bench_constant_rate PORT KEYS_FILE RATE SECONDS CONNECTIONS SEED");
    prctl(PR_SET_TIMERSLACK, 1UL);  // ns; else the kernel wakes us up to 50 us late
    Load load(read_plan(argv));
    load.run();
    load.print();
}
