#include "sidecar/key_mirror.hpp"

#include <algorithm>
#include <array>

#include "core/digest.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using redis::ReplyType;

// Keys in one MULTI: EXEC holds up everybody else's commands, so it is kept below a millisecond or two.
constexpr std::size_t kPiece = 250;

const std::string& rows_after() {
    static const std::string kSql = std::string("SELECT ") + kKeyRowColumns +
                                    " FROM api_keys WHERE key_hash > $1 AND is_active AND revoked_at IS NULL "
                                    "ORDER BY key_hash LIMIT " +
                                    std::to_string(KeyMirror::kBatch);
    return kSql;
}

const std::string& rows_of() {
    static const std::string kSql = std::string("SELECT ") + kKeyRowColumns +
                                    " FROM api_keys WHERE key_hash = ANY ($1::text[]) "
                                    "AND is_active AND revoked_at IS NULL";
    return kSql;
}

// Hashes are hex digits: nothing to quote.
std::string hash_array(const std::vector<std::string_view>& hashes) {
    std::string literal = "{";
    for (const std::string_view hash : hashes) {
        if (literal.size() > 1) literal += ',';
        literal += hash;
    }
    return literal + "}";
}

bool holds(const redis::ReplyView& reply, const KeyFields& fields) {
    if (!reply.is(ReplyType::array) || reply.size() != kFactFields.size()) return false;
    const auto values = fields.values();
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!reply[i].is(ReplyType::string) || reply[i].text() != values[i]) return false;
    }
    return true;
}

}  // namespace

KeyMirror::KeyMirror(Postgres& postgres, RedisClient& redis, FencedWriter& writer, const redis::Names& names,
                     QuietLog& quiet, OnPublished on_published)
    : postgres_(postgres),
      redis_(redis),
      writer_(writer),
      names_(names),
      quiet_(quiet),
      on_published_(std::move(on_published)),
      last_marker_(new_receipt() / 2) {  // a late confirmation from another term is nobody's
    // Rows are only ever read by their hash, which has an index. Of a table that was just filled or restored the planner
    // knows nothing yet, and would scan and sort all of it for each batch of a pass.
    postgres_.execute("SET enable_seqscan = off; SET enable_sort = off");
}

void KeyMirror::start_after(const std::string& hash) {
    postgres_.start(rows_after().c_str(), {hash});
}

KeyBatch KeyMirror::read(const std::vector<std::string_view>& hashes) {
    return batch_of(postgres_.query(rows_of().c_str(), {hash_array(hashes)}));
}

KeyBatch KeyMirror::batch_of(PgResult result) {
    KeyBatch batch;
    batch.result = std::move(result);
    const int count = rows(batch.result);
    batch.keys.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        const KeyRow row = key_row(batch.result, i);
        auto fields = KeyFields::of(row);
        if (fields.ok()) {
            batch.keys.push_back({row.hash, std::move(*fields)});
            continue;
        }
        quiet_.warn(fields.error(), "key " + std::string(row.id) + " cannot be served: " + fields.error());
        if (from_hex(row.hash)) batch.unservable.push_back(row.hash);
    }
    if (count == kBatch) batch.last_hash = cell(batch.result, count - 1, 0);
    return batch;
}

std::vector<const KeyBatch::Key*> KeyMirror::different(const KeyBatch& batch) {
    std::vector<const KeyBatch::Key*> differing;
    if (batch.keys.empty()) return differing;
    std::array<std::string_view, kFactFields.size() + 2> command{"HMGET"};
    std::copy(kFactFields.begin(), kFactFields.end(), command.begin() + 2);
    for (const KeyBatch::Key& key : batch.keys) {
        const std::string name = names_.key(key.hash);
        command[1] = name;
        redis_.send(command);
    }
    redis_.exchange([&](std::size_t nth, const redis::ReplyView& reply) {
        const KeyBatch::Key& key = batch.keys[nth];
        // An error is a key of another type: the write replaces it.
        if (!holds(reply, key.fields)) differing.push_back(&key);
    });
    return differing;
}

