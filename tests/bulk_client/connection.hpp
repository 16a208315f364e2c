// One connection of one client: it sends a batch of requests at once, of different users, and reads their answers in order;
// or leaves before it has them.
#pragma once

#include <deque>
#include <random>
#include <string>

#include "tests/bulk_client/judge.hpp"

namespace apikey::bulk {

// What all connections share.
struct World {
    const KeyList& keys;
    Judge& judge;
    std::mt19937_64 chance;
    double leaves;  // how likely a batch is left early
    std::uint16_t port;
    int epoll;
    std::uint64_t last_nonce;
};

// Seconds, the clock of Python's time.monotonic().
double monotonic();

class Connection {
  public:
    explicit Connection(World& world) : world_(world) {}
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Begins the next batch when the one before is over; ends one that has waited for too long.
    void tick(double now);
    // epoll's events for it.
    void ready(std::uint32_t events);

  private:
    void open();
    void begin(double now);
    void append_request(const Question& question);
    void write();
    void read();
    void take_answers();
    void batch_is_over();
    void leave();
    void lost();
    void close();
    bool likely(double chance);

    World& world_;
    int fd_ = -1;
    std::string out_, in_;
    std::size_t written_ = 0;
    std::deque<Question> questions_;     // unanswered, oldest first
    std::size_t reads_ = 0;              // answers that are read before it leaves
    bool leaves_ = false, cut_ = false;  // cut_: in the middle of a request
    std::size_t batch_ = 0, unavailable_ = 0;
    double rests_until_ = 0;
};

}  // namespace apikey::bulk
