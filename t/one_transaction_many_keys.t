#!/usr/bin/python3
# A transaction that changes many keys is reported as in force when the last of them is, however its notices arrive.
# Hazards: C16

from lib.apikeytest import Test
from lib.apikeytest.receipts import ReceiptClient

KEYS, ROUNDS = 3000, 12

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    pg.sql(f"INSERT INTO api_keys (user_id, name, key_hash, prefix) SELECT 'u' || n % 3, 'k', "
           f"encode(sha256(n::text::bytea), 'hex'), 'ia_{'x' * 9}' FROM generate_series(1, {KEYS}) n")
    hashes = [row[0] for row in pg.sql("SELECT key_hash FROM api_keys")]
    daemon = t.apikeyd(pg, redis)
    client, reader = ReceiptClient(pg), redis.client()
    daemon.ctl("sync")                                 # without workers, each batch is in force at once

    early = 0
    for number in range(ROUNDS):
        _, figures = client.change(f"UPDATE api_keys SET scopes = '{{s{number}}}'")
        scopes = reader.pipeline([["HGET", f"apikey:k:{each}", "scopes"] for each in hashes])
        early += any(each != f"s{number}" for each in scopes) or figures != "0/0"
    t.is_(early, 0, "told when all keys are changed")

    early = 0
    for user in range(3):
        client.change(f"UPDATE api_keys SET is_active = false WHERE user_id = 'u{user}'")
        early += len(redis("KEYS", "apikey:k:*")) != KEYS - KEYS // 3 * (user + 1)
    t.is_(early, 0, "all keys of a user are revoked in one statement: told when all are gone")

    # Several statements, and keys that are written beside keys that are removed.
    client.change("UPDATE api_keys SET is_active = true WHERE user_id = 'u0'; "
                  "DELETE FROM api_keys WHERE user_id = 'u1'; UPDATE api_keys SET revoked_at = now() WHERE user_id = 'u2'; "
                  "UPDATE api_keys SET is_active = true WHERE user_id = 'u2'")
    t.is_(len(redis("KEYS", "apikey:k:*")), KEYS // 3, "several statements in one transaction")
    client.change("TRUNCATE api_keys; INSERT INTO api_keys (user_id, name, key_hash, prefix) "
                  f"VALUES ('u9', 'k', '{hashes[0]}', 'ia_')")
    t.is_(redis("KEYS", "apikey:k:*"), [f"apikey:k:{hashes[0]}"], "TRUNCATE and INSERT in one transaction")
