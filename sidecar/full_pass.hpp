// Makes Redis hold exactly the active keys of Postgres (DESIGN §4.4, §4.5). Two kinds:
//
//   rebuild  The epoch is absent or of another run of Redis: nothing there proves anything, and nginx trusts
//            nothing. Removes all keys, writes those of Postgres, sets the epoch.
//   verify   The epoch is of this run: compares and repairs what differs, tells the workers about it, and
//            leaves the epoch alone. Costs nginx nothing, so it can be made often.
//
// Why a revoked key cannot come back (C10, C11): all is done by one thread, one step after the other. Rows
// are read ahead, but no notice is handled between the reading of a row and its writing: where notices wait,
// what was read ahead is thrown away and read again after them. So a revocation that a row did not show yet
// is handled after that row was written, and ends with a DEL. (To forget this is not possible: the connection
// takes no other query while rows are read ahead.)
// Why a flush in the middle cannot be missed (C12): it takes apikey:leader with it, and every write, that of
// the epoch too, is fenced by it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/key_mirror.hpp"

namespace apikey {

class FullPass {
  public:
    struct Hooks {
        // A rebuild begins: whatever is known of the workers may have been lost with the epoch.
        std::function<void()> rebuild_begins;
        // Is there anything else to do? Only looks; must not ask Postgres.
        std::function<bool()> others_wait;
        // Does it: above all handles notices. May throw what a term throws.
        std::function<void()> do_others;
        // verify only: Redis is full, these keys must be tried again later.
        std::function<void(const std::vector<const KeyBatch::Key*>&)> postpone;
        // rebuild only: Redis is full; wait a moment before the batch is tried again.
        std::function<void()> wait_for_memory;
    };
    struct Report {
        bool rebuilt = false;
        std::uint64_t keys = 0;       // active in Postgres
        std::uint64_t written = 0;    // of them, not so in Redis
        std::uint64_t removed = 0;    // from Redis
        std::uint64_t postponed = 0;  // not so in Redis still: it was full
        std::string epoch;            // what apikey:epoch says now
    };

    FullPass(KeyMirror& mirror, RedisClient& redis, const redis::Names& names, Hooks hooks)
        : mirror_(mirror), redis_(redis), names_(names), hooks_(std::move(hooks)) {}

    // Throws LeadershipLost, RedisError, PostgresError and what the hooks throw.
    Report run();

  private:
    void read_epoch();
    void copy_rows();
    bool copy_batch(const KeyBatch& batch);
    void remember(const KeyBatch& batch);
    // Hands over the hashes that Redis holds, piece by piece; the same may come twice.
    void for_all_in_redis(const std::function<void(std::vector<std::string>&)>& handle);
    // Removes those of `hashes` that are not active, and leaves only them in it.
    void remove_strays(std::vector<std::string>& hashes);
    void remove(const std::vector<std::string>& hashes);
    void set_epoch();
    [[nodiscard]] KeyMirror::Announcement announcement() const;

    KeyMirror& mirror_;
    RedisClient& redis_;
    const redis::Names& names_;
    Hooks hooks_;
    std::string run_id_;
    // The first 8 bytes of each hash that was copied: 8 bytes a key, so that strays are found without asking
    // Postgres about every key a second time.
    std::vector<std::uint64_t> copied_;
    Report report_;
};

}  // namespace apikey
