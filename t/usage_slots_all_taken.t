#!/usr/bin/python3
# More workers at a time than the zone has slots for (old ones drain beside new ones): the last ones count outside of it and say so,
# and move into the zone as soon as there is a slot. From then on they may be killed, and nothing is lost.
# Hazards: N15, N23, X8

from lib.apikeytest import Test, request_bytes, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 4;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS%;
    api_key_cache          valid=10m;
    api_key_usage_interval 200ms;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location /      { api_key "test"; empty_gif; }
        location /slow/ { api_key "test"; proxy_pass http://%UPSTREAM%; }
        location = /pid { return 200 $pid; }
        location = /metrics { api_key_metrics; }
    }
}
"""
WORKERS = 4


def in_memory(kind):
    return nginx.metrics()[f'usage_slots{{memory="{kind}"}}']


def drain():
    """A reload in which every old worker still has a request to answer."""
    clients = list(nginx.connect_each(WORKERS).values())
    before = len(upstream.requests)
    for client in clients:
        client.send(request_bytes(path="/slow/", key=alice))
    wait_for(lambda: len(upstream.requests) == before + WORKERS)
    t.ok(nginx.reload(wait_old=False), "a reload while every worker has a request to answer")
    return clients


with Test() as t:
    alice = t.key(user="alice")
    redis, upstream = t.redis(keys=[alice]), t.upstream()
    nginx = t.nginx(CONF, redis=redis, upstream=upstream)
    wait_for(lambda: nginx.get("/", alice).status == 200 and nginx.wait_watching(WORKERS))
    answered = usage.wait_counted(redis, 1)

    upstream.delay = 60
    drained = drain() + drain()
    t.ok(wait_for(lambda: in_memory("private") > 0), "the zone has no slot for the last ones", nginx.metrics())
    t.like(nginx.log(), r"\[warn\] .*api_key_zone has no room for the usage of this worker", "they say so")
    answered += sum(nginx.get("/", alice).status == 200 for _ in range(40))
    t.is_(usage.wait_counted(redis, answered), answered, "what they count is shipped all the same")

    for client in drained:
        client.close()
    t.ok(wait_for(lambda: len(nginx.workers()) == WORKERS), "the old workers end")
    t.ok(wait_for(lambda: in_memory("private") == 0 and in_memory("zone") == WORKERS), "all that are left have slots in the zone",
         in_memory("private"), in_memory("zone"))
    logged = sum(line["status"] != 0 and line["user"] == "alice" for line in nginx.requests())
    t.is_(usage.wait_counted(redis, logged), logged, "what was counted is in Redis, once")

    with usage.Load(nginx, [alice]) as load:
        load.wait_more(100)
        for pid in nginx.workers():
            nginx.kill_worker(pid)
        load.wait_more(50)
    load.answered["alice"] += logged
    usage.agrees(t, redis, load, "all are killed")
