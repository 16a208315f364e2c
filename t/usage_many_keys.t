#!/usr/bin/python3
# A worker whose keys are many more than its slot has room for: while Redis takes what it is sent, nothing is lost.
# Hazards: X8

import random

from lib.apikeytest import Test, usage

KEYS, REQUESTS, AT_ONCE = 1_500, 4_000, 10

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    access_log off;
    keepalive_requests 1000000;
    api_key_zone  keys:8m;      # slots of 128 KiB: some 150 keys, and a ring for three times as many
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; api_key_cache valid=1h; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""


def send(connection, keys):
    """Pipelined."""
    connection.send("".join(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key.key}\r\n\r\n" for key in keys))
    return [connection.response().status for _ in keys]


with Test() as t:
    rng = random.Random(1)
    keys = [t.key(user=f"user-{number}") for number in range(KEYS)]
    redis = t.redis(keys=keys)
    nginx = t.nginx(CONF, redis=redis)
    t.ok(nginx.wait_watching(1), "the worker uses its cache")
    with nginx.connect() as connection:
        for begin in range(0, KEYS, AT_ONCE):
            send(connection, keys[begin:begin + AT_ONCE])
        statuses = [status for _ in range(REQUESTS // AT_ONCE)
                    for status in send(connection, [rng.choice(keys) for _ in range(AT_ONCE)])]
    t.is_(statuses.count(200), REQUESTS, "all are answered")
    t.is_(usage.wait_counted(redis, KEYS + REQUESTS), KEYS + REQUESTS, "all requests are in the stream, each once")
    metrics = nginx.metrics()
    t.is_(metrics["usage_lost_total"], 0, "none is lost")
    t.ok(metrics['usage_batches_total{event="sealed"}'] > 20, "though there were more batches than its ring has room for")
