#!/usr/bin/python3
# A full pass that is disturbed (keys revoked meanwhile, FLUSHALL in its middle) never brings a revoked key back, and
# the epoch is not set before a complete pass after the flush.
# Hazards: C11, C12, R23

import os
import random
import secrets
import threading

from lib.apikeytest import Test, wait_for

KEYS = 20_000
ROUNDS = 12


def revoke_some(pg, hashes, chance, stop, revoked):
    connection = pg.connect()
    cursor = connection.cursor()
    while not stop.is_set() and hashes:
        some = [hashes.pop(chance.randrange(len(hashes))) for _ in range(min(20, len(hashes)))]
        cursor.execute("UPDATE api_keys SET is_active = false WHERE key_hash = ANY(%s)", (some,))
        revoked.extend(some)
        stop.wait(chance.uniform(0, 0.004))
    connection.close()


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    pg.sql(f"INSERT INTO api_keys (user_id, name, key_hash, prefix) SELECT 'user' || n, 'k', "
           f"encode(sha256(n::text::bytea), 'hex'), 'ia_{'x' * 9}' FROM generate_series(1, {KEYS}) n")
    daemon = t.apikeyd(pg, redis)
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    t.note(f"SEED={seed}")
    chance = random.Random(seed)
    hashes = [row[0] for row in pg.sql("SELECT key_hash FROM api_keys")]
    incomplete = resurrected = 0
    client = redis.client()
    for _ in range(ROUNDS):
        revoked, stop = [], threading.Event()
        worker = threading.Thread(target=revoke_some, args=(pg, hashes, chance, stop, revoked))
        worker.start()
        for _ in range(chance.randint(1, 3)):
            client("FLUSHALL")
            stop.wait(chance.uniform(0.0, 0.15))
        # The moment the epoch is there, every key is.
        wait_for(lambda: client("EXISTS", "apikey:epoch") == 1, 20)
        (epoch, count) = client.pipeline([["EXISTS", "apikey:epoch"], ["EVAL", "return #redis.call('KEYS', 'apikey:k:*')", "0"]])
        active = int(pg.value("SELECT count(*) FROM api_keys WHERE is_active"))
        incomplete += epoch == 1 and count < active
        stop.set()
        worker.join()
        daemon.ctl("sync")
        kept = client.pipeline([["EXISTS", f"apikey:k:{each}"] for each in revoked]) if revoked else []
        resurrected += sum(kept)
    t.is_(incomplete, 0, "where there is an epoch, every active key is there")
    t.is_(resurrected, 0, "no revoked key came back")
    in_redis = {name[-64:] for name in client("KEYS", "apikey:k:*")}
    in_postgres = {row[0] for row in pg.sql("SELECT key_hash FROM api_keys WHERE is_active")}
    t.ok(in_redis == in_postgres, "Redis holds exactly the active keys",
         f"{len(in_redis - in_postgres)} too many, {len(in_postgres - in_redis)} missing")
