#!/usr/bin/python3
# A Redis that accepts and hangs up at once, again and again: nginx comes back with growing pauses, not in a frenzy, and
# loses no file.
# Hazards: R5, R30

import time

from lib.apikeytest import Test, close, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""
SECONDS = 2.0


def cpu_seconds():
    with open(f"/proc/{nginx.workers()[0]}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def attempts_in(seconds, meanwhile):
    """Connections made in that time, and the longest that `meanwhile` took."""
    before, slowest, end = proxy.connections, 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        meanwhile()
        slowest = max(slowest, time.monotonic() - begun)
        time.sleep(0.02)
    return proxy.connections - before, slowest


with Test() as t:
    alice = t.key(user="alice")
    redis = t.redis(keys=[alice])
    proxy = t.redis_proxy(redis, port=True)
    nginx = t.nginx(CONF, redis=proxy)
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "Redis is in use")
    before = nginx.fds()

    for mode in ("close", "reset"):
        statuses, used = set(), cpu_seconds()
        proxy.mode = mode
        proxy.close_all()
        wait_for(lambda: nginx.get("/", alice).status == 503)
        attempts, slowest = attempts_in(SECONDS, lambda: statuses.add(nginx.get("/", alice).status))
        t.is_(statuses, {503}, f"{mode}: unavailable")
        t.ok(slowest < 1.5, "which is said soon", f"{slowest:.3f} s")
        t.ok(6 <= attempts <= 40, "Redis is tried on both connections with pauses of up to half a second", f"{attempts} in {SECONDS} s")
        t.note(f"{attempts} attempts in {SECONDS} s")
        t.ok(cpu_seconds() - used < 0.5 * SECONDS, "nginx is idle meanwhile", cpu_seconds() - used)
        t.ok(nginx.fds() <= before + 1, "no file is left open", f"{nginx.fds()}, was {before}")
        proxy.mode = "forward"
        begun = time.monotonic()
        t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "served again")
        t.ok(time.monotonic() - begun < 2, "within a second", time.monotonic() - begun)

    # It greets, and hangs up as soon as it is asked for a key.
    proxy.on("HMGET", close())
    attempts, slowest = attempts_in(SECONDS, lambda: nginx.get("/", alice))
    t.ok(10 <= attempts <= SECONDS / 0.02, "hanging up at the question: pauses as well", f"{attempts} in {SECONDS} s")
    t.ok(slowest < 1.5, "nobody waits long", f"{slowest:.3f} s")
    proxy.clear()
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "served again")

    # Redis itself hangs up: it has no room for another client.
    direct = t.nginx(CONF, redis=redis)                # the proxy may lose what is said in the moment of closing
    t.ok(wait_for(lambda: direct.get("/", alice).status == 200), "without the proxy")
    redis("CONFIG", "SET", "maxclients", "1")
    redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    t.ok(wait_for(lambda: direct.get("/", alice).status == 503), "Redis has no room: unavailable")
    t.ok(direct.wait_log("Redis refused INFO: ERR max number of clients"), "the log gives Redis' reason")
    redis("CONFIG", "SET", "maxclients", "100")
    t.ok(wait_for(lambda: direct.get("/", alice).status == 200), "served when it has")
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "and through the proxy")
    t.fds_return(nginx, before)
