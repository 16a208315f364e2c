#!/usr/bin/python3
# Redis that answers late: in time is served, too late is 503 and its answer goes to nobody, far too late ends the
# connection. Whoever asks behind a late answer is himself.
# Hazards: R3

import time

from lib.apikeytest import Test, delay, request_bytes, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=1s;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""
TIMEOUT, SLACK = 1.0, 1.0


def ask(key):
    client = nginx.connect()
    client.send(request_bytes(key=key))
    clients.append(client)
    return client


def answer(client):
    r = client.response()
    return (r.status, r.saw("X-User-Id") if r.status == 200 else r.code)


def is_reached(key):
    return wait_for(lambda: nginx.get("/", key).status == 200)


with Test() as t:
    alice, bob, carol = (t.key(user=name) for name in ("alice", "bob", "carol"))
    nobody = t.key(user="nobody")
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob, carol])), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)
    clients = []
    t.ok(is_reached(alice), "Redis is in use")

    for seconds in (0.005, 0.05, 0.3):
        proxy.on("HMGET", delay(seconds), nth=1)
        t.is_(answer(ask(alice)), (200, ["alice"]), f"{seconds} s is in time")
        proxy.clear()

    # Late, but not so late that the connection is given up.
    proxy.on("HMGET", delay(1.5), nth=1)
    connections, begun = proxy.kinds["lookups"], time.monotonic()
    first = ask(alice)
    time.sleep(0.9)
    behind = [ask(bob), ask(nobody), ask(carol)]
    t.is_(answer(first), (503, "api_key_unavailable"), "1.5 s is too late")
    took = time.monotonic() - begun
    t.ok(TIMEOUT - 0.1 < took < TIMEOUT + SLACK, "which is said at the timeout", f"{took:.3f} s")
    t.note(f"answered after {took:.3f} s, timeout {TIMEOUT} s")
    t.is_([answer(client) for client in behind], [(200, ["bob"]), (401, "invalid_api_key"), (200, ["carol"])],
          "those behind it get their own answers")
    t.is_(proxy.kinds["lookups"], connections, "on the same connection")
    proxy.clear()

    # So late that the connection is given up; on the new one nothing of it is left.
    proxy.on("HMGET", delay(10), nth=1)
    connections, begun = proxy.kinds["lookups"], time.monotonic()
    first, second = ask(alice), ask(bob)
    t.is_(answer(first), (503, "api_key_unavailable"), "10 s are too late")
    t.is_(answer(second), (503, "api_key_unavailable"), "and the one behind it as well")
    took = time.monotonic() - begun
    t.ok(took < TIMEOUT + SLACK, "which is said at the timeout", f"{took:.3f} s")
    t.ok(wait_for(lambda: proxy.kinds["lookups"] > connections), "Redis is asked on a new connection")
    took = time.monotonic() - begun
    t.ok(took < 2 * TIMEOUT + SLACK, "after twice the timeout", f"{took:.3f} s")
    t.note(f"connection given up after {took:.3f} s")
    t.ok(is_reached(carol), "which works")
    t.is_([answer(ask(key)) for key in (bob, carol, alice)], [(200, ["bob"]), (200, ["carol"]), (200, ["alice"])],
          "for everybody")
    t.is_(proxy.kinds["lookups"], connections + 1, "one new connection")
    t.like(nginx.log(), r"cannot be used: Redis does not answer;", "the log says why")

    for client in clients:
        client.close()

    def served():
        return [x["status"] for x in nginx.requests()].count(200)

    wait_for(lambda: served() >= len(upstream.requests))
    t.is_(len(upstream.requests), served(), "the late answers let nobody through")
    t.is_({x["user"] for x in nginx.requests() if x["status"] != 200}, {""}, "and gave nobody a name")
