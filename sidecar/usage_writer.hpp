// Applies batches to Postgres, each once for ever, many in one transaction (DESIGN §4.9).
//
// The transaction is one message: the server copies the rows into temporary tables first, and from then on waits for nothing
// of ours. So whoever stops, kills or cuts off this process never leaves a lock behind that others wait for: before the first
// lock nothing is held, and after it the server goes on by itself to COMMIT. (A process that stops while it copies holds back
// vacuum; the server ends that after kMostIdle.)
//
// Locks are taken in the order of their keys: of sources, then of usage. The application's table api_keys is not touched
// (usage_last_used.hpp).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "sidecar/postgres.hpp"
#include "sidecar/settings.hpp"
#include "sidecar/usage_batch.hpp"
#include "sidecar/usage_holes.hpp"

namespace apikey {

class UsageWriter {
  public:
    static constexpr int kMostAttempts = 5;  // when transactions got into each other's way
    static constexpr std::chrono::seconds kMostIdle{10};

    struct Report {
        std::uint64_t batches = 0;                            // that had not been applied before
        std::uint64_t rows = 0;                               // of usage_records, new or grown
        std::uint64_t clamped = 0;                            // uses too far in the future to be believed
        std::map<UsageSlotId, std::vector<UsageHole>> holes;  // that the slots of such batches have now, or none
    };

    // Makes the connection ready. Throws PostgresError.
    UsageWriter(Postgres& postgres, const Settings& settings);

    // Applies those that are not applied yet; no two of them may have the same id. Throws PostgresError, and then none is
    // applied, unless it is the connection that broke. The keys of all of them, whether new or not, are in pg_temp.apikey_key
    // afterwards, until the next call, for UsageLastUsed.
    Report apply(std::span<const UsageBatch> batches);

  private:
    Report attempt(std::span<const UsageBatch> batches, std::span<const UsageRow> rows);

    Postgres& postgres_;
    std::string from_there_on_;  // what the server does when it has the rows
    bool by_minute_;             // a bucket is one
    std::minstd_rand random_;
};

// The batch's content is to blame, and it will be refused however often it is tried.
bool is_of_content(const std::string& sqlstate);

}  // namespace apikey
