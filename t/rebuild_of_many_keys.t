#!/usr/bin/python3
# After FLUSHALL, apikeyd has every key in Redis again, and sets the epoch when it has, not before; a key that changed while nobody
# listened is in force after such a pass, too. Either pass costs one command for each key and few more. How long that takes is `make bench`'s
# to say (ROWS=sync).
# Hazards: R23, C9

import re

from lib.apikeytest import Test, wait_for

KEYS, MORE = 50_000, 50_000 // 50    # commands: one for each key, and so many more
OURS = {"config|resetstat", "dbsize", "exists", "flushall", "info"}    # which this test gives


def passes():
    return len(re.findall("Redis (?:rebuilt|verified)", daemon.log()))


def commands_of_pass(cause):
    """How often Redis was given each command, from `cause` to the end of the pass that follows."""
    before = passes()
    redis("CONFIG", "RESETSTAT")
    cause()
    t.must(wait_for(lambda: passes() > before, 60), "a pass")
    lines = re.findall(r"cmdstat_(\S+?):calls=(\d+)", redis("INFO", "commandstats"))
    return {name: int(calls) for name, calls in lines if name not in OURS}


def is_one_for_each(commands, name):
    others = sum(calls for other, calls in commands.items() if other != name)
    return abs(commands.get(name, 0) - KEYS) <= 10 and others <= MORE


def flush_and_watch():
    redis("FLUSHALL")
    t.ok(wait_for(lambda: redis("EXISTS", "apikey:epoch"), 60, 0.001), "the epoch is set")
    t.ok(redis("DBSIZE") > KEYS, "when every key is there", redis("DBSIZE"))


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    pg.sql("ALTER TABLE api_keys DISABLE TRIGGER USER; INSERT INTO api_keys (user_id, name, key_hash, prefix, scopes) "
           "SELECT 'user-' || n, 'laptop', encode(sha256(n::text::bytea), 'hex'), 'ia_012345678', '{a,b}' "
           f"FROM generate_series(1, {KEYS}) AS n; ALTER TABLE api_keys ENABLE TRIGGER USER; ANALYZE api_keys")
    daemon = t.apikeyd(pg, redis)
    t.must(wait_for(passes, 60), "the first pass")
    rebuilt = commands_of_pass(flush_and_watch)
    t.ok(is_one_for_each(rebuilt, "hset"), "each key is written by one command, and few others are needed", rebuilt)

    name = "apikey:k:" + pg.value("SELECT key_hash FROM api_keys WHERE user_id = 'user-777'")
    t.ok(redis("EXISTS", name), "a key of them")
    pg.sql("ALTER TABLE api_keys DISABLE TRIGGER USER; UPDATE api_keys SET is_active = false WHERE user_id = 'user-777'; "
           "ALTER TABLE api_keys ENABLE TRIGGER USER")
    verified = commands_of_pass(lambda: pg.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'apikeyd'"))
    t.ok(not redis("EXISTS", name), "nobody was told that it is revoked: the pass of the next session found it")
    t.ok(is_one_for_each(verified, "hmget"), "by looking at each key with one command", verified)
    daemon.stop()
    pg.sql("TRUNCATE api_keys")            # the invariants read what is left
    redis("FLUSHALL")
