#!/usr/bin/python3
# More keys in use than the zone has room for: each request is answered rightly all the same, those used last are in the
# cache, evictions are counted, and the log has nothing to say.
# Hazards: N26

import time

from lib.apikeytest import Test, request_bytes

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:64k;
    api_key_redis %REDIS% timeout=5s;
    server {
        listen 127.0.0.1:%PORT%;
        keepalive_requests 100000;
        location / { api_key "test"; api_key_cache valid=1h; add_header X-Who $api_key_user always; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
KEYS, IN_A_ROW = 1000, 50


def ask_for_all():
    """Everybody once: how many were not themselves."""
    wrong = 0
    for begin in range(0, KEYS, IN_A_ROW):
        batch = keys[begin:begin + IN_A_ROW]
        with nginx.connect() as client:
            client.send(b"".join(request_bytes(key=key) for key in batch))
            for key in batch:
                answer = client.response()
                wrong += (answer.status, answer.header("X-Who")) != (200, key.user)
    return wrong


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(KEYS)]
    nginx = t.nginx(CONF, redis=t.redis(keys=keys))
    t.ok(nginx.wait_watching(2), "the workers hear of changes")
    t.is_([ask_for_all() for _ in range(3)], [0, 0, 0], "everybody is himself, three times over")
    full = nginx.metrics()
    t.ok(full['cache_evictions_total{area="known"}'] > KEYS, "keys give way to others, and it is counted")
    t.ok(full['cache_entries{area="known"}'] < KEYS, "not all have room", full['cache_entries{area="known"}'])
    time.sleep(1.1)                                    # uses are told apart by the second
    for key in keys[:20] * 2:
        nginx.get("/", key)
    before = nginx.metrics()['cache_requests_total{result="hit"}']
    for key in keys[:20]:
        nginx.get("/", key)
    t.is_(nginx.metrics()['cache_requests_total{result="hit"}'] - before, 20, "those used last are there")
    t.unlike(nginx.log(), r"no memory|keys", "the log has nothing to say of it")
