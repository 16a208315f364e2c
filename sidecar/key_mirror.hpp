// Rows of api_keys, and their image in Redis: reads the one, writes the other. What both the notices and the
// full pass are made of. Used by the sync thread only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/redis/names.hpp"
#include "sidecar/fenced_writer.hpp"
#include "sidecar/key_row.hpp"
#include "sidecar/log.hpp"
#include "sidecar/notice.hpp"
#include "sidecar/postgres.hpp"

namespace apikey {

// Rows as one statement saw them, and which of them can be served. Not movable: `keys` look into `result`.
struct KeyBatch {
    struct Key {
        std::string_view hash;
        KeyFields fields;
    };
    PgResult result;
    std::vector<Key> keys;                     // active, fit to be served
    std::vector<std::string_view> unservable;  // hashes of active rows that nginx could not use
    std::string last_hash;                     // where the next batch begins; empty: that was all
};

class KeyMirror {
  public:
    static constexpr int kBatch = 500;

    KeyMirror(Postgres& postgres, RedisClient& redis, FencedWriter& writer, const redis::Names& names, QuietLog& quiet)
        : postgres_(postgres), redis_(redis), writer_(writer), names_(names), quiet_(quiet) {}

    // The active rows after `hash` in the order of key_hash: start() asks for them, take() waits for them,
    // discard() does not want them any more. In between read() must not be called.
    void start_after(const std::string& hash);
    KeyBatch take() { return batch_of(postgres_.finish()); }
    void discard() { postgres_.finish(); }
    // The active rows with these hashes.
    KeyBatch read(const std::vector<std::string_view>& hashes);
    // Which of the batch's keys Redis does not hold exactly so.
    std::vector<const KeyBatch::Key*> different(const KeyBatch& batch);

    // What the workers are told, beside the write itself.
    struct Announcement {
        std::string_view hash;  // empty: any key may have changed
        Receipt receipt = kNobodyWaits;
    };
    using Announcements = std::vector<Announcement>;

    // Deleting needs no memory, so this always succeeds while we lead.
    void remove(const std::vector<std::string_view>& hashes, const Announcements& announce);
    // Replaces the keys' images completely. `full`: not all of them were written.
    FencedWriter::Outcome put(const std::vector<const KeyBatch::Key*>& keys, const Announcements& announce);

  private:
    KeyBatch batch_of(PgResult result);
    FencedWriter::Outcome put_piece(std::span<const KeyBatch::Key* const> keys, const Announcements& announce);
    void announce_all(RedisClient& redis, const Announcements& announce) const;

    Postgres& postgres_;
    RedisClient& redis_;
    FencedWriter& writer_;
    const redis::Names& names_;
    QuietLog& quiet_;
};

}  // namespace apikey
