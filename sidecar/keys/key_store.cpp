#include "sidecar/keys/key_store.hpp"

#include <openssl/rand.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/digest.hpp"
#include "core/key_format.hpp"
#include "core/uuid.hpp"
#include "sidecar/keys/key_refused.hpp"
#include "sidecar/keys/key_row.hpp"
#include "sidecar/user_transaction.hpp"

namespace apikey {
namespace {

using Why = KeyRefused::Why;

// What a key must be allowed to change keys; nginx has asked for it, too (api_key_manage).
constexpr const char* kNeededScope = "keys:write";

#define IS_ACTIVE "coalesce(is_active AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()), false)"

// What rights_of() reads.
constexpr const char* kRights =
    "SELECT to_json(scopes)::text, CASE WHEN isfinite(expires_at) THEN floor(extract(epoch FROM expires_at))::bigint "
    "END, " IS_ACTIVE ", user_id FROM api_keys WHERE id = $1::uuid ";

struct RightsRow {
    KeyRights rights;
    bool active = false;
    std::string user;
};

// Nothing: there is no such row.
std::optional<RightsRow> rights_of(const PgResult& result) {
    if (rows(result) == 0) return std::nullopt;
    RightsRow row;
    row.rights.scopes = scopes_of(text_or_null(result, 0, 0));
    if (!is_null(result, 0, 1)) {
        const std::string_view seconds = cell(result, 0, 1);
        std::int64_t expires = 0;
        std::from_chars(seconds.data(), seconds.data() + seconds.size(), expires);
        row.rights.expires = expires;
    }
    row.active = cell(result, 0, 2) == "t";
    row.user = cell(result, 0, 3);
    return row;
}

KeyRights rights_of(const NewKey& key) {
    KeyRights rights;
    rights.scopes = key.scopes;
    if (key.expires) rights.expires = key.expires->time_since_epoch().count();
    return rights;
}

std::string new_key(std::string_view prefix) {
    std::array<std::uint8_t, 32> random{};
    if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
        throw std::runtime_error("the system has no random numbers");
    }
    return make_key(prefix, random);
}

std::string hash_of(std::string_view key) {
    const auto digest = sha256(key);
    if (!digest) throw std::runtime_error("OpenSSL refuses SHA-256");
    return to_hex_string(*digest);
}

std::string new_id(Postgres& postgres) {
    return std::string(cell(postgres.query("SELECT gen_random_uuid()::text"), 0, 0));
}

std::string returning(const char* statement) {
    return std::string(statement) + " RETURNING " + kRecordColumns;
}

// What is asked for, for a later request with the same Idempotency-Key to be held against.
std::string request_text(const NewKey& key) {
    nlohmann::json scopes;
    if (key.scopes) scopes = *key.scopes;
    nlohmann::json expires;
    if (key.expires) expires = key.expires->time_since_epoch().count();
    return nlohmann::json{"create", key.name, scopes, expires}.dump();
}

std::string request_text(const std::string& rotated, std::chrono::seconds overlap) {
    return nlohmann::json{"rotate", rotated, overlap.count()}.dump();
}

}  // namespace

KeyStore::KeyStore(Postgres& postgres, std::string key_prefix, Actor actor, std::optional<KeyHolder> holder)
    : postgres_(postgres), key_prefix_(std::move(key_prefix)), actor_(std::move(actor)), holder_(std::move(holder)) {}

// --- changing ------------------------------------------------------------------------------------------------------------

MadeKey KeyStore::create(const NewKey& key, Receipt receipt) {
    Transaction transaction(postgres_);
    const auto own = own_rights(Lock::yes);
    if (own) require_within(rights_of(key), *own);
    act_for(key.user, receipt);
    const std::string id = new_id(postgres_);
    const auto before = made_before(key.user, request_text(key), id);
    MadeKey made = before ? reissue(key.user, *before, own) : insert(key, id);
    transaction.commit();
    return made;
}

KeyRecord KeyStore::rename(const std::string& id, const std::string& name, Receipt receipt) {
    Transaction transaction(postgres_);
    own_rights(Lock::no);
    const Place place = find_place(id);
    act_for(place.user, receipt);
    const PgResult result =
        postgres_.query(returning("UPDATE api_keys SET name = $3 WHERE id = $1::uuid AND user_id = $2").c_str(),
                        {id, place.user, name});
    if (rows(result) == 0) throw no_such_key(id);
    announce(place, receipt);
    transaction.commit();
    return record_of(result, 0);
}

