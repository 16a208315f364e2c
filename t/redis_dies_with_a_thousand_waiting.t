#!/usr/bin/python3
# Redis ends, or falls silent, while a thousand requests wait for it: each is answered 503 in time, and none leaves a trace.
# Hazards: R2

import time

from lib.apikeytest import Test, black_hole, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { worker_connections 1024; }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=3s;
    server {
        listen 127.0.0.1:%PORT% http2;
        location / { api_key "test"; empty_gif; }
    }
}
"""

CLIENTS, STREAMS = 10, 100
TIMEOUT = 3.0


def thousand_wait():
    """Sends 1,000 requests; gives them as (client, stream) once all have been asked of Redis."""
    proxy.forget()
    waiting = [(clients[n % CLIENTS], clients[n % CLIENTS].send(key=key)) for n, key in enumerate(keys)]
    t.ok(wait_for(lambda: proxy.count("HMGET") == CLIENTS * STREAMS), "a thousand wait", proxy.count("HMGET"))
    return waiting


def answers_to(waiting, begun):
    statuses = [client.wait(stream).status for client, stream in waiting]
    return statuses, time.monotonic() - begun


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(CLIENTS * STREAMS)]
    proxy = t.redis_proxy(t.redis(keys=keys), port=True)
    nginx = t.nginx(CONF, redis=proxy)
    clients = [nginx.connect2() for _ in range(CLIENTS)]
    t.is_(clients[0].request(key=keys[0]).status, 200, "Redis is in use")
    before = nginx.fds()

    for how, reset in (("closes", False), ("resets", True)):
        time.sleep(0.15)                           # a connection that is no flapping one
        proxy.on("HMGET", black_hole())
        waiting = thousand_wait()
        proxy.clear()
        begun = time.monotonic()
        proxy.close_all(reset=reset)
        statuses, took = answers_to(waiting, begun)
        t.is_(set(statuses), {503}, f"Redis {how}: all that were under way are unavailable")
        t.ok(took < TIMEOUT - 1, "at once, not at the timeout", f"{took:.3f} s")
        t.note(f"answered {took:.3f} s after the end of the connection")
        t.is_(proxy.count("HMGET"), CLIENTS * STREAMS, "none was sent again")
        t.ok(wait_for(lambda: clients[0].request(key=keys[1]).status == 200), "the next is served")

    proxy.on("HMGET", black_hole())
    begun = time.monotonic()
    statuses, took = answers_to(thousand_wait(), begun)
    proxy.clear()
    t.is_(set(statuses), {503}, "Redis falls silent: all are unavailable")
    t.ok(TIMEOUT - 0.2 < took < TIMEOUT + 1.5, "at the timeout", f"{took:.3f} s")
    t.note(f"answered {took:.3f} s after the first was sent, timeout {TIMEOUT} s")
    t.ok(wait_for(lambda: clients[0].request(key=keys[2]).status == 200, 10), "the next is served")
    t.fds_return(nginx, before)
    for client in clients:
        client.close()
