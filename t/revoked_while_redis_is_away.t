#!/usr/bin/python3
# Two hosts with nginx; one loses Redis: a revocation is refused by the other at once, and by itself when valid + stale
# is over. Redis goes down altogether: `keys revoke` says that the change is recorded and not in force, and what bounds
# it; it is in force as soon as Redis is back.
# Hazards: C5, C18

import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key_cache valid=1s invalid=1h stale=2s;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
BOUND = 3


def bearer(made):
    return {"Authorization": f"Bearer {made['key']}"}


def until_refused(nginx, made):
    """(when the last request that was let through was sent, the status of the first that was not)."""
    served = 0.0
    while True:
        asked = time.monotonic()
        status = nginx.get("/", headers=bearer(made)).status
        if status != 200 or asked - begun > 10 * BOUND:
            return served, status
        served = asked
        time.sleep(0.01)


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg, redis)
    proxy = t.redis_proxy(redis)
    near, far = t.nginx(CONF, redis=redis), t.nginx(CONF, redis=proxy)
    t.ok(near.wait_watching(2) and far.wait_watching(2), "four workers on two hosts")
    made = [daemon.ctl("keys", "create", "--user", "u", "--name", "k", json=True) for _ in range(3)]
    for one in made:
        t.secret(one["key"])

    # One of the hosts is cut off.
    t.is_([nginx.get("/", headers=bearer(made[0])).status for nginx in (near, far)], [200, 200], "a key that both have seen")
    proxy.black_hole()
    begun = time.monotonic()
    revoked = daemon.ctl("keys", "revoke", made[0]["id"], json=True)
    took = time.monotonic() - begun
    t.is_(near.get("/", headers=bearer(made[0])).status, 401, "revoked: the host that hears of it refuses it")
    t.ok(revoked["inForce"] and revoked["confirmed"] == revoked["expected"] == 2,
         "in force for whoever may still go by what it has heard", revoked)
    t.ok(took > 0.2, "which is said when the other's leases are over", took)
    served, status = until_refused(far, made[0])
    t.is_(status, 503, "the other does not know whether it is good")
    t.ok(served - begun < BOUND + 0.25, "it served it no longer than valid + stale", served - begun)
    t.is_(far.get("/", headers=bearer(made[1])).status, 503, "nor any other key")
    proxy.close_all()
    proxy.forward()
    t.ok(wait_for(lambda: far.get("/", headers=bearer(made[0])).status == 401), "it is back, and refuses it")
    t.ok(far.wait_watching(2), "and uses its cache again")

    # Redis is down.
    t.is_([nginx.get("/", headers=bearer(made[1])).status for nginx in (near, far)], [200, 200], "another key")
    redis.stop()
    begun = time.monotonic()
    status, out, err = daemon.ctl("keys", "revoke", made[1]["id"], status=None)
    t.is_((status, out), (0, f"{made[1]['id']} is revoked\n"), "revoked while Redis is down: recorded")
    t.like(err, r"^recorded, not in force until apikeyd .* can write to Redis .* at most valid \+ stale", "and said so")
    endings = [until_refused(nginx, made[1]) for nginx in (near, far)]
    t.is_([status for _, status in endings], [503, 503], "no host knows whether it is good")
    t.ok(max(served for served, _ in endings) - begun < BOUND + 0.25, "within valid + stale", endings, begun)
    redis.start()
    for nginx in (near, far):
        t.ok(wait_for(lambda: nginx.get("/", headers=bearer(made[1])).status == 401), "Redis is back: refused")
        t.ok(wait_for(lambda: nginx.get("/", headers=bearer(made[2])).status == 200), "and the key that is good is served")
