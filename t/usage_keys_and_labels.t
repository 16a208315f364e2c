#!/usr/bin/python3
# Thousands of keys with several labels each in one interval: batches are sealed early where the slot is full, and the sums of every
# key and label are exact; what finds no label of its own is counted as (other).
# Hazards: X8, U5

import collections

from lib.apikeytest import Test, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone           keys:8m;
    api_key_redis          %REDIS% timeout=5s;
    api_key_usage_interval 30s;
    server {
        listen 127.0.0.1:%PORT%;
        keepalive_requests 100000;
        location / { api_key "test"; api_key_usage_endpoint $uri; api_key_usage_model $arg_model; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
KEYS, LABELS, MODELS = 2000, 3, 400


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(KEYS)]
    redis = t.redis(keys=keys)
    nginx = t.nginx(CONF, redis=redis)
    wait_for(lambda: nginx.get("/early", keys[0]).status == 200)
    ledger, clients = collections.Counter(), [nginx.connect() for _ in range(4)]
    for number, key in enumerate(keys):
        for label in range(LABELS):
            model = f"model-{number % MODELS}"
            r = clients[number % 4].request(path=f"/{label}?model={model}", key=key)
            ledger[key.user, f"/{label}"] += r.status == 200
    t.is_(sum(ledger.values()), KEYS * LABELS, f"{KEYS} keys with {LABELS} labels each")
    t.ok(usage.counted(redis) > 0, "what finds no room until the interval is over is shipped early", usage.counted(redis))
    nginx.quit()
    counted = usage.by(redis, "user", "endpoint")
    t.is_({name: count for name, count in counted.items() if name[1] != "/early"}, dict(ledger), "each of them is counted exactly")
    models = usage.by(redis, "model")
    others = models.get("(other)", 0)
    t.is_(sum(models.values()) - models.get("", 0), KEYS * LABELS, "and each has its model, or (other)")
    t.note(f"{len(models)} models, {others} as (other), {len(usage.batches(redis))} batches")
    t.is_(usage.differing(redis), [], "what came again was the same")
