#!/usr/bin/python3
# nginx starts without Redis, answers 503 at once to every key meanwhile, and serves within a second of Redis' coming.
# Hazards: R1

import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def seconds_of(action):
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


with Test() as t:
    alice, nobody = t.key(user="alice"), t.key(user="nobody")
    upstream = t.upstream()
    proxy = t.redis_proxy(t.redis(keys=[alice]), port=True)
    proxy.refuse()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)
    t.ok(wait_for(lambda: len(nginx.workers()) == 2), "nginx starts")

    answers, slowest = [], 0.0
    for _ in range(40):                            # over more than the longest pause between two attempts
        for key in (alice, nobody):
            slowest = max(slowest, seconds_of(lambda sent=key: answers.append(nginx.get("/", sent))))
        time.sleep(0.05)
    t.is_({(r.status, r.code) for r in answers}, {(503, "api_key_unavailable")}, "no key can be judged")
    t.is_({r.header("Retry-After") for r in answers}, {"1"}, "the client is told when to come again")
    t.is_({r.header("WWW-Authenticate") for r in answers}, {None}, "and not that its key were wrong")
    t.ok(slowest < 1, "at once", f"{slowest:.3f} s")
    t.is_(nginx.get("/").code, "missing_api_key", "no key is refused as always")
    t.is_(len(upstream.requests), 0, "nothing reaches the upstream")
    said = [line for line in nginx.log().splitlines() if "[error]" in line]
    t.is_(len(said), 2, "the log says so once per worker", *said)
    t.like(said[0], r"api_key: Redis at redis://127.0.0.1:\d+/0 cannot be used: cannot connect \(111: Connection refused\)",
           "with the place and the reason")

    proxy.accept()
    begun = time.monotonic()
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "Redis comes: served")
    t.ok(wait_for(lambda: all(nginx.get("/", alice).status == 200 for _ in range(20))), "by every worker")
    took = time.monotonic() - begun
    t.ok(took < 2, "within a second", f"{took:.3f} s")
    t.note(f"served {took:.3f} s after Redis came")
    t.is_(nginx.get("/", nobody).code, "invalid_api_key", "and an unknown key is unknown")
    t.is_(len([line for line in nginx.log().splitlines() if "is in use again" in line]), 2, "the log says that, too")
