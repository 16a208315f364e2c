#!/usr/bin/python3
# Slots that old workers left are free for others as soon as Redis has taken what was in them, where a reload would find too
# few: its workers do not count in memory of their own, which dies with them.
# Hazards: N23, U1

import time

from lib.apikeytest import Test, usage, wait_for

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

SETTLE = 3                                             # seconds: Shipment::kSettle

with Test() as t:
    took = []
    alice, first = t.key(user="alice"), t.key(user="first")
    redis = t.redis(keys=[alice, first])
    nginx = t.nginx(CONF, redis=redis)
    wait_for(lambda: nginx.get("/", first).status == 200 and nginx.wait_watching(2))

    def slots(kind):
        return nginx.metrics()[f'usage_slots{{memory="{kind}"}}']

    with usage.Load(nginx, [alice]) as load:
        for _ in range(3):
            load.wait_more(40)
            t.ok(nginx.reload(), "a reload; the old workers leave what has not settled")
            wait_for(lambda: slots("zone") > 2, interval=0.02)
            adopted = time.monotonic()
            wait_for(lambda: slots("zone") == 2, interval=0.02)
            took.append(time.monotonic() - adopted)
    t.ok(min(took) < SETTLE - 0.5, "what they left is in other hands, and their slots are free, before all is settled", took)
    t.unlike(nginx.log(), "has no room for the usage", "each worker began with a slot in the zone")
    usage.agrees(t, redis, load, "reloads")