KeyRecord KeyStore::revoke(const std::string& id, Receipt receipt) {
    Transaction transaction(postgres_);
    if (!holder_ || id != holder_->key_id) own_rights(Lock::no);  // a key may be told again that it is revoked
    const Place place = find_place(id);
    act_for(place.user, receipt);
    const PgResult result =
        postgres_.query(returning("UPDATE api_keys SET is_active = false, revoked_at = coalesce(revoked_at, now()) "
                                  "WHERE id = $1::uuid AND user_id = $2")
                            .c_str(),
                        {id, place.user});
    if (rows(result) == 0) throw no_such_key(id);
    announce(place, receipt);
    transaction.commit();
    return record_of(result, 0);
}

RotatedKey KeyStore::rotate(const std::string& id, std::chrono::seconds overlap, Receipt receipt) {
    Transaction transaction(postgres_);
    const auto own = own_rights(Lock::yes);
    const Place place = find_place(id);
    act_for(place.user, receipt);
    RotatedKey rotated;
    const std::string successor = new_id(postgres_);
    if (const auto before = made_before(place.user, request_text(id, overlap), successor)) {
        rotated.made = reissue(place.user, *before, own);
    } else {
        require_rotatable(place.user, id);
        rotated.made = insert_successor(place.user, id, successor);
        const auto rights =
            rights_of(postgres_.query((std::string(kRights) + "AND user_id = $2").c_str(), {successor, place.user}));
        if (own && rights) require_within(rights->rights, *own);
    }
    const PgResult result = postgres_.query(
        returning("UPDATE api_keys SET rotated_to = $3::uuid, expires_at = CASE WHEN rotated_to IS NOT NULL "
                  "THEN expires_at ELSE least(expires_at, now() + make_interval(secs => $4::double precision)) END "
                  "WHERE id = $1::uuid AND user_id = $2")
            .c_str(),
        {id, place.user, rotated.made.record.id, std::to_string(overlap.count())});
    if (rows(result) == 0) throw no_such_key(id);
    rotated.old = record_of(result, 0);
    transaction.commit();
    return rotated;
}

// --- its parts -----------------------------------------------------------------------------------------------------------

KeyStore::Place KeyStore::find_place(const std::string& id) {
    if (!is_uuid(id)) throw no_such_key(id);
    Postgres::Parameter user;
    if (holder_) user = holder_->user;
    const PgResult result = postgres_.query(
        "SELECT user_id, key_hash FROM api_keys WHERE id = $1::uuid AND ($2::text IS NULL OR user_id = $2)",
        {id, user});
    if (rows(result) == 0) throw no_such_key(id);
    return {std::string(cell(result, 0, 0)), std::string(cell(result, 0, 1))};
}

void KeyStore::act_for(const std::string& user, Receipt receipt) {
    postgres_.query(
        "SELECT set_config('apikey.receipt', $1, true), set_config('apikey.actor', $2, true), "
        "set_config('apikey.actor_key', $3, true), set_config('apikey.source', $4, true), "
        "set_config('apikey.address', $5, true)",
        {std::to_string(receipt), actor_.name, holder_ ? holder_->key_id : std::string(), actor_.source,
         actor_.address});
    become_user(postgres_, user);
}

// By the connection's own role: where a site names its users otherwise (api_key_user), the key that asks is another user's.
std::optional<KeyRights> KeyStore::own_rights(Lock lock) {
    if (!holder_ || holder_->key_id.empty()) return std::nullopt;
    const std::string sql = std::string(kRights) + (lock == Lock::yes ? "FOR NO KEY UPDATE" : "");
    const auto row = rights_of(postgres_.query(sql.c_str(), {holder_->key_id}));
    if (!row || !row->active || row->user != holder_->key_user || !grants(row->rights, kNeededScope))
        throw KeyRefused(Why::exceeds_rights,
                         "The key that asks has just been revoked, or may not change keys any more.");
    return row->rights;
}

void KeyStore::require_rotatable(const std::string& user, const std::string& id) {
    const PgResult result = postgres_.query(
        "SELECT coalesce(is_active AND revoked_at IS NULL, false), coalesce(expires_at <= now(), false), "
        "rotated_to::text FROM api_keys WHERE id = $1::uuid AND user_id = $2 FOR UPDATE",
        {id, user});
    if (rows(result) == 0) throw no_such_key(id);
    const auto refuse = [](const std::string& why) { throw KeyRefused(Why::not_active, why); };
    if (cell(result, 0, 0) != "t") refuse("the key is revoked; make a new one");
    if (cell(result, 0, 1) == "t") refuse("the key has expired; make a new one");
    if (!is_null(result, 0, 2))
        refuse("the key was rotated already; rotate its successor " + std::string(cell(result, 0, 2)));
}

