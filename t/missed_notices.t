#!/usr/bin/python3
# A change that nobody heard of (the listener was cut off, apikeyd was dead) is in force as soon as apikeyd is back.
# Hazards: C9, C13, S10

from lib.apikeytest import Gate, Test, wait_for

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


def insert(pg, key):
    pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) "
           f"VALUES ('{key.id}', '{key.user}', 'k', '{key.hash}', '{key.prefix}')")


def revoke(pg, key):
    pg.sql(f"UPDATE api_keys SET is_active = false WHERE id = '{key.id}'")


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    alice, bob, carol, dave = (t.key(user=user) for user in ("alice", "bob", "carol", "dave"))
    erin, frank = t.key(user="erin"), t.key(user="frank")
    for key in (alice, bob, carol, erin):
        insert(pg, key)
    proxy = t.redis_proxy(redis)
    daemon = t.apikeyd(pg, proxy)
    nginx = t.nginx(CONF, redis=redis)
    t.is_(nginx.get("/", alice).status, 200, "in force")

    # C9: while no backend listens, a key is revoked.
    cut = ("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'postgres' "
           "AND pid <> pg_backend_pid() AND datname = current_database()")
    gate = Gate()
    proxy.forget()
    proxy.on("HMGET", gate.hold, nth=1)
    pg.sql(f"BEGIN; {cut}; UPDATE api_keys SET is_active = false WHERE id = '{alice.id}'; COMMIT")
    # It is back, has read what there is, and asks Redis for the same: what changes now is in no pass, and only heard of.
    t.ok(wait_for(lambda: proxy.count("HMGET") > 0), "it is back, and compares Redis with what it has read")
    revoke(pg, erin)
    insert(pg, frank)
    gate.open()
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 401, 3), "revoked while nobody listened")
    t.ok(wait_for(lambda: nginx.get("/", erin).status == 401, 3), "revoked after it was read")
    t.ok(wait_for(lambda: nginx.get("/", frank).status == 200, 3), "made after all were read")

    # C13: apikeyd dies between the commit and the DEL.
    daemon.kill()
    revoke(pg, bob)
    insert(pg, dave)
    t.is_(nginx.get("/", bob).status, 200, "without apikeyd it is recorded, not in force")
    daemon.start(wait=False)
    t.ok(wait_for(lambda: nginx.get("/", bob).status == 401, 3), "in force soon after its start")
    t.ok(wait_for(lambda: nginx.get("/", dave).status == 200, 3), "and so is a new key")

    # S10: Redis is away while Postgres is changed, and comes back empty.
    redis.stop()
    revoke(pg, carol)
    t.is_(nginx.get("/", carol).status, 503, "without Redis nobody can know")
    redis.start()
    t.ok(wait_for(lambda: nginx.get("/", dave).status == 200), "Redis is filled again")
    t.is_(nginx.get("/", carol).status, 401, "with what holds now")
    redis("FLUSHALL")
    t.ok(wait_for(lambda: nginx.get("/", dave).status == 200), "after FLUSHALL, too")
    t.ok(daemon.stop(3), "a clean stop")
    t.is_(redis("EXISTS", "apikey:leader"), 0, "which gives the lease back")
