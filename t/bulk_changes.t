#!/usr/bin/python3
# One statement changes more keys than apikeyd keeps in mind: a full pass makes up for them, told when it is over, in little
# memory; also while Redis is full.
# Hazards: C16

from lib.apikeytest import Test, memory_of, wait_for
from lib.apikeytest.receipts import ReceiptClient

KEYS = 52_000                                          # more than LeaderTerm::kMostPostponed
STRANGE = 50_000                                       # together more than PendingChanges::kMostKeys
NOTICES, MEMORY = 400_000, 64 * 1024                   # KiB
COUNT = ("local n = 0; for _, key in ipairs(redis.call('KEYS', 'apikey:k:*')) do "
         "if redis.call('HGET', key, 'scopes') == ARGV[1] then n = n + 1 end end; return n")


def having(scope):
    return redis("EVAL", COUNT, 0, scope)


def notices(count):
    """Of keys that nobody has: all that a change is to apikeyd, and quicker."""
    return ("SELECT count(pg_notify('apikey_changed', encode(sha256((-n)::text::bytea), 'hex') || ' ' || "
            f"current_setting('apikey.receipt'))) FROM generate_series(1, {count}) n")


def change_all(scope):
    return bulk.commit(f"{notices(STRANGE)}; UPDATE api_keys SET scopes = '{{{scope}}}'")


def most_memory():
    return memory_of(daemon.process.pid)


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    pg.sql(f"INSERT INTO api_keys (user_id, name, key_hash, prefix) SELECT 'u' || n, 'k', "
           f"encode(sha256(n::text::bytea), 'hex'), 'ia_{'x' * 9}' FROM generate_series(1, {KEYS}) n")
    daemon = t.apikeyd(pg, redis)
    bulk, single = ReceiptClient(pg), ReceiptClient(pg)

    t.is_(bulk.wait(change_all("first"), 20), "0/0", "all keys are changed: told")
    t.is_(having("first"), KEYS, "when all of them are")
    t.is_(daemon.log().count("a full pass follows instead"), 1, "by a full pass, which is said once")

    t.is_(bulk.wait(bulk.commit(notices(NOTICES)), 20), "0/0", "many more notices at once: told")
    t.weigh(most_memory() < MEMORY, "without much memory", most_memory())

    redis("CONFIG", "SET", "maxmemory", "1")
    changed = change_all("second")
    t.ok(wait_for(lambda: "of them wait for memory" in daemon.log(), 20), "again while Redis is full: the full pass is over")
    t.is_((bulk.wait(changed, 1), having("first")), (None, KEYS), "it is not told")
    revoked = single.change("UPDATE api_keys SET is_active = false WHERE user_id = 'u7'")
    t.is_((revoked[1], having("first")), ("0/0", KEYS - 1), "a key is revoked meanwhile", revoked[0])
    redis("CONFIG", "SET", "maxmemory", "0")
    t.is_((bulk.wait(changed, 20), having("second"), having("first")), ("0/0", KEYS - 1, 0), "told when all have been written")
    scanned = int(pg.value("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'api_keys'"))
    t.ok(scanned < 20 * KEYS, "every pass has read the rows by their index, though nobody has analyzed the table", scanned)
    bulk.change("TRUNCATE api_keys")                   # what follows looks at every key