void KeyMirror::remove(const std::vector<std::string_view>& hashes, Announcement announce) {
    if (hashes.empty()) return;
    std::vector<std::string> names;
    names.reserve(hashes.size());
    for (const std::string_view hash : hashes)
        names.push_back(names_.key(hash));
    Membership workers = writer_.remove(names, messages_for(hashes, announce, true));
    hand_on(hashes.size(), std::move(announce), std::move(workers));
}

FencedWriter::Outcome KeyMirror::put(const std::vector<const KeyBatch::Key*>& keys, Announcement announce,
                                     Before before) {
    if (keys.empty()) return FencedWriter::Outcome::written;
    Membership workers;
    std::span<const KeyBatch::Key* const> rest(keys);
    while (!rest.empty()) {
        const auto piece = rest.first(std::min(rest.size(), kPiece));
        rest = rest.subspan(piece.size());
        std::vector<std::string_view> hashes;
        for (const KeyBatch::Key* key : piece)
            hashes.push_back(key->hash);
        const auto outcome = writer_.write([&](RedisClient& redis) { send_images(redis, piece, before); },
                                           messages_for(hashes, announce, rest.empty()), workers);
        if (outcome == FencedWriter::Outcome::full) return outcome;
    }
    hand_on(keys.size(), std::move(announce), std::move(workers));
    return FencedWriter::Outcome::written;
}

void KeyMirror::send_images(RedisClient& redis, std::span<const KeyBatch::Key* const> keys, Before before) const {
    std::vector<std::string> names;
    names.reserve(keys.size());
    for (const KeyBatch::Key* key : keys)
        names.push_back(names_.key(key->hash));
    if (before == Before::anything) {
        std::vector<std::string_view> remove{"DEL"};
        remove.insert(remove.end(), names.begin(), names.end());
        redis.send(remove);  // no field of an older image stays
    }
    std::array<std::string_view, 2 + 2 * kFactFields.size()> command{"HSET"};
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const auto values = keys[i]->fields.values();
        command[1] = names[i];
        for (std::size_t field = 0; field < values.size(); ++field) {
            command[2 + 2 * field] = kFactFields[field];
            command[3 + 2 * field] = values[field];
        }
        redis.send(command);
    }
}

void KeyMirror::announce_any(std::vector<Receipt> receipts) {
    Announcement announce{Announcement::What::any_key, std::move(receipts)};
    Membership workers = writer_.remove({}, messages_for({}, announce, true));
    hand_on(0, std::move(announce), std::move(workers));
}

FencedWriter::Outcome KeyMirror::set_epoch(const std::string& epoch) {
    Announcement announce{Announcement::What::any_key, {}};
    Membership workers;
    const auto outcome = writer_.write([&](RedisClient& redis) { redis.send({"SET", names_.epoch, epoch}); },
                                       messages_for({}, announce, true), workers);
    if (outcome == FencedWriter::Outcome::written) hand_on(0, std::move(announce), std::move(workers));
    return outcome;
}

// All with receipt 0 but the last of the whole batch, which asks the workers for their confirmation.
FencedWriter::Messages KeyMirror::messages_for(std::span<const std::string_view> hashes, const Announcement& announce,
                                               bool last) {
    FencedWriter::Messages messages;
    if (announce.what == Announcement::What::nothing) return messages;
    const Receipt marker = last ? ++last_marker_ : kNobodyWaits;
    if (announce.what == Announcement::What::any_key) return {format_change("", marker)};
    messages.reserve(hashes.size());
    for (std::size_t i = 0; i < hashes.size(); ++i)
        messages.push_back(format_change(hashes[i], i + 1 == hashes.size() ? marker : kNobodyWaits));
    return messages;
}

void KeyMirror::hand_on(std::size_t keys, Announcement announce, Membership workers) {
    if (announce.what == Announcement::What::nothing) return;
    on_published_({last_marker_, keys, announce.what == Announcement::What::any_key, std::move(announce.receipts),
                   std::move(workers)});
}

}  // namespace apikey
