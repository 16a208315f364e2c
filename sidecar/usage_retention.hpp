// Deletes rows of usage_records that are older than `usage.keep`, live and imported ones alike. Runs in one thread: a round at
// the start and then every hour, over a connection of its own that lasts as long as the round.
//
// A round deletes batches of at most kBatchRows, the oldest first, each in a transaction of its own that takes milliseconds,
// and gives Postgres as long a rest as a batch took. Rows that somebody else has locked are left to the next round. Of several
// apikeyd one deletes at a time. usage_sources is never pruned: it proves what has been counted.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "sidecar/event_fd.hpp"
#include "sidecar/log.hpp"
#include "sidecar/postgres.hpp"
#include "sidecar/settings.hpp"

namespace apikey {

class UsageRetention {
  public:
    static constexpr std::chrono::hours kEvery{1};
    static constexpr int kBatchRows = 5'000;
    static constexpr std::chrono::milliseconds kShortestRest{100};

    // `settings` and `stop` must outlive it.
    UsageRetention(const Settings& settings, const EventFd& stop) : settings_(settings), stop_(stop) {}

    // Returns when `stop` is set, and at once when usage is kept for ever. Throws SchemaMismatch.
    void run();

  private:
    enum class Batch : std::uint8_t { deleted, nothing_left, not_my_turn };

    bool try_round();
    void one_round();
    std::string horizon(Postgres& postgres) const;
    Batch delete_batch(Postgres& postgres, const std::string& horizon);
    void rest(std::chrono::milliseconds most) const;

    const Settings& settings_;
    const EventFd& stop_;
    QuietLog quiet_;
    std::int64_t deleted_ = 0;  // in this round
};

}  // namespace apikey
