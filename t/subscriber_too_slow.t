#!/usr/bin/python3
# A worker that stands still while very much is published is cut off by Redis (client-output-buffer-limit): what it has cached is
# looked up before use when it goes on, so that a key that was revoked meanwhile is refused. Subscriptions that an operator
# kills are made again, and no request fails.
# Hazards: R20, R29, N25

import os
import signal
import threading

from lib.apikeytest import Test, wait_for

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
IN_A_ROW = 2000
SUBSCRIBERS = ("CLIENT", "LIST", "TYPE", "pubsub")


def publish(publisher):
    """Much that is no change, so that nothing but the subscription's end makes the worker doubt what it has cached."""
    publisher.pipeline([["PUBLISH", "apikey:changed", "x" * 500]] * IN_A_ROW)


def use(key, stop, statuses):
    with nginx.connect() as client:
        while not stop.is_set():
            statuses.append(client.request(key=key).status)


with Test() as t:
    alice, *keys = [t.key(user=f"user-{n}") for n in range(4)]
    redis = t.redis(keys=[alice, *keys], options={"client-output-buffer-limit": ["pubsub", "65536", "0", "0"]})
    nginx = t.nginx(CONF, redis=redis)
    publisher, worker = redis.client(), nginx.workers()[0]
    t.ok(nginx.wait_watching(1), "the worker hears of changes")

    for key in keys:
        t.is_({nginx.get("/", key).status for _ in range(2)} | {nginx.get("/", alice).status}, {200}, f"{key.user} is in the cache")
        failures = nginx.metrics()["subscription_failures_total"]
        os.kill(worker, signal.SIGSTOP)
        t.ok(wait_for(lambda: publish(publisher) or not redis(*SUBSCRIBERS), 20),
             "the worker stands still, and Redis closes its subscription")
        redis.revoke(key)
        redis.announce(key)                # which it does not hear any more
        os.kill(worker, signal.SIGCONT)
        if key is keys[0]:
            t.ok(wait_for(lambda: nginx.get("/", key).status == 401), "it goes on, and refuses the key that was revoked meanwhile")
            t.is_(nginx.get("/", alice).status, 200, "and serves the good one")
        t.ok(wait_for(lambda: nginx.metrics()["subscription_failures_total"] > failures), "it has noticed")
        t.ok(nginx.wait_watching(1), "it hears of changes again")
        t.is_(nginx.get("/", key).status, 401, "what was cached before is not trusted for that")
        hits = nginx.metrics()['cache_requests_total{result="hit"}']
        t.ok(wait_for(lambda: nginx.get("/", alice).status == 200 and nginx.metrics()['cache_requests_total{result="hit"}'] > hits),
             "and uses its cache again")
    t.is_(nginx.workers(), [worker], "it is the same worker")

    # Killed again and again, under load.
    stop, statuses = threading.Event(), []
    users = [threading.Thread(target=use, args=(alice, stop, statuses)) for _ in range(3)]
    for user in users:
        user.start()
    for _ in range(10):
        failures = nginx.metrics()["subscription_failures_total"]
        seen = len(statuses)
        t.ok(redis("CLIENT", "KILL", "TYPE", "pubsub") >= 1, "killed")
        wait_for(lambda: nginx.metrics()["subscription_failures_total"] > failures and len(statuses) > seen + 20)
        t.ok(nginx.wait_watching(1), "and made again")
    stop.set()
    for user in users:
        user.join()
    t.is_(set(statuses), {200}, "no request failed", len(statuses))
