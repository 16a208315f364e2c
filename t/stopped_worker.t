#!/usr/bin/python3
# A worker that stands still for longer than every timeout (a stopped process, a frozen machine) takes no late answer for
# another one when it goes on.
# Hazards: N25, R3

import os
import signal
import time

from lib.apikeytest import Test, delay, request_bytes, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=200ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def stand_still(seconds):
    worker = nginx.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    time.sleep(seconds)
    return worker


with Test() as t:
    keys, stranger = [t.key(user=f"user-{n}") for n in range(40)], t.key()
    proxy = t.redis_proxy(t.redis(keys=keys))
    nginx = t.nginx(CONF, redis=proxy, upstream=t.upstream())
    t.ok(wait_for(lambda: nginx.get("/", keys[0]).status == 200), "Redis is in use")

    for turn, late in enumerate((0.1, 0.6, 3.0)):
        some = keys[10 * turn + 1:10 * turn + 10]
        proxy.on("HMGET", delay(late), times=len(some))
        clients = [nginx.connect() for _ in some]
        asked = proxy.count("HMGET")
        for client, key in zip(clients, some):
            client.send(request_bytes(key=key))
        wait_for(lambda: proxy.count("HMGET") > asked)
        worker = stand_still(2.5)
        newcomers = [nginx.connect() for _ in "12345"]         # they wait in the kernel
        for client, key in zip(newcomers, reversed(keys)):
            client.send(request_bytes(key=key))
        proxy.clear()
        os.kill(worker, signal.SIGCONT)
        for who, key in [*zip(clients, some), *zip(newcomers, reversed(keys))]:
            r = who.response()
            t.ok(r.status == 503 or r.status == 200 and r.saw("X-User-Id") == [key.user],
                 f"Redis' answers {late} s late, the worker 2.5 s away: {key.user} is himself, or 503", r)
            who.close()
        t.ok(wait_for(lambda: all(nginx.get("/", key).status == 200 for key in keys[:5])), "it goes on")
    wrong = [r for key in keys for r in [nginx.get("/", key)] if r.status != 200 or r.saw("X-User-Id") != [key.user]]
    t.is_(wrong, [], "everybody is himself in the end")
    t.is_(nginx.get("/", stranger).code, "invalid_api_key", "and a stranger a stranger")
    t.is_(nginx.workers(), [worker], "in the same worker")
