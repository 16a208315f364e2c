#!/usr/bin/python3
# A flood of random keys, each looked up, takes nothing from those who hold a key: all of them are in the cache as before,
# and neither the workers nor the zone grow.
# Hazards: X1

from lib.apikeytest import Test, make_key_text, memory_of, places, request_bytes

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:256k;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        keepalive_requests 100000;
        location / { api_key "test"; api_key_cache valid=1h invalid=1h; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
KEYS, FLOOD, IN_A_ROW = 200, 12000, 50


def resident():
    return sum(memory_of(worker, figure) for worker in nginx.workers() for figure in ("Private_Dirty", "Private_Clean"))


def flood(count):
    """So many requests with keys that nobody has, on pipelined connections; their statuses."""
    statuses = set()
    for _ in range(count // IN_A_ROW):
        with nginx.connect() as client:
            client.send(b"".join(request_bytes(key=make_key_text()) for _ in range(IN_A_ROW)))
            statuses |= {client.response().status for _ in range(IN_A_ROW)}
    return statuses


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(KEYS)]
    redis = t.redis(keys=keys)
    nginx = t.nginx(CONF, redis=redis)
    t.ok(nginx.wait_watching(2), "the workers hear of changes")
    for key in keys * 4:                   # a verdict that comes while another worker holds the zone's lock is not kept
        nginx.get("/", key)
    before = nginx.metrics()
    t.is_({nginx.get("/", key).status for key in keys}, {200}, "all keys are good")
    t.is_(nginx.metrics()['cache_requests_total{result="hit"}'] - before['cache_requests_total{result="hit"}'], KEYS,
          "and in the cache")

    t.is_(flood(FLOOD // 4), {401}, "strangers are refused")
    memory, zone = resident(), nginx.metrics()["zone_free_bytes"]
    t.is_(flood(FLOOD), {401}, f"{FLOOD} more of them")
    after = nginx.metrics()
    t.ok(after['cache_evictions_total{area="unknown"}'] > 0, "many more than there is room for")
    t.is_(after['cache_evictions_total{area="known"}'], 0, "no good key gave way")
    if not places.SANITIZED:                           # which keeps what was freed
        t.ok(abs(resident() - memory) < 2048, "the workers have not grown by 2 MB", resident(), memory)
    t.is_(after["zone_free_bytes"], zone, "nor has the zone")
    hits = after['cache_requests_total{result="hit"}']
    t.is_({nginx.get("/", key).status for key in keys}, {200}, "the keys are good as before")
    t.is_(nginx.metrics()['cache_requests_total{result="hit"}'] - hits, KEYS, "and in the cache as before")
    t.ok(after['cache_places{area="unknown"}'] * 64 < 0.06 * after["zone_bytes"],
         "the unknown have a twentieth of the zone")
