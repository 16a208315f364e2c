// Carries usage from the stream in Redis to Postgres, for ever, in one thread: reads entries, applies them as batches,
// acknowledges them. Every apikeyd does, whoever leads; they share the stream's entries.
//
// Nothing is kept across a failure. Whatever breaks, both connections are made anew, and what was handed to this consumer
// and not acknowledged is fetched again; that a batch is applied twice is for Postgres to prevent (usage_writer.hpp).
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/redis/names.hpp"
#include "sidecar/event_fd.hpp"
#include "sidecar/log.hpp"
#include "sidecar/postgres.hpp"
#include "sidecar/redis_client.hpp"
#include "sidecar/settings.hpp"
#include "sidecar/usage_batch.hpp"
#include "sidecar/usage_counts.hpp"
#include "sidecar/usage_holes.hpp"
#include "sidecar/usage_last_used.hpp"
#include "sidecar/usage_stream_reader.hpp"
#include "sidecar/usage_writer.hpp"

namespace apikey {

class UsageFlusher {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::size_t kMostBytes = std::size_t{4} << 20;  // of one transaction, whatever flush.rows says
    static constexpr std::chrono::seconds kClaimEvery{3};
    static constexpr std::chrono::minutes kForgetEvery{5};
    static constexpr std::chrono::minutes kLogEvery{1};
    // What can neither be applied nor put aside stays where it is and is tried again so often, and holds up nothing, unless
    // there are so many.
    static constexpr std::chrono::minutes kBuryAgain{1};
    static constexpr std::size_t kMostUnburied = 500;
    // What is under way when `stop` is set gets this long to be committed.
    static constexpr std::chrono::seconds kStopGrace{3};

    // All must outlive it.
    UsageFlusher(const Settings& settings, const EventFd& stop, UsageCounts& counts);

    // Returns when `stop` is set. Throws SchemaMismatch.
    void run();

  private:
    // Entries of one transaction. They stay where they are, for the batches look at them.
    struct Group {
        std::deque<UsageEntry> entries;
        std::set<std::string> ids;         // of the batches
        std::vector<UsageBatch> batches;   // each id once
        std::vector<std::string> handled;  // to be acknowledged when the batches are applied
        // With the reasons. They come last: a Redis that is full takes none into the dead stream, but what is acknowledged.
        std::vector<std::pair<const UsageEntry*, std::string>> refused;
        std::size_t rows = 0;  // of the transaction that counts
        std::size_t keys = 0;  // of that of last_used_at
        std::size_t bytes = 0;
    };
    // One pair of connections.
    struct Links {
        Postgres& postgres;
        UsageWriter& writer;
        UsageStreamReader& stream;
    };

    void one_session();
    void serve(Links links);
    void make_group(UsageStreamReader& stream);

    // True: there may be more at once.
    bool collect_pending(Links links, Group& group);
    bool collect_new(Links links, Group& group);
    void take_in(UsageEntry entry, Group& group);
    [[nodiscard]] bool is_full(const Group& group) const;

    void apply(Links links, Group& group);
    void apply_at_once(Links links, std::span<const UsageBatch> batches);
    void apply_one_by_one(Links links, Group& group);
    void count(const UsageWriter::Report& report, std::span<const UsageBatch> batches);
    void bury(Links links, const UsageEntry& entry, const std::string& reason);
    // Without those that are not to be tried yet.
    std::vector<std::string> pending_and_due(UsageStreamReader& stream);
    void lose(const std::vector<std::string>& ids);

    void look_around(Links links);
    void claim(Links links);
    void log_what_happened();

    const Settings& settings_;
    const EventFd& stop_;
    UsageCounts& counts_;
    RedisTarget redis_target_;
    redis::Names names_;
    std::string consumer_;
    QuietLog quiet_;
    UsageLog log_;
    UsageHoles holes_;
    UsageLastUsed last_used_;
    std::map<std::string, Clock::time_point> unburied_;  // pending entries of ours, each not to be tried before
    bool had_group_ = false;
    bool has_pending_ = true;  // entries may have been handed to us that nobody works on
    std::string last_entry_;   // of those that were read as new ones
    Clock::time_point next_claim_{};
    Clock::time_point next_forget_{};
    Clock::time_point next_log_{};
};

}  // namespace apikey
