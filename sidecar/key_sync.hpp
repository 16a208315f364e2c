// Keeps the keys in Redis as Postgres has them, for ever: connects to both, competes for the lease, leads a
// term, and when that ends for any reason waits a moment and begins again. Runs in one thread.
//
// Postgres first: who cannot reach it must not hold the lease, so that another apikeyd which can may lead. Who stands by
// listens, too: when the leader dies, its successor tells the clients that still wait.
#pragma once

#include <string>

#include "core/redis/names.hpp"
#include "sidecar/event_fd.hpp"
#include "sidecar/leader_lease.hpp"
#include "sidecar/log.hpp"
#include "sidecar/notice.hpp"
#include "sidecar/postgres.hpp"
#include "sidecar/redis_client.hpp"
#include "sidecar/settings.hpp"

namespace apikey {

class KeySync {
  public:
    // `settings` and `stop` must outlive it.
    KeySync(const Settings& settings, const EventFd& stop);

    // Returns when `stop` is set. Throws SchemaMismatch.
    void run();

  private:
    void one_term();
    std::string wait_for_lease(Postgres& postgres);
    void stand_by(Postgres& postgres);
    void lead(Postgres& postgres, const std::string& token);

    const Settings& settings_;
    const EventFd& stop_;
    RedisTarget redis_target_;
    redis::Names names_;
    QuietLog quiet_;
    LeaderLease lease_;
    UntoldReceipts untold_;
};

}  // namespace apikey
