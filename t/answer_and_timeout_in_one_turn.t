#!/usr/bin/python3
# Redis' answer, the timeout and the client's leaving meet in one turn of the event loop: a request ends once, as one of them.
# Hazards: N4, N3, R3

import collections
import os
import secrets
import time

from lib.apikeytest import Test, delay, request_bytes, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=100ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
        location /busy { root %DIR%; gzip on; gzip_types *; }
    }
}
"""

ROUNDS, AT_ONCE = 20, 30
SEED = os.environ.get("SEED") or secrets.token_hex(4)


def parked(key):
    before = proxy.count("HMGET")
    client = nginx.connect()
    client.send(request_bytes(key=key))
    wait_for(lambda: proxy.count("HMGET") > before, interval=0.0005)
    return client


def while_worker_is_busy(action=lambda: None):
    """The worker compresses a file, for longer than `timeout`, in one turn of its event loop. What happens meanwhile it
    finds in the next one, together with what is due by then."""
    with nginx.connect() as busy:
        begun = time.monotonic()
        busy.send(request_bytes(path="/busy", headers={"Accept-Encoding": "gzip"}))
        time.sleep(0.02)
        action()
        busy.response()
        return time.monotonic() - begun


with Test() as t:
    t.note(f"SEED={SEED}")
    keys = [t.key(user=f"user-{n}") for n in range(AT_ONCE)]
    proxy = t.redis_proxy(t.redis(keys=keys), seed=SEED)
    nginx = t.nginx(CONF, redis=proxy, upstream=t.upstream())
    t.is_(nginx.get("/", keys[0]).status, 200, "Redis is in use")
    baseline = nginx.fds()
    size, before = 64 << 20, 1
    while size < 1 << 32:
        with open(f"{nginx.folder}/busy", "wb") as file:
            file.truncate(size)
        before += 1
        if (seconds := while_worker_is_busy()) > 0.6:   # four times what is needed: load may have slowed it
            break
        size *= 2
    nginx.wait_requests(before)
    t.note(f"{size} bytes keep the worker busy for {seconds} s")

    # The answer comes at 40 ms, time is up at 100: the worker sees both later, at once.
    proxy.on("HMGET", delay(0.04))
    with parked(keys[1]) as client:
        t.ok(while_worker_is_busy() > 0.15, "the worker is busy until the answer is there and time is up")
        r = client.response()
        t.ok(r.status == 503 or (r.status, r.saw("X-User-Id")) == (200, ["user-1"]), "answer and timeout: one of them", r)
        t.note(r.status)
        t.ok(client.is_quiet(0.2), "and only one")
    t.logged_once(nginx, before + 2)

    # No answer: the client leaves, and time is up.
    proxy.clear()
    proxy.on("HMGET", delay(1.5), nth=1)
    client = parked(keys[2])
    while_worker_is_busy(client.close)
    ended = [x for x in nginx.wait_requests(before + 4) if x["uri"] == "/"]
    t.ok(len(ended) == 3 and ended[2]["status"] in (499, 503), "client and timeout: one end", ended)
    t.note(ended[2])
    t.ok(wait_for(lambda: nginx.get("/", keys[0]).status == 200), "a new question is answered again")

    # All three, and somebody else behind them on the link.
    proxy.clear()
    proxy.on("HMGET", delay(0.04), nth=1)
    before = len(nginx.wait_requests(1))
    client, other = parked(keys[3]), parked(keys[4])
    while_worker_is_busy(client.close)
    r = other.response()
    t.ok(r.status == 503 or r.saw("X-User-Id") == ["user-4"], "all three: the one behind is himself or 503", r)
    other.close()
    t.logged_once(nginx, before + 3)

    # Many at once, answered around the end of their time.
    proxy.clear()
    before = len(nginx.wait_requests(1))
    tally, wrong = collections.Counter(), []
    for n in range(ROUNDS):
        proxy.on("HMGET", delay(0.085, 0.115) if n % 2 else delay(0.03, 0.1), nth=1)
        clients = [nginx.connect() for _ in keys]
        for client, key in zip(clients, keys):
            client.send(request_bytes(key=key))
        for client, key in zip(clients, keys):
            r = client.response()
            tally[r.status] += 1
            if r.status != 503 and (r.status != 200 or r.saw("X-User-Id") != [key.user]):
                wrong.append((key.user, r))
            client.close()
        proxy.clear()
    t.is_(wrong, [], f"{ROUNDS * AT_ONCE} answers around the timeout: one's own, or 503")
    t.is_(sorted(tally), [200, 503], "of both kinds", dict(tally))
    t.note(dict(tally))
    t.logged_once(nginx, before + ROUNDS * AT_ONCE)
    t.ok(wait_for(lambda: nginx.get("/", keys[0]).status == 200), "all is well afterwards")
    t.fds_return(nginx, baseline)