std::optional<std::string> KeyStore::made_before(const std::string& user, const std::string& request,
                                                 const std::string& id) {
    if (!holder_ || holder_->idempotency_key.empty()) return std::nullopt;
    const std::string& key = holder_->idempotency_key;
    postgres_.query("DELETE FROM idempotency_keys WHERE user_id = $1 AND created_at < now() - interval '24 hours'",
                    {user});
    for (;;) {
        const PgResult made = postgres_.query(
            "INSERT INTO idempotency_keys (user_id, idempotency_key, request, key_id) VALUES ($1, $2, $3, $4::uuid) "
            "ON CONFLICT DO NOTHING RETURNING key_id",
            {user, key, request, id});
        if (rows(made) == 1) return std::nullopt;
        const PgResult before = postgres_.query(
            "SELECT request, key_id::text FROM idempotency_keys WHERE user_id = $1 AND idempotency_key = $2",
            {user, key});
        if (rows(before) == 0) continue;  // just removed by another request, since it was old
        if (cell(before, 0, 0) != request)
            throw KeyRefused(Why::key_reused,
                             "This Idempotency-Key came with another request before; use a new one for each.");
        return std::string(cell(before, 0, 1));
    }
}

MadeKey KeyStore::insert(const NewKey& key, const std::string& id) {
    MadeKey made;
    made.key = new_key(key_prefix_);
    Postgres::Parameter scopes;
    if (key.scopes) scopes = array_literal(*key.scopes);
    Postgres::Parameter expires;
    if (key.expires) expires = std::to_string(key.expires->time_since_epoch().count());
    const PgResult result = postgres_.query(
        returning("INSERT INTO api_keys (id, user_id, name, key_hash, prefix, created_at, is_active, "
                  "scopes, expires_at) VALUES ($7::uuid, $1, $2, $3, $4, now(), true, "
                  "$5::text[], to_timestamp($6::double precision))")
            .c_str(),
        {key.user, key.name, hash_of(made.key), std::string(display_prefix(made.key)), scopes, expires, id});
    made.record = record_of(result, 0);
    return made;
}

MadeKey KeyStore::insert_successor(const std::string& user, const std::string& old_id, const std::string& id) {
    MadeKey made;
    made.key = new_key(key_prefix_);
    const PgResult result =
        postgres_.query(returning("INSERT INTO api_keys (id, user_id, name, key_hash, prefix, created_at, is_active, "
                                  "scopes, expires_at) SELECT $5::uuid, user_id, name, $3, $4, now(), true, "
                                  "scopes, expires_at FROM api_keys WHERE id = $1::uuid AND user_id = $2")
                            .c_str(),
                        {old_id, user, hash_of(made.key), std::string(display_prefix(made.key)), id});
    made.record = record_of(result, 0);
    return made;
}

// The secret of before ends with this: whoever asks again has never seen it.
MadeKey KeyStore::reissue(const std::string& user, const std::string& id, const std::optional<KeyRights>& own) {
    const auto row =
        rights_of(postgres_.query((std::string(kRights) + "AND user_id = $2 FOR UPDATE").c_str(), {id, user}));
    if (!row || !row->active)
        throw KeyRefused(
            Why::not_active,
            "The key that this Idempotency-Key made is revoked, or has expired; use a new Idempotency-Key.");
    if (own) require_within(row->rights, *own);
    MadeKey made;
    made.key = new_key(key_prefix_);
    const PgResult result = postgres_.query(
        returning("UPDATE api_keys SET key_hash = $3, prefix = $4 WHERE id = $1::uuid AND user_id = $2").c_str(),
        {id, user, hash_of(made.key), std::string(display_prefix(made.key))});
    made.record = record_of(result, 0);
    return made;
}

// Where nothing changed the trigger is silent; who asks again wants to know that it is in force.
void KeyStore::announce(const Place& place, Receipt receipt) {
    postgres_.query("SELECT pg_notify($1, $2)", {kChangedChannel, format_change(place.hash, receipt)});
}

}  // namespace apikey
