// Keys in Postgres: made, listed, renamed, revoked, rotated. Commits there and nothing else; the triggers' notice makes apikeyd carry the
// change to Redis, and write it down in audit_log.
//
// What is done to a key is done in the name of its user: SET LOCAL ROLE apikey_user with the user's claims in the same transaction, so
// row-level security stands behind every statement, each of which names the user as well. A key holder's store does all in that name. An
// operator's, which is for apikeyctl, looks up first whose key an id is, by the connection's own role.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/keys/key_holder.hpp"
#include "sidecar/keys/key_record.hpp"
#include "sidecar/keys/key_rights.hpp"
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

struct KeyPage {
    std::vector<KeyRecord> keys;
    bool more = false;  // there are keys behind these
};

class KeyStore {
  public:
    // `key_prefix`: of new keys (settings keys.prefix). `holder`: nothing: an operator.
    KeyStore(Postgres& postgres, std::string key_prefix, Actor actor, std::optional<KeyHolder> holder = std::nullopt);

    // All throw PostgresError and KeyRefused; `postgres` is in no transaction before and after, unless one was thrown. `receipt` travels
    // with the notice of the change. Ids are texts that a client sent.

    // A holder's repeated Idempotency-Key is answered with the key that was made the first time, under a new secret: the first one ends.
    MadeKey create(const NewKey& key, Receipt receipt);
    // Of one user, or (an operator's alone) of all: the oldest first.
    std::vector<KeyRecord> list(const std::optional<std::string>& user);
    // A holder's: the newest first, at most `limit`, and only those behind the one with the id `after`. Nothing: that is no key of his.
    std::optional<KeyPage> page(std::uint64_t limit, const std::optional<std::string>& after);
    // A holder's; `id`: a uuid. Nothing: it is no key of his.
    std::optional<KeyRecord> find(const std::string& id);
    KeyRecord rename(const std::string& id, const std::string& name, Receipt receipt);
    // A key that is revoked already is announced again.
    KeyRecord revoke(const std::string& id, Receipt receipt);
    // A new key with the old one's name, scopes and end; the old one ends after `overlap`, or when it would have. A repeated Idempotency-Key
    // as with create().
    RotatedKey rotate(const std::string& id, std::chrono::seconds overlap, Receipt receipt);

  private:
    struct Place {
        std::string user;
        std::string hash;
    };

    [[nodiscard]] const KeyHolder& holder() const;
    // Of a holder's key, or (an operator) of anybody's.
    Place find_place(const std::string& id);
    // From here on in the user's own name.
    void act_for(const std::string& user, Receipt receipt);
    // Of the key that asks, which must be good for a change still, whatever nginx has cached of it. Nothing: none asks, and all is
    // allowed. For a change that makes a key its row is locked: what it may do does not end meanwhile.
    enum class Lock : std::uint8_t { no, yes };
    std::optional<KeyRights> own_rights(Lock lock);
    void require_rotatable(const std::string& user, const std::string& id);
    // The id of what this Idempotency-Key has made before; nothing: it makes `id` now, or there is none.
    std::optional<std::string> made_before(const std::string& user, const std::string& request, const std::string& id);
    MadeKey insert(const NewKey& key, const std::string& id);
    MadeKey insert_successor(const std::string& user, const std::string& old_id, const std::string& id);
    MadeKey reissue(const std::string& user, const std::string& id, const std::optional<KeyRights>& own);
    void announce(const Place& place, Receipt receipt);

    Postgres& postgres_;
    std::string key_prefix_;
    Actor actor_;
    std::optional<KeyHolder> holder_;
};

}  // namespace apikey
