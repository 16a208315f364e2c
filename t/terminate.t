#!/usr/bin/python3
# TERM ends nginx within a second, whatever Redis does and however many requests are parked.
# Hazards: N21

import signal
import time

from lib.apikeytest import Test, places, request_bytes, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=30s;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""
# What is counted is given 0.9 s; a sanitizer makes the rest slower. After 1.5 s nginx would kill its workers.
SOON = 1.4 if places.SANITIZED else 1.0


def seconds_to_end(nginx):
    begun = time.monotonic()
    nginx.process.expected_to_end = True
    nginx.process.send_signal(signal.SIGTERM)
    t.ok(nginx.process.wait(10), "it ends by itself")
    return time.monotonic() - begun


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(20)]
    redis = t.redis(keys=keys)

    for state in ("idle", "silent", "refusing", "paused"):
        proxy = t.redis_proxy(redis)
        nginx = t.nginx(CONF, redis=proxy)
        t.ok(wait_for(lambda: nginx.get("/", keys[0]).status == 200), f"{state}: Redis is in use")
        clients = [nginx.connect() for _ in keys]
        if state == "silent":
            proxy.black_hole()
        elif state == "refusing":
            proxy.refuse()
            proxy.close_all()
            time.sleep(0.1)
        elif state == "paused":
            redis.process.pause()
        for client, key in zip(clients, keys[1:] if state != "idle" else []):
            client.send(request_bytes(key=key))
        time.sleep(0.2)
        took = seconds_to_end(nginx)
        redis.process.resume()
        t.ok(took < SOON, f"{state}: within a second", f"{took:.2f} s")
        t.is_(nginx.process.exit_status(), 0, "as it should")
        t.unlike(nginx.log(), "open socket", "and nothing was left open")
        for client in clients:
            client.close()
