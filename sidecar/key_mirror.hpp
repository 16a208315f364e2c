// Rows of api_keys, and their image in Redis: reads the one, writes the other. What both the notices and the
// full pass are made of. Used by the sync thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/redis/names.hpp"
#include "sidecar/confirmations.hpp"
#include "sidecar/fenced_writer.hpp"
#include "sidecar/keys/key_row.hpp"
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

    // Is called for every batch that was published, and who must confirm it.
    using OnPublished = std::function<void(const Confirmations::Batch&)>;

    KeyMirror(Postgres& postgres, RedisClient& redis, FencedWriter& writer, const redis::Names& names, QuietLog& quiet,
              OnPublished on_published);

    // The active rows after `hash` in the order of key_hash: start() asks for them, take() waits for them,
    // discard() does not want them any more. In between read() must not be called.
    void start_after(const std::string& hash);
    KeyBatch take() { return batch_of(postgres_.finish()); }
    void discard() { postgres_.finish(); }
    // The active rows with these hashes.
    KeyBatch read(const std::vector<std::string_view>& hashes);
    // Which of the batch's keys Redis does not hold exactly so.
    std::vector<const KeyBatch::Key*> different(const KeyBatch& batch);

    // What the workers are told in the same step as the write, and who waits for it.
    struct Announcement {
        enum class What : unsigned char { nothing, each_key, any_key };
        What what = What::each_key;
        std::vector<Receipt> receipts;  // one for each part of a client's change (confirmations.hpp)
    };

    // Deleting needs no memory, so this always succeeds while we lead.
    void remove(const std::vector<std::string_view>& hashes, Announcement announce);
    // What Redis has of keys that are to be put there. of_ours: at most images that this mirror made.
    enum class Before : unsigned char { anything, of_ours };
    // Replaces the keys' images completely. `full`: not all of them were written, and nothing counts as published.
    FencedWriter::Outcome put(const std::vector<const KeyBatch::Key*>& keys, Announcement announce,
                              Before before = Before::anything);
    // Any key may have changed.
    void announce_any(std::vector<Receipt> receipts);
    // The same, together with the proof that every active key is in Redis.
    FencedWriter::Outcome set_epoch(const std::string& epoch);

  private:
    KeyBatch batch_of(PgResult result);
    void send_images(RedisClient& redis, std::span<const KeyBatch::Key* const> keys, Before before) const;
    FencedWriter::Messages messages_for(std::span<const std::string_view> hashes, const Announcement& announce,
                                        bool last);
    void hand_on(std::size_t keys, Announcement announce, Membership workers);

    Postgres& postgres_;
    RedisClient& redis_;
    FencedWriter& writer_;
    const redis::Names& names_;
    QuietLog& quiet_;
    OnPublished on_published_;
    Confirmations::Marker last_marker_ = 0;
};

}  // namespace apikey
