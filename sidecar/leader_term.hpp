// One term as the leader: from the moment the lease is held until anything goes wrong with it, with Postgres
// or with Redis. Then everything is dropped, connections too, and the next term begins from nothing: LISTEN
// first, then a full pass, so that no change can fall in between (C9).
//
// A change is in force when Redis has it and the workers have confirmed that they have applied it. Then whoever waits
// for its receipt is told over apikey_done; but not before the epoch is set, since until then nginx trusts nothing that
// Redis says.
#pragma once

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "core/redis/names.hpp"
#include "sidecar/confirmation_collector.hpp"
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
    // More keys than these are not remembered one by one while Redis is full; a full pass finds them again.
    static constexpr std::size_t kMostPostponed = 50'000;
    // A server that does not answer this is gone, whatever TCP says.
    static constexpr std::chrono::seconds kHeartbeatEvery{3};

    struct Parts {
        Postgres& postgres;
        RedisClient& redis;
        const RedisTarget& target;  // for a second connection
        LeaderLease& lease;
        const redis::Names& names;
        const EventFd& stop;
        QuietLog& quiet;
    };
    // `token`: of the lease, which is held. Postgres LISTENs to apikey_changed. Throws as lead() does.
    LeaderTerm(Parts parts, const std::string& token);
    ~LeaderTerm() { parts_.postgres.hear({}); }
    LeaderTerm(const LeaderTerm&) = delete;
    LeaderTerm& operator=(const LeaderTerm&) = delete;

    // Leads until something throws: Stopped, LeadershipLost, PostgresError, RedisError. `heard`: receipts of changes
    // that were committed before; whoever waits for them is told after the first full pass.
    [[noreturn]] void lead(const std::vector<Receipt>& heard);

    // Receipts that nobody was told about yet.
    [[nodiscard]] std::vector<Receipt> untold() const { return collector_.untold(); }

  private:
    using Clock = std::chrono::steady_clock;

    void full_pass();
    void log_pass(const FullPass::Report& report, Clock::duration took) const;
    // Waits for notices, confirmations, the next pass or the next retry.
    void wait();
    void wait_for_memory();
    void check_still_leading();
    void collect();
    void hear(const PgNotification& notification);
    void add(const Change& change);
    void serve_clients();
    void handle_key_changes();
    void apply(const PendingChanges::ByHash& changes);
    void postpone(const std::string& hash, const std::set<Receipt>& receipts);
    void retry_postponed();
    void make_pending(const PendingChanges::ByHash::node_type& postponed);
    // A pass, or a change, could not be completed for want of memory: it is by the full pass that follows when there is
    // some, and so are these receipts told.
    void leave_to_another_pass(const std::set<Receipt>& receipts);
    void make_up_for_passes();

    Parts parts_;
    std::string token_;
    FencedWriter writer_;
    KeyMirror mirror_;
    ConfirmationCollector collector_;
    PendingChanges pending_;
    PendingChanges::ByHash postponed_;  // Redis was full
    bool another_pass_ = false;         // when all of those are written
    std::set<Receipt> another_pass_receipts_;
    Clock::time_point next_pass_;
    Clock::time_point next_retry_;
    Clock::time_point next_heartbeat_;
};

}  // namespace apikey
