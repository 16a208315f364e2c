#!/usr/bin/python3
# apikeyd starts without Postgres, keeps trying, and works when it comes; nginx goes on answering meanwhile.
# Hazards: G1

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
    pg = t.postgres()
    alice, bob = t.key(user="alice"), t.key(user="bob")
    pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) "
           f"VALUES ('{bob.id}', 'bob', 'k', '{bob.hash}', '{bob.prefix}')")
    pg.stop()
    redis = t.redis(keys=[alice])
    nginx = t.nginx(CONF, redis=redis)
    daemon = t.apikeyd(pg, redis, wait=False)
    t.ok(wait_for(lambda: "ostgres" in daemon.log()), "it says what it lacks")
    t.is_(nginx.get("/", alice).status, 200, "what Redis proves is answered without Postgres")
    t.is_(nginx.get("/", bob).status, 401, "and what it does not know is refused")
    status, _, error = daemon.ctl("keys", "list", status=None)
    t.is_(status, 1, "apikeyctl fails")
    t.like(error, r"ostgres|connect", "and says why")
    t.ok(daemon.process.alive(), "apikeyd lives on")
    pg.start()
    t.ok(wait_for(lambda: nginx.get("/", bob).status == 200), "Postgres is back: its keys are in force")
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 401), "and what it does not have is not")
    pg.restart()
    pg.sql(f"UPDATE api_keys SET is_active = false WHERE id = '{bob.id}'")
    t.ok(wait_for(lambda: nginx.get("/", bob).status == 401), "a restart of Postgres is survived")
