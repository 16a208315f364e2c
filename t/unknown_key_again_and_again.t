#!/usr/bin/python3
# One unknown key, sent as fast as can be by several clients: Redis is asked for it once in `invalid`, whoever asks.
# Hazards: X2

import threading
import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    access_log off;
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    keepalive_requests 1000000;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; api_key_cache valid=1h invalid=%INVALID%ms; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
INVALID, TIMES, CLIENTS = 0.4, 8, 4
EARLY = 15 / 16                            # what is cached may end so much early, each key at a time of its own


def send(codes):
    with nginx.connect() as client:
        while not stop.is_set():
            codes.append(client.request(key=nobody).code)


with Test() as t:
    nobody = t.key(user="nobody")
    proxy = t.redis_proxy(t.redis(keys=[]))
    nginx = t.nginx(CONF, redis=proxy, invalid=int(INVALID * 1000))
    t.ok(nginx.wait_watching(1), "the worker hears of changes")
    stop, codes = threading.Event(), []
    proxy.forget()
    begun = time.monotonic()
    clients = [threading.Thread(target=send, args=(codes,)) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    t.ok(wait_for(lambda: proxy.count("HMGET") >= TIMES, 30), "it is asked for again when the time is over")
    asked, seconds = proxy.count("HMGET"), time.monotonic() - begun
    stop.set()
    for client in clients:
        client.join()
    t.ok(asked <= seconds / (INVALID * EARLY) + 1, "once in that time, and not more often", f"{asked} in {seconds:.2f} s", len(codes))
    t.is_(set(codes), {"invalid_api_key"}, "and each is refused", len(codes))
    t.note(f"{len(codes)} requests, {asked} questions in {seconds:.2f} s")
