#!/usr/bin/python3
# The master is killed: its workers go on serving; another nginx on the same ports works from the start.
# Hazards: N24

import os
import signal

from lib.apikeytest import Test, wait_for
from lib.apikeytest.process import running

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def served():
    return [nginx.get("/", key).saw("X-User-Id") for key in keys] == [[key.user] for key in keys]


with Test() as t:
    keys, stranger = [t.key(user=f"user-{n}") for n in range(10)], t.key()
    redis = t.redis(keys=keys[:9])
    nginx = t.nginx(CONF, detached=True, redis=redis, upstream=t.upstream())
    redis.add(keys[9])
    t.ok(served(), "nginx serves")
    workers = nginx.workers()
    os.kill(nginx.master, signal.SIGKILL)
    t.ok(wait_for(lambda: not running(nginx.master)), "its master is killed")

    for _ in range(5):
        t.ok(served(), "the workers go on, as ever")
        t.is_(nginx.get("/", stranger).code, "invalid_api_key", "for unknown keys, too")
    redis("DEL", f"apikey:k:{keys[0].hash}")
    redis("PUBLISH", "apikey:changed", f"{keys[0].hash} 0")
    t.ok(wait_for(lambda: nginx.get("/", keys[0]).status == 401), "and a key that is revoked is refused")
    redis.add(keys[0])
    redis("PUBLISH", "apikey:changed", f"{keys[0].hash} 0")

    for pid in workers:
        os.kill(pid, signal.SIGQUIT)
    t.ok(wait_for(lambda: not any(map(running, workers)), 10), "told to quit, they end without a master")
    t.ok(wait_for(lambda: "cmd=hmget" not in redis("CLIENT", "LIST")), "and their connections to Redis")
    t.unlike(nginx.log(), "open socket", "with nothing left open")
    nginx.start()
    t.ok(wait_for(served), "another nginx in the same place serves")
    t.ok(not set(nginx.workers()) & set(workers), "with workers of its own")
