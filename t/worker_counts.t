#!/usr/bin/python3
# One worker, as many as there are processors, 64: each serves and has its own connections to Redis, always the same number.
# Hazards: N28

import os

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes %WORKERS%;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""
EACH = 2                                   # for lookups, and the subscription to changes


def links():
    return sum("cmd=client" not in line for line in redis("CLIENT", "LIST").splitlines())


def served():
    return all((answer := nginx.get("/", key)).status == 200 and answer.saw("X-User-Id") == [key.user] for key in keys)


with Test() as t:
    keys, stranger = [t.key(user=f"user-{n}") for n in range(100)], t.key()
    redis, upstream = t.redis(keys=keys), t.upstream()
    for setting, count in (("1", 1), ("auto", os.sysconf("SC_NPROCESSORS_ONLN")), ("64", 64)):
        nginx = t.nginx(CONF, redis=redis, upstream=upstream, workers=setting)
        t.ok(wait_for(lambda: len(nginx.workers()) == count, 20), f"worker_processes {setting}: {count}", nginx.workers())
        t.ok(wait_for(lambda: links() == EACH * count, 20), f"worker_processes {setting}: {EACH} connections to Redis for each",
             links())
        t.ok(wait_for(served, 20), f"worker_processes {setting}: everybody is served as himself")
        t.is_(nginx.get("/", stranger).code, "invalid_api_key", f"worker_processes {setting}: and strangers are refused")
        t.ok(nginx.quit(20), f"worker_processes {setting}: it quits")
        t.ok(wait_for(lambda: links() == 0), f"worker_processes {setting}: and its connections with it")
