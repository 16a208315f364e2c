#!/usr/bin/python3
# A worker that nobody asks sleeps: also while it may not use Redis, or has only one of its two connections.

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
    api_key_cache valid=1h;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
SECONDS, MOST = 2, 80     # wakeups a second; what a worker does by itself takes about 10


def wakeups():
    with open(f"/proc/{nginx.workers()[0]}/status", encoding="ascii") as file:
        return int(next(line.split()[1] for line in file if line.startswith("voluntary_ctxt_switches")))


def wakes_seldom():
    before = wakeups()
    time.sleep(SECONDS)
    return wakeups() - before < MOST * SECONDS


with Test() as t:
    soon = {"repl-diskless-sync-delay": 0}
    redis, master = t.redis(keys=[], port=True, options=soon), t.redis(keys=[], port=True, options=soon)
    nginx = t.nginx(CONF, redis=redis)
    t.ok(nginx.wait_watching(1), "a worker that hears of changes")
    t.ok(wakes_seldom(), "sleeps between its PINGs")
    redis("REPLICAOF", "127.0.0.1", str(master.port))
    t.ok(nginx.wait_log("Redis is a replica"), "lookups are not possible, but the subscription is")
    t.ok(wait_for(lambda: nginx.metrics()["subscriptions_up"] == 1), "it is up")
    t.ok(wakes_seldom(), "it sleeps as much")
    redis.stop()
    t.ok(wait_for(lambda: nginx.metrics()["subscriptions_up"] == 0), "Redis is away")
    t.ok(wakes_seldom(), "and now, too")
