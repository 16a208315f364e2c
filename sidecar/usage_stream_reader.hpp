// The stream apikey:usage as one consumer of the group apikeyd sees it: what is new, what was handed out and not acknowledged,
// and the dead stream beside it.
//
// What was handed out is fetched entry by entry, and never one that is too large to hold: so an entry which broke the
// connection when it was read as a new one is found, named and put aside the next time.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/redis/names.hpp"
#include "sidecar/redis_client.hpp"
#include "sidecar/usage_batch.hpp"

namespace apikey {

class UsageStreamReader {
  public:
    static constexpr std::size_t kMostEntryBytes = std::size_t{1} << 20;  // nginx makes them of some 64 KiB
    static constexpr std::size_t kReadAtOnce = 32;                        // entries, within what a reply may have
    // A consumer that has done nothing with an entry for so long is taken for dead. More than a live one waits for locks; if
    // it lives after all, the batch is applied once all the same.
    static constexpr std::chrono::milliseconds kClaimAfter{7000};
    static constexpr std::chrono::minutes kForgetAfter{10};
    // Of the dead stream: the oldest are kept, since the first one shows how it began. An entry that is larger than nginx makes
    // them, or has more fields, is kept without them.
    static constexpr std::uint64_t kMostDead = 1000;
    static constexpr std::size_t kMostDeadBytes = std::size_t{128} * 1024;
    static constexpr std::size_t kMostDeadFields = 100;

    // All functions throw RedisError.
    UsageStreamReader(RedisClient& redis, const redis::Names& names, std::string consumer);

    // Makes the group, from the first entry on, and the stream; in a full Redis, too. False: it was there.
    bool make_group();
    // The id of the stream's first entry; empty: it has none.
    std::string first_id();

    // At most kReadAtOnce new entries.
    std::vector<UsageEntry> read_new();

    // Takes over what dead consumers were handed. `gone`: ids of theirs that are not in the stream any more.
    struct Claimed {
        std::size_t count = 0;
        std::vector<std::string> gone;
    };
    Claimed claim();
    // Ids that were handed to us and not acknowledged, the first so many of them.
    std::vector<std::string> pending();
    struct Fetched {
        std::vector<UsageEntry> entries;
        std::vector<std::string> gone;      // not in the stream any more
        std::vector<UsageEntry> too_large;  // only `id` and a field that tells its size
    };
    // At most kReadAtOnce of `ids`, from `begin` on.
    Fetched fetch(const std::vector<std::string>& ids, std::size_t begin);

    // They are done with: out of the group and of the stream. A full Redis does it, too.
    void acknowledge(const std::vector<std::string>& ids);
    struct Burial {
        enum class Outcome : std::uint8_t {
            buried,   // in the dead stream, acknowledged
            dropped,  // that is full: only acknowledged
            refused   // nothing has changed
        };
        Outcome outcome = Outcome::refused;
        std::string why;  // Redis refuses it, in words for an operator
    };
    // Puts an entry into the dead stream with the reason, and acknowledges it. A full Redis does it, too.
    Burial bury(const UsageEntry& entry, const std::string& reason);

    // Forgets consumers that have nothing and did nothing for kForgetAfter.
    void forget_dead_consumers();
    // This one, when it has nothing.
    void leave();

  private:
    void forget_consumers(std::chrono::milliseconds idle, const std::string& name);

    RedisClient& redis_;
    const redis::Names& names_;
    std::string consumer_;
};

}  // namespace apikey
