// Moves api_keys.last_used_at forward, beside the transactions that count usage and never in one of them: the table is the
// application's. A row of it that somebody holds, or that a constraint or trigger refuses to change, keeps its own time back
// and nothing else.
//
// Times that could not be written wait here, in memory: they outlive connections, not the process.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sidecar/log.hpp"
#include "sidecar/postgres.hpp"

namespace apikey {

class UsageLastUsed {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::size_t kMostAtOnce = 10'000;  // keys of one transaction, of those that wait
    static constexpr std::size_t kMostWaiting = 100'000;
    static constexpr std::chrono::milliseconds kLockTimeout{100};
    static constexpr std::chrono::seconds kStatementTimeout{5};
    // When a key is tried again that somebody held; that is refused otherwise. The table, where it is not the row.
    static constexpr std::chrono::seconds kHeldAgain{1};
    static constexpr std::chrono::seconds kRefusedAgain{60};
    static constexpr std::chrono::seconds kTableAgain{5};

    // Moves what the batches say that UsageWriter has just applied, also of those that were applied before: somebody may have
    // been killed between the two transactions. Throws PostgresError when the connection breaks, and Stopped; whatever else
    // Postgres says is logged, and the keys wait.
    void move_new(Postgres& postgres);
    // Moves those that wait and are due. Throws the same.
    void move(Postgres& postgres);
    // The same for all that wait, due or not: before the process ends.
    void move_all(Postgres& postgres);

  private:
    struct Waiting {
        std::int64_t used = 0;  // microseconds since 1970
        Clock::time_point due;
    };
    using Keys = std::map<std::string, Waiting>;

    bool move_at_once(Postgres& postgres);
    void fetch_new(Postgres& postgres);
    std::vector<Keys::iterator> take_due(Clock::time_point now);
    void move_some(Postgres& postgres, const std::vector<Keys::iterator>& some);
    void move_each(Postgres& postgres, const std::vector<Keys::iterator>& some);
    void put_off(Keys::iterator key, const std::string& sqlstate, const std::string& message);
    void forget_too_many();

    Keys waiting_;  // in the order of ids, in which they are locked
    Clock::time_point table_due_;
    QuietLog quiet_;
};

}  // namespace apikey
