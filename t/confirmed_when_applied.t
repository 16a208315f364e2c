#!/usr/bin/python3
# A worker confirms a change when what it had cached is forgotten, not before: also where "any key may have changed" comes so
# soon after the last time that it has to wait for its turn, and where very many changes come at once.
# Hazards: C2, R21, R22

import os
import signal
import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest.applied import Applied

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    api_key_cache valid=1h invalid=1h;
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
ROUNDS = 30
MANY = 3000                                # more than a worker applies one by one in a turn


def is_cached(key):
    before = nginx.metrics()['cache_requests_total{result="hit"}']
    return client.request(key=key).status == 200 and nginx.metrics()['cache_requests_total{result="hit"}'] > before


def all_may_have_changed(_key, receipt):
    redis.announce(receipt=receipt)


def many_have_changed(key, receipt):
    """And its change is the last of them."""
    os.kill(worker, signal.SIGSTOP)
    publisher.pipeline([["PUBLISH", "apikey:changed", f"{n:064x} 0"] for n in range(MANY)])
    redis.announce(key, receipt=receipt)
    os.kill(worker, signal.SIGCONT)


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(2 * ROUNDS)]
    redis = t.redis(keys=keys)
    nginx, heard, publisher = t.nginx(CONF, redis=redis), Applied(redis), redis.client()
    (worker,) = nginx.workers()
    t.ok(nginx.wait_watching(1), "the worker hears of changes")
    client, pauses = nginx.connect(), []

    for number, key in enumerate(keys):
        publish = all_may_have_changed if number < ROUNDS else many_have_changed
        redis.announce(receipt=10_000 + number)        # everything is forgotten now, and not again for a while
        if not heard.wait(10_000 + number, 1) or not wait_for(lambda: is_cached(key)):
            t.ok(False, f"{key.user} is cached")
        redis.revoke(key)
        begun = time.monotonic()
        publish(key, number + 1)
        confirmed = heard.wait(number + 1, 1)
        pauses.append(time.monotonic() - begun)
        t.is_((confirmed, client.request(key=key).status), (True, 401), f"{publish.__name__}, {number % ROUNDS}: confirmed, and refused")
    t.note(f"confirmed after {1000 * min(pauses):.1f} to {1000 * max(pauses):.1f} ms")
    t.ok(nginx.wait_watching(1), "the worker hears of changes as before")
