// One term as the leader: from the moment the lease is held until anything goes wrong with it, with Postgres
// or with Redis. Then everything is dropped, connections too, and the next term begins from nothing: LISTEN
// first, then a full pass, so that no change can fall in between (C9).
//
// A change is in force when Redis has it. Then whoever waits for its receipt is told over apikey_done; but
// not before the epoch is set, since until then nginx trusts nothing that Redis says.
#pragma once

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "core/redis/names.hpp"
#include "sidecar/event_fd.hpp"
#include "sidecar/fenced_writer.hpp"
#include "sidecar/full_pass.hpp"
#include "sidecar/key_mirror.hpp"
#include "sidecar/leader_lease.hpp"
#include "sidecar/log.hpp"
#include "sidecar/notice.hpp"
#include "sidecar/postgres.hpp"

namespace apikey {

class LeaderTerm {
  public:
    static constexpr std::chrono::minutes kVerifyEvery{3};
    static constexpr std::chrono::milliseconds kRetryWhenFull{500};
    // A server that does not answer this is gone, whatever TCP says.
    static constexpr std::chrono::seconds kHeartbeatEvery{3};

    struct Parts {
        Postgres& postgres;
        RedisClient& redis;
        LeaderLease& lease;
        const redis::Names& names;
        const EventFd& stop;
        QuietLog& quiet;
    };
    // `token`: of the lease, which is held.
    LeaderTerm(Parts parts, const std::string& token);

    // Leads until something throws: Stopped, LeadershipLost, PostgresError, RedisError.
    [[noreturn]] void lead();

  private:
    using Clock = std::chrono::steady_clock;

    void full_pass();
    void log_pass(const FullPass::Report& report, Clock::duration took) const;
    // Waits for notices, the next pass or the next retry.
    void wait();
    void wait_for_memory();
    void check_still_leading();
    void collect();
    void handle_key_changes();
    void apply(const PendingChanges::ByHash& changes);
    void postpone(const std::string& hash, const std::set<Receipt>& receipts);
    void retry_postponed();
    void tell_waiting();

    Parts parts_;
    std::string token_;
    FencedWriter writer_;
    KeyMirror mirror_;
    PendingChanges pending_;
    PendingChanges::ByHash postponed_;  // Redis was full
    std::set<Receipt> applied_;         // in Redis, their waiters not told yet
    bool epoch_set_ = false;
    Clock::time_point next_pass_;
    Clock::time_point next_retry_;
    Clock::time_point next_heartbeat_;
};

}  // namespace apikey
