#!/usr/bin/python3
# Several users' keys on one connection: each request counts for its own key, one after the other, pipelined, as streams of
# HTTP/2, and while other requests of the same worker wait for Redis.
# Hazards: U5, P22, P23

import os
import random
import secrets

from lib.apikeytest import Test, delay, request_bytes
from lib.apikeytest import usage

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:32m;
    api_key_redis %REDIS% timeout=5s;
    api_key_usage_interval 100ms;
    api_key_cache valid=%VALID% invalid=0;
    api_key "test";
    server {
        listen 127.0.0.1:%PORT% reuseport;
        listen 127.0.0.1:%PORT_2% http2;
        location /a { empty_gif; }
        location /b { api_key_require b; empty_gif; }
        location = /metrics { api_key off; api_key_metrics; }
    }
}
"""
USERS, PIPELINED = 20, 50


def pick():
    """A random key and location, and the status of the answer; counted in `expected`."""
    key, path = chance.choice(keys), chance.choice(("/a", "/b"))
    status = 403 if path == "/b" and key.scopes == "a" else 200
    name = (key.user, key.id, path, "error" if status == 403 else "success")
    expected[name] = expected.get(name, 0) + 1
    return key, path, status


with Test() as t:
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    t.note(f"SEED={seed}")
    chance, expected = random.Random(seed), {}
    keys = [t.key(user=f"user-{n % USERS}", scopes=("a", "a b", "*")[n % 3]) for n in range(2 * USERS)]
    redis = t.redis(keys=keys)
    proxy = t.redis_proxy(redis)
    for valid in ("0", "1m"):
        nginx = t.nginx(CONF, redis=proxy, valid=valid)
        t.ok(nginx.wait_watching(2), f"valid={valid}")
        proxy.at_random({delay(0.001, 0.02): 0.2}, seed=seed, command="HMGET")
        with nginx.connect() as client:
            asked = [pick() for _ in range(100)]
            t.is_([client.request(path=path, key=key).status for key, path, _ in asked], [x[2] for x in asked], "one after the other")
        with nginx.connect() as client:
            asked = [pick() for _ in range(PIPELINED)]
            client.send(b"".join(request_bytes(path=path, key=key) for key, path, _ in asked))
            t.is_([client.response().status for _ in asked], [x[2] for x in asked], "pipelined")
        with nginx.connect2(port=nginx.ports["PORT_2"]) as client:
            asked = [pick() for _ in range(100)]
            done = client.wait(*[client.send(path=path, key=key) for key, path, _ in asked])
            t.is_([r.status for r in done], [x[2] for x in asked], "streams of HTTP/2")
        proxy.clear()
        t.ok(nginx.quit(), "it stops, and has shipped everything")
        found = usage.by(redis, "user", "key_id", "endpoint", "status")
        t.must(found == expected, "each request counts for its own key", set(found.items()) ^ set(expected.items()))
        t.is_(set(usage.last_used(redis)), {name[1] for name in expected}, "and moves its own last_used_at")
