// Keys in Postgres: made, listed, revoked, rotated. Commits there and nothing else; the trigger's notice makes
// apikeyd carry the change to Redis.
//
// What is done to a key is done in the name of its user: SET LOCAL ROLE apikey_user with the user's claims in
// the same transaction, so row-level security stands behind every statement. The connection's own role only
// looks up whose key an id is.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "sidecar/keys/key_record.hpp"
#include "sidecar/notice.hpp"
#include "sidecar/postgres.hpp"

namespace apikey {

struct NewKey {
    std::string user;
    std::string name;
    std::optional<std::vector<std::string>> scopes;
    std::optional<std::chrono::sys_seconds> expires;
};

struct RotatedKey {
    MadeKey made;
    KeyRecord old;
};

class KeyStore {
  public:
    // `key_prefix`: of new keys (settings keys.prefix).
    KeyStore(Postgres& postgres, std::string key_prefix) : postgres_(postgres), key_prefix_(std::move(key_prefix)) {}

    // All throw PostgresError. `receipt` travels with the notice of the change.
    MadeKey create(const NewKey& key, Receipt receipt);
    std::vector<KeyRecord> list(const std::optional<std::string>& user);
    // Error: no such key. A key that is revoked already is announced again.
    Result<KeyRecord> revoke(const std::string& id, Receipt receipt);
    // A new key with the old one's name, scopes and end; the old one ends after `overlap`, or when it would
    // have. Error: no such key, or one that is not active any more or was rotated before.
    Result<RotatedKey> rotate(const std::string& id, std::chrono::seconds overlap, Receipt receipt);

  private:
    struct Owner {
        std::string user;
        std::string hash;
    };
    std::optional<Owner> owner_of(const std::string& id);
    void act_for(const std::string& user, Receipt receipt);
    // Locks the row.
    std::optional<Error> why_not_rotatable(const std::string& id);
    MadeKey insert(const NewKey& key);
    MadeKey insert_successor(const std::string& id);

    Postgres& postgres_;
    std::string key_prefix_;
};

}  // namespace apikey
