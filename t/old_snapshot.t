#!/usr/bin/python3
# A Redis that comes back from an old dump brings revoked keys and the old epoch; neither is believed.
# Hazards: C20, R27

import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    alice, bob = t.key(user="alice"), t.key(user="bob")
    for key in (alice, bob):
        pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) "
               f"VALUES ('{key.id}', '{key.user}', 'k', '{key.hash}', '{key.prefix}')")
    daemon = t.apikeyd(pg, redis)
    nginx = t.nginx(CONF, redis=redis)
    t.is_(nginx.get("/", alice).status, 200, "in force")
    redis("SAVE")
    old_epoch = redis.epoch()

    pg.sql(f"UPDATE api_keys SET is_active = false WHERE id = '{alice.id}'")
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 401, 2), "revoked")

    # Without apikeyd: the dump is loaded, and nobody corrects it.
    daemon.kill()
    redis.restart(kill=True)
    t.is_(redis("EXISTS", f"apikey:k:{alice.hash}"), 1, "the dump brought the revoked key back")
    t.is_(redis.epoch(), old_epoch, "and the old epoch")
    seen = set()
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        seen |= {nginx.get("/", alice).status, nginx.get("/", bob).status}
    t.is_(seen, {503}, "nothing of it is believed", seen)

    # With apikeyd: never 200 for the revoked key, from the restart to the end.
    daemon.start(wait=False)
    seen = set()
    while nginx.get("/", bob).status != 200 and time.monotonic() < end + 10:
        seen.add(nginx.get("/", alice).status)
    t.is_(nginx.get("/", bob).status, 200, "the good key works again")
    t.is_(nginx.get("/", alice).status, 401, "the revoked one does not")
    t.ok(200 not in seen, "and did not in between", seen)
