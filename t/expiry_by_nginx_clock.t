#!/usr/bin/python3
# A key ends by the clock of nginx's own host, 2 s ahead or behind, within its second, also where the verdict is in the cache: the only
# tolerance is how wrong that clock is.
# Hazards: C17

import time

from lib.apikeytest import Test, skip_all
from lib.apikeytest.clock import Clock
from lib.apikeytest.places import SANITIZED

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key_cache %CACHE%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
OFF, LIFE = (2, 0, -2), 5


def host(seconds, cache):
    clock = Clock(t.new_folder("clock"))
    clock.jump(seconds)
    nginx = t.nginx(CONF, redis=redis, cache=cache, start=False)
    nginx.env = clock.env
    nginx.start()
    return nginx


with Test() as t:
    if SANITIZED:
        skip_all("a sanitized build has a library of its own to preload")
    redis = t.redis()
    redis.trust()
    hosts = {(off, cache): host(off, cache) for off in OFF for cache in ("valid=10m", "valid=0")}
    for (_, cache), nginx in hosts.items():
        if cache != "valid=0":
            nginx.wait_watching(1)
    ends = int(time.time()) + 1 + LIFE
    key = t.key(user="alice", expires=ends)
    redis.add(key)
    last = {}                              # when each let it in for the last time
    while time.time() < ends + 4:
        for which, nginx in hosts.items():
            begun = time.time()
            r = nginx.get("/", key)
            if r.status == 200:
                last[which] = begun
            elif r.code != "expired_api_key":
                t.ok(False, "another answer", r)
        time.sleep(0.01)
    for (off, cache), nginx in hosts.items():
        late = last.get((off, cache), 0) + off - ends
        t.must(late < 1, f"{cache}, {off:+d} s: refused within a second of its end by that clock", late)
        t.ok(late > -1.5, f"{cache}, {off:+d} s: and not before it", late)
        t.is_(nginx.get("/", key).code, "expired_api_key", f"{cache}, {off:+d} s: as expired")
