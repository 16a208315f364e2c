#include "sidecar/keys/key_store.hpp"

#include <openssl/rand.h>

#include <array>
#include <stdexcept>

#include "core/digest.hpp"
#include "core/key_format.hpp"
#include "core/uuid.hpp"
#include "sidecar/keys/key_input.hpp"
#include "sidecar/keys/key_row.hpp"
#include "sidecar/user_transaction.hpp"

namespace apikey {
namespace {

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

std::string returning(const char* statement) {
    return std::string(statement) + " RETURNING " + kRecordColumns;
}

Error no_such_key(const std::string& id) {
    return Error{"there is no key with the id \"" + id + "\""};
}

}  // namespace

MadeKey KeyStore::create(const NewKey& key, Receipt receipt) {
    Transaction transaction(postgres_);
    act_for(key.user, receipt);
    MadeKey made = insert(key);
    transaction.commit();
    return made;
}

std::vector<KeyRecord> KeyStore::list(const std::optional<std::string>& user) {
    const std::string sql = std::string("SELECT ") + kRecordColumns +
                            " FROM api_keys WHERE $1::text IS NULL OR user_id = $1 "
                            "ORDER BY created_at, id";
    const PgResult result = postgres_.query(sql.c_str(), {user});
    std::vector<KeyRecord> records;
    records.reserve(static_cast<std::size_t>(rows(result)));
    for (int row = 0; row < rows(result); ++row)
        records.push_back(record_of(result, row));
    return records;
}

Result<KeyRecord> KeyStore::revoke(const std::string& id, Receipt receipt) {
    Transaction transaction(postgres_);
    const auto owner = owner_of(id);
    if (!owner) return no_such_key(id);
    act_for(owner->user, receipt);
    const PgResult result =
        postgres_.query(returning("UPDATE api_keys SET is_active = false, revoked_at = coalesce(revoked_at, now()) "
                                  "WHERE id = $1::uuid AND user_id = $2")
                            .c_str(),
                        {id, owner->user});
    if (rows(result) == 0) return no_such_key(id);
    // Where nothing changed the trigger is silent; who asks again wants to know that it is in force.
    postgres_.query("SELECT pg_notify($1, $2)", {kChangedChannel, format_change(owner->hash, receipt)});
    transaction.commit();
    return record_of(result, 0);
}

Result<RotatedKey> KeyStore::rotate(const std::string& id, std::chrono::seconds overlap, Receipt receipt) {
    Transaction transaction(postgres_);
    const auto owner = owner_of(id);
    if (!owner) return no_such_key(id);
    act_for(owner->user, receipt);
    if (auto refusal = why_not_rotatable(id)) return *refusal;
    RotatedKey rotated;
    rotated.made = insert_successor(id);
    const PgResult result =
        postgres_.query(returning("UPDATE api_keys SET rotated_to = $2::uuid, expires_at = "
                                  "least(expires_at, now() + make_interval(secs => $3::double precision)) "
                                  "WHERE id = $1::uuid")
                            .c_str(),
                        {id, rotated.made.record.id, std::to_string(overlap.count())});
    rotated.old = record_of(result, 0);
    transaction.commit();
    return rotated;
}

std::optional<KeyStore::Owner> KeyStore::owner_of(const std::string& id) {
    if (!is_uuid(id)) return std::nullopt;
    const PgResult result = postgres_.query("SELECT user_id, key_hash FROM api_keys WHERE id = $1::uuid", {id});
    if (rows(result) == 0) return std::nullopt;
    return Owner{std::string(cell(result, 0, 0)), std::string(cell(result, 0, 1))};
}

void KeyStore::act_for(const std::string& user, Receipt receipt) {
    postgres_.query("SELECT set_config('apikey.receipt', $1, true)", {std::to_string(receipt)});
    become_user(postgres_, user);
}

std::optional<Error> KeyStore::why_not_rotatable(const std::string& id) {
    const PgResult result = postgres_.query(
        "SELECT coalesce(is_active AND revoked_at IS NULL, false), coalesce(expires_at <= now(), false), "
        "rotated_to::text FROM api_keys WHERE id = $1::uuid FOR UPDATE",
        {id});
    if (rows(result) == 0) return no_such_key(id);
    if (cell(result, 0, 0) != "t") return Error{"the key is revoked; make a new one with keys create"};
    if (cell(result, 0, 1) == "t") return Error{"the key has expired; make a new one with keys create"};
    if (is_null(result, 0, 2)) return std::nullopt;
    return Error{"the key was rotated already; rotate its successor " + std::string(cell(result, 0, 2))};
}

MadeKey KeyStore::insert(const NewKey& key) {
    MadeKey made;
    made.key = new_key(key_prefix_);
    Postgres::Parameter scopes;
    if (key.scopes) scopes = array_literal(*key.scopes);
    Postgres::Parameter expires;
    if (key.expires) expires = std::to_string(key.expires->time_since_epoch().count());
    const PgResult result = postgres_.query(
        returning("INSERT INTO api_keys (id, user_id, name, key_hash, prefix, created_at, is_active, "
                  "scopes, expires_at) VALUES (gen_random_uuid(), $1, $2, $3, $4, now(), true, "
                  "$5::text[], to_timestamp($6::double precision))")
            .c_str(),
        {key.user, key.name, hash_of(made.key), std::string(display_prefix(made.key)), scopes, expires});
    made.record = record_of(result, 0);
    return made;
}

MadeKey KeyStore::insert_successor(const std::string& id) {
    MadeKey made;
    made.key = new_key(key_prefix_);
    const PgResult result =
        postgres_.query(returning("INSERT INTO api_keys (id, user_id, name, key_hash, prefix, created_at, is_active, "
                                  "scopes, expires_at) SELECT gen_random_uuid(), user_id, name, $2, $3, now(), true, "
                                  "scopes, expires_at FROM api_keys WHERE id = $1::uuid")
                            .c_str(),
                        {id, hash_of(made.key), std::string(display_prefix(made.key))});
    made.record = record_of(result, 0);
    return made;
}

}  // namespace apikey
