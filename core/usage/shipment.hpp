// Which batches of one place (a slot, or the spool) are on their way to Redis, and which are there for good (DESIGN §4.8).
//
//   waiting ──sent()──▶ sent ──answered(taken)──▶ taken ──kSettle later, and heard from again──▶ may be freed
//      ▲                  │ refused, or the connection lost                                 │
//      └──────────────────┴───────────── Redis may have lost what it took ◀─────────────────┘
//
// What Redis took it may lose in the next moments: a power cut before its log is on disk, a failover to a replica that is
// behind. Both end the connection. So a batch is kept until a reply has come on the same connection kSettle after Redis
// took it, and else is sent again, under the same number; apikeyd counts a number once.
//
// Batches are freed in their order. Time is in milliseconds of any clock that does not go back.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "core/redis/millis.hpp"

namespace apikey::usage {

class Shipment {
  public:
    static constexpr redis::Millis kSettle = 3000;

    // The place's first batch has the number `first`.
    explicit Shipment(std::uint64_t first) noexcept : first_(first), next_(first) {}

    // The next to be sent, of those below `end`: what came back first, else what was never sent. Nothing: none waits.
    [[nodiscard]] std::optional<std::uint64_t> next(std::uint64_t end);
    void sent(std::uint64_t number);
    // What Redis said to it, on the connection on which it was sent.
    void answered(std::uint64_t number, bool taken, redis::Millis now);
    // The connection is gone: all goes again. How many had been taken or were under way.
    std::uint64_t disconnected();
    // Redis may have lost what it took (FLUSHALL), on a connection that lives: that goes again, what is under way does
    // not. How many.
    std::uint64_t lost();

    // Batches below this number may be freed, when Redis was last heard from at `heard`.
    [[nodiscard]] std::uint64_t settled(redis::Millis heard) const;
    // Those below this number Redis has taken, settled or not.
    [[nodiscard]] std::uint64_t taken() const;
    // They are: all below `end`.
    void freed(std::uint64_t end);

    [[nodiscard]] bool is_under_way() const noexcept { return under_way_ != 0; }  // sent, not answered
    // All below `end` have been taken.
    [[nodiscard]] bool all_taken(std::uint64_t end) const;

  private:
    enum class State : std::uint8_t { waiting, sent, taken };
    struct Entry {
        State state = State::waiting;
        redis::Millis taken_at = 0;
    };
    Entry& entry(std::uint64_t number) { return entries_[number - first_]; }
    template <class Which>
    std::uint64_t send_again(Which which);
    template <class Is>
    [[nodiscard]] std::uint64_t first_that(Is is) const;

    std::deque<Entry> entries_;  // of first_ and those behind it, as far as they were ever sent
    std::uint64_t first_;
    std::uint64_t next_;  // all below it are sent or taken
    std::uint64_t under_way_ = 0;
};

}  // namespace apikey::usage
