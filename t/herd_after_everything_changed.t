#!/usr/bin/python3
# Word that any key may have changed makes every cached key be looked up again before use: once each, however many
# requests bring it, and nobody is refused meanwhile.
# Hazards: X6

import threading

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    server {
        listen 127.0.0.1:%PORT%;
        keepalive_requests 100000;
        location / { api_key "test"; api_key_cache valid=1h; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
KEYS, CLIENTS = 100, 8


def use_all(stop, statuses):
    with nginx.connect() as client:
        while not stop.is_set():
            for key in keys:
                statuses.append(client.request("GET", "/", key).status)


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(KEYS)]
    redis = t.redis(keys=keys)
    proxy = t.redis_proxy(redis)
    nginx = t.nginx(CONF, redis=proxy)
    t.ok(nginx.wait_watching(2), "the workers hear of changes")
    for key in keys:
        nginx.get("/", key)
    proxy.forget()

    stop, statuses = threading.Event(), []
    threads = [threading.Thread(target=use_all, args=(stop, statuses)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    t.ok(wait_for(lambda: len(statuses) > KEYS * CLIENTS, 20), "all keys are in use, by many at once")
    t.is_(proxy.count("HMGET"), 0, "from the cache alone")
    redis("PUBLISH", "apikey:changed", "* 0")
    t.ok(wait_for(lambda: proxy.count("HMGET") >= KEYS, 20), "everything may have changed: every key is looked up", proxy.count("HMGET"))
    seen = len(statuses)
    wait_for(lambda: len(statuses) > seen + 2 * KEYS * CLIENTS, 20)
    stop.set()
    for thread in threads:
        thread.join()
    t.ok(proxy.count("HMGET") <= 2 * KEYS, "once per key and worker at most, whoever asks", proxy.count("HMGET"))
    t.is_(set(statuses), {200}, "and nobody was refused", len(statuses))
