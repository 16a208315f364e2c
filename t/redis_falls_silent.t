#!/usr/bin/python3
# A connection to Redis that swallows everything is noticed: at once when somebody asks, by the heartbeat when nobody does;
# so is a Redis that cannot be connected to. Nothing hangs, no file stays open.
# Hazards: R4

import socket
import threading
import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=200ms connect_timeout=300ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""
TIMEOUT, HEARTBEAT, SLACK = 0.2, 1.0, 1.0


def seconds_until(condition):
    begun = time.monotonic()
    t.ok(wait_for(condition, 8), "it happens")
    return time.monotonic() - begun


def swallow():
    """The open connection is a black hole from now on; new ones work."""
    proxy.black_hole(kind="lookups")
    return proxy.kinds["lookups"]


def is_served():
    return nginx.get("/", alice).status == 200


with Test() as t:
    alice = t.key(user="alice")
    proxy = t.redis_proxy(t.redis(keys=[alice]))
    nginx = t.nginx(CONF, redis=proxy)
    t.ok(wait_for(is_served), "Redis is in use")
    before = nginx.fds()

    connections = swallow()
    took = seconds_until(lambda: proxy.kinds["lookups"] > connections)
    t.ok(took < HEARTBEAT + 2 * TIMEOUT + SLACK, "nobody asks: the heartbeat finds out", f"{took:.3f} s")
    t.note(f"idle: noticed after {took:.3f} s (heartbeat {HEARTBEAT} s, then twice {TIMEOUT} s)")
    t.is_(nginx.get("/", alice).status, 200, "nobody was troubled")

    noticed = []                                   # the best of three: others may keep the machine busy
    for _ in range(3):
        time.sleep(0.45)                           # the next look at an idle connection is far away
        connections = swallow()
        begun = time.monotonic()
        t.is_(nginx.get("/", alice).status, 503, "somebody asks: unavailable")
        took = time.monotonic() - begun
        t.ok(took < TIMEOUT + SLACK, "at the timeout", f"{took:.3f} s")
        noticed.append(took + seconds_until(lambda seen=connections: proxy.kinds["lookups"] > seen))
        t.is_(nginx.get("/", alice).status, 200, "and the new connection serves")
    t.ok(min(noticed) < 2 * TIMEOUT + 0.1 and max(noticed) < 2 * TIMEOUT + SLACK, "the old one ended at twice the timeout",
         *noticed)
    t.note(f"asked: noticed after {', '.join(f'{took:.3f}' for took in noticed)} s")

    # Whoever comes: no connection lives for ever because there is always somebody who asks.
    connections, stop = swallow(), threading.Event()

    def keep_asking():
        while not stop.wait(0.03):
            nginx.get("/", alice)

    askers = [threading.Thread(target=keep_asking) for _ in range(3)]
    for asker in askers:
        asker.start()
    took = seconds_until(lambda: proxy.kinds["lookups"] > connections)
    t.ok(took < 2 * TIMEOUT + SLACK, "many ask: noticed as early", f"{took:.3f} s")
    stop.set()
    for asker in askers:
        asker.join()

    # Every new connection is a black hole, too.
    proxy.black_hole()
    connections, slowest = proxy.connections, 0.0
    end = time.monotonic() + 3
    while time.monotonic() < end:
        begun = time.monotonic()
        t.ok(nginx.get("/", alice).status == 503, "unavailable") if slowest == 0 else nginx.get("/", alice)
        slowest = max(slowest, time.monotonic() - begun)
        time.sleep(0.05)
    t.ok(slowest < TIMEOUT + SLACK, "black holes only: nobody waits longer than the timeout", f"{slowest:.3f} s")
    t.ok(2 <= proxy.connections - connections <= 16, "new connections of both kinds are tried, with pauses",
         proxy.connections - connections)
    t.ok(nginx.fds() <= before + 1, "and none is left behind", f"{nginx.fds()}, was {before}")
    proxy.forward()
    took = seconds_until(is_served)
    t.ok(took < 2 * TIMEOUT + 0.5 + SLACK, "served again", f"{took:.3f} s")

    # A listener that accepts nobody: connecting takes for ever.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        nginx.write_config(redis=f"redis://127.0.0.1:{full.getsockname()[1]}/0")
        t.ok(nginx.reload(), "reloaded")
        begun = time.monotonic()
        t.is_(nginx.get("/", alice).status, 503, "no connection comes about: unavailable")
        took = time.monotonic() - begun
        t.ok(took < 0.3 + SLACK, "in time", f"{took:.3f} s")
        t.ok(nginx.wait_log("cannot be used: no connection within connect_timeout"), "the log says why")
        for one in crowd:
            one.close()
    t.fds_return(nginx, before)
