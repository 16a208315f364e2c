#!/usr/bin/python3
# Redis is away: a key that was seen before serves until valid (hit) and valid + stale (stale), then 503; its expiry holds;
# an unknown key is 503, not 401; a key of which Redis said no meanwhile does not come back. Redis that answers but has
# not proved itself keeps nobody beyond valid.
# Hazards: C19, R23

import itertools
import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key "test";
    include %API_KEY_PARAMS%;
    server {
        listen 127.0.0.1:%PORT%;
        location /short { api_key_cache valid=1s invalid=1h stale=1s; proxy_pass http://%UPSTREAM%; }
        location /long  { api_key_cache valid=1h invalid=1h; proxy_pass http://%UPSTREAM%; }
        location /never { api_key_cache valid=0 stale=0; proxy_pass http://%UPSTREAM%; }
    }
}
"""
number = itertools.count()                 # of the request, which tells its line in the log


def shown(path, key):
    """(status, what the log says of the cache)."""
    uri = f"{path}/{next(number)}"
    status = nginx.get(uri, key).status
    return status, wait_for(lambda: [x["cache"] for x in nginx.requests() if x["uri"] == uri])[0]


with Test() as t:
    alice, bob, carol, nobody = (t.key(user=name) for name in ("alice", "bob", "carol", "nobody"))
    ending = t.key(user="ending", expires=int(time.time()) + 4)
    redis, upstream = t.redis(keys=[alice, bob, carol, ending]), t.upstream()
    nginx = t.nginx(CONF, redis=redis, upstream=upstream)
    t.ok(wait_for(lambda: nginx.get("/never", alice).status == 200), "Redis is in use")
    for key in (alice, bob, carol, ending):
        t.is_(nginx.get("/long", key).status, 200, f"{key.user} is seen")
    t.is_(nginx.get("/long", nobody).status, 401, "and that one is nobody's")
    redis.revoke(carol)
    t.ok(wait_for(lambda: nginx.get("/never", carol).status == 401), "Redis says no of carol")

    t.ok(wait_for(lambda: nginx.get("/short", bob).status == 200), "bob is looked up where little is kept")
    looked_up = time.monotonic()
    redis.stop()
    answers = []                                       # (when it began, status, cache)
    while not answers or answers[-1][1] == 200:
        answers.append((time.monotonic(), *shown("/short", bob)))
        time.sleep(0.02)
        if time.monotonic() - looked_up > 30:
            break
    served = [begun - looked_up for begun, status, _ in answers if status == 200]
    t.is_(answers[-1][1:], (503, "miss"), "after valid + stale: unavailable")
    t.ok(max(served) < 2.0, "and never later", served[-1])
    stale = [begun - looked_up for begun, _, cache in answers if cache == "stale"]
    fresh = [begun - looked_up for begun, _, cache in answers if cache == "hit"]
    t.ok(stale and min(stale) > 0.5 and max(fresh, default=0) < 1.0, "stale only when valid is over", fresh[-1:], stale[:1])
    t.is_({cache for *_, status, cache in answers if status == 200} - {"hit"}, {"stale"}, "the log says how it was let in")

    t.is_(nginx.get("/long", alice).saw("X-User-Id"), ["alice"], "where much is kept, alice serves on, as herself")
    t.is_(shown("/never", alice)[0], 503, "and not where nothing is kept")
    t.is_(shown("/long", nobody)[0], 503, "of the unknown key nobody can say that it is unknown still")
    t.is_(shown("/long", carol)[0], 503, "carol does not come back")
    t.ok(wait_for(lambda: nginx.get("/long", ending).code == "expired_api_key", 10), "a key ends when its time is over")

    redis.start()                                      # empty: it has not proved itself
    t.ok(wait_for(lambda: nginx.get("/long", nobody).status == 503 and "has not been filled" in nginx.log()),
         "Redis is back, empty")
    t.is_((shown("/long", alice), shown("/long", nobody)[0]), ((200, "hit"), 503), "a cached key serves within valid")
    t.is_(shown("/short", alice)[0], 503, "but not beyond, while Redis can be reached")
