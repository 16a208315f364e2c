// Connections to Postgres for what clients ask, kept for reuse. One that has seen an error, or was left in the middle of something, is
// never used again: nothing of one request can reach the next (hazard V7).
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "sidecar/event_fd.hpp"
#include "sidecar/postgres.hpp"

namespace apikey {

class PostgresPool {
  public:
    static constexpr std::chrono::seconds kMostIdle{60};

    // A connection outside of a transaction. It is closed with the lease, unless it was given back.
    class Lease {
      public:
        Lease(PostgresPool& pool, std::unique_ptr<Postgres> postgres) : pool_(&pool), postgres_(std::move(postgres)) {}
        Postgres& operator*() const noexcept { return *postgres_; }
        // When all has gone well: the next may have it.
        void give_back() { pool_->put(std::move(postgres_)); }

      private:
        PostgresPool* pool_;
        std::unique_ptr<Postgres> postgres_;
    };

    // At most `kept` are kept while nobody uses them. Waits end with Stopped when `cut` is set. Thread-safe.
    PostgresPool(std::string dsn, std::size_t kept, const EventFd& cut);

    // `peer`: a socket; waits end with PeerGone when it hangs up. Throws PostgresError, SchemaMismatch, Stopped, PeerGone.
    Lease take(int peer);
    // Closes what nobody has used for kMostIdle.
    void drop_old();

  private:
    struct Idle {
        std::unique_ptr<Postgres> postgres;
        std::chrono::steady_clock::time_point since;
    };

    void put(std::unique_ptr<Postgres> postgres);
    std::unique_ptr<Postgres> take_idle();

    std::string dsn_;
    std::size_t kept_;
    const EventFd& cut_;
    std::mutex mutex_;
    std::vector<Idle> idle_;  // the last used is the last
};

}  // namespace apikey
