#!/usr/bin/python3
# When `keys create` returns, the key works on every worker; when `keys revoke` returns, on none, whatever they have cached.
# 10,000 keys by plain SQL with a receipt, and a few by the command itself; half of them were unknown, and cached as such,
# a moment before.
# Hazards: C2, C7, C8

import secrets

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    keepalive_requests 100000;
    api_key_cache valid=1h invalid=1h;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
        location = /pid { return 200 $pid; }
    }
}
"""
KEYS = 10_000
BATCH = 50

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg, redis)
    nginx = t.nginx(CONF, redis=redis)
    clients = list(nginx.connect_each(2).values())
    nginx.wait_watching(2)

    for n in range(5):
        made = daemon.ctl("keys", "create", "--user", f"u{n}", "--name", "k", json=True)
        t.secret(made["key"])
        bearer = {"Authorization": f"Bearer {made['key']}"}
        t.is_([client.request(headers=bearer).status for client in clients], [200, 200], "created: in force")
        daemon.ctl("keys", "revoke", made["id"])
        t.is_([client.request(headers=bearer).status for client in clients], [401, 401], "revoked: refused")

    # As an application would: its own INSERT, then wait for the receipt.
    wrong = 0
    connection = pg.connect()
    cursor = connection.cursor()
    cursor.execute("LISTEN apikey_done")
    for start in range(0, KEYS, BATCH):
        keys = [t.key(user=f"v{start + n}") for n in range(BATCH)]
        for number, key in enumerate(keys[::2]):       # by the other worker
            wrong += clients[(number + 1) % 2].request(path="/", key=key).status != 401
        receipt = secrets.randbits(62) + 1
        rows = ",".join(f"('{key.id}', '{key.user}', 'k', '{key.hash}', '{key.prefix}')" for key in keys)
        cursor.execute(f"BEGIN; SET LOCAL apikey.receipt = '{receipt}'; "
                       f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) VALUES {rows}; COMMIT")

        def done():
            connection.poll()
            while connection.notifies:
                if connection.notifies.pop(0).payload.startswith(f"done {receipt} "):
                    return True
            return False

        if not wait_for(done, 5):
            t.ok(False, "a receipt came")
            break
        for number, key in enumerate(keys):
            wrong += clients[number % 2].request(path="/", key=key).status != 200
    connection.close()
    t.is_(wrong, 0, f"the first use of each of {KEYS} keys succeeds, as soon as it is created")
