#!/usr/bin/python3
# Redis refuses usage: it is full, a replica, loading, or its ACL says no. What was counted waits in the zone, requests go on, Redis
# is not asked more than once per interval, and when it takes usage again, all of it is there, once.
# Hazards: R6, R7, R8, R9, S10

import collections
import time

from lib.apikeytest import Test, replace, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% timeout=2s;
    api_key_cache          valid=10m;
    api_key_usage_interval 200ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
LASTS = 2.0                                # seconds that the weather lasts
WORKERS, INTERVAL = 2, 0.2


def refused():
    return nginx.metrics()['usage_batches_total{event="refused"}']


def at_once(*commands):
    client = redis.client()
    client.pipeline([["MULTI"], *commands, ["EXEC"]])
    client.close()


def weather(name, word, begins, ends):
    """Load while Redis refuses; afterwards everything is counted. `word`: what the log says that Redis said."""
    before, begun = refused(), time.monotonic()
    with usage.Load(nginx, users, clients=2) as load:
        load.wait_more(20)
        begins()
        time.sleep(LASTS)
        ends()
        took = time.monotonic() - begun
        load.wait_more(20)
    t.is_((dict(load.refused), dict(load.perhaps)), ({}, {}), f"{name}: no request fails ({load.asked})")
    total.update(load.answered)
    load.answered = total
    load.agrees(t, lambda: usage.by(redis, "user"), name)
    t.must(not (found := usage.differing(redis)), f"{name}: what came again was the same", found)
    if word:
        t.like(nginx.log(), rf"\[error\] .*refuses usage \({word}\); it is kept and sent again", f"{name}: the log says so")
        most = WORKERS * (took / INTERVAL + 2)         # each worker tries one batch, and waits for its timer
        t.ok(0 < refused() - before <= most, f"{name}: refused {refused() - before} times, which is few")


with Test(limit=180) as t:
    users = [t.key(user=f"user-{n}") for n in range(5)]
    redis = t.redis(keys=users, port=True)
    redis("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    proxy = t.redis_proxy(redis, record=False)
    nginx = t.nginx(CONF, redis=proxy)
    wait_for(lambda: nginx.get("/", users[0]).status == 200 and nginx.wait_watching(2))
    for user in users:
        nginx.get("/", user)
    usage.wait_counted(redis, 1 + len(users))
    total = collections.Counter(usage.by(redis, "user"))

    weather("Redis is full", "OOM", lambda: redis("CONFIG", "SET", "maxmemory", "1"), lambda: redis("CONFIG", "SET", "maxmemory", "0"))
    weather("its ACL forbids XADD", "NOPERM", lambda: redis("ACL", "SETUSER", "default", "-xadd"),
            lambda: redis("ACL", "SETUSER", "default", "+xadd"))
    weather("it is loading", "LOADING", lambda: proxy.on("XADD", replace(b"-LOADING Redis is loading the dataset in memory\r\n")), proxy.clear)
    weather("its stream is something else", "WRONGTYPE", lambda: at_once(["RENAME", usage.STREAM, "kept"], ["SET", usage.STREAM, "?"]),
            lambda: redis("RENAME", "kept", usage.STREAM))

    # A replica keeps what it had when nothing is copied to it: its master does not answer.
    weather("it becomes a replica", "", lambda: redis("REPLICAOF", "127.0.0.1", "1"), lambda: redis("REPLICAOF", "NO", "ONE"))
    t.like(nginx.log(), "READONLY|is a replica; a master is needed", "it becomes a replica: the log says so")
    t.ok(wait_for(lambda: not nginx.metrics()["usage_batches_pending"]), "in the end nothing waits in the zone")
