#!/usr/bin/python3
# While Redis is full, a change that it has no memory for is not reported as in force: not by the full pass of the next
# leader, nor by `sync`. Revocations go through and are. When there is memory, everything is told that waited.
# Hazards: C15

from lib.apikeytest import Test, wait_for
from lib.apikeytest.receipts import ReceiptClient

QUIET = 1.5                                            # for so long nobody must be told


def passes():
    return daemon.log().count("Redis verified")


def scopes_in_redis():
    return redis("HGET", f"apikey:k:{alice.hash}", "scopes")


def insert(*keys):
    return "".join(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix, scopes) VALUES ('{key.id}', '{key.user}', 'k', "
                   f"'{key.hash}', '{key.prefix}', '{{read,write}}');" for key in keys)


with Test() as t:
    alice, bob, carol, dave, erin = (t.key(user=user) for user in ("alice", "bob", "carol", "dave", "erin"))
    pg, redis = t.postgres(), t.redis()
    pg.sql(insert(alice, bob, carol))
    daemon = t.apikeyd(pg, redis)
    narrow, new, sync, revoke = (ReceiptClient(pg) for _ in range(4))

    redis("CONFIG", "SET", "maxmemory", "1")
    narrowed = narrow.commit(f"UPDATE api_keys SET scopes = '{{read}}' WHERE id = '{alice.id}'")
    created = new.commit(insert(dave))
    t.ok(wait_for(lambda: "Redis is full" in daemon.log()), "Redis is full: it is said")
    t.is_((narrow.wait(narrowed, QUIET), new.wait(created, 0.1)), (None, None), "narrower scopes, a new key: not in force")
    t.is_(scopes_in_redis(), "read write", "and they are not")
    t.is_(revoke.change(f"UPDATE api_keys SET is_active = false WHERE id = '{bob.id}'")[1], "0/0", "a revocation is")
    t.is_(redis("EXISTS", f"apikey:k:{bob.hash}"), 0, "the key is gone")

    # Another term: its full pass comes upon the same keys. Meanwhile a key was revoked that no notice tells of.
    before = passes()
    pg.sql("BEGIN; SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'apikeyd'; "
           f"UPDATE api_keys SET is_active = false WHERE id = '{carol.id}'; COMMIT")
    t.ok(wait_for(lambda: passes() > before, 10), "the next leader makes a full pass")
    t.is_((narrow.wait(narrowed, QUIET), new.wait(created, 0.1)), (None, None), "which does not make them be in force")
    t.is_(redis("EXISTS", f"apikey:k:{carol.hash}"), 0, "it removes what must go all the same")
    t.like(daemon.log(), r"Redis verified: 2 keys, 2 of them wait for memory", "and says what it left")

    before = passes()
    synced = sync.commit("SELECT pg_notify('apikey_changed', '* ' || current_setting('apikey.receipt'))")
    t.ok(wait_for(lambda: passes() > before), "sync makes a full pass")
    t.is_(sync.wait(synced, QUIET), None, "but is not told that Redis has exactly the active keys")
    late = revoke.commit(f"DELETE FROM api_keys WHERE id = '{bob.id}';" + insert(erin))
    t.is_(revoke.wait(late, QUIET), None, "a transaction that is half in force: not in force")

    redis("CONFIG", "SET", "maxmemory", "0")
    t.is_([client.wait(receipt, 5) for client, receipt in ((narrow, narrowed), (new, created), (sync, synced), (revoke, late))],
          ["0/0"] * 4, "there is memory: all four are told")
    t.is_(scopes_in_redis(), "read", "the scopes are narrow")
    t.is_(sorted(redis("KEYS", "apikey:k:*")), sorted(f"apikey:k:{key.hash}" for key in (alice, dave, erin)), "all keys are there")
