#!/usr/bin/python3
# Redis' answer and the client's leaving meet in one turn of the event loop: the request ends once, and nobody else is hurt.
# Hazards: N3

import os
import random
import secrets
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
    api_key_redis %REDIS% timeout=5s;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        api_key "test";
        location /     { empty_gif; }
        location /who/ { include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""

ROUNDS = 300
SEED = os.environ.get("SEED") or secrets.token_hex(4)


class Parked:
    """A request that waits for Redis, on HTTP/1 or on a stream of its own connection."""

    def __init__(self, path, http2=False):
        before = proxy.count("HMGET")
        self.stream = None
        if http2:
            self.client = nginx.connect2(port=nginx.ports["PORT_H2"])
            self.stream = self.client.send(path=path, key=alice)
        else:
            self.client = nginx.connect()
            self.client.send(request_bytes(path=path, key=alice))
        wait_for(lambda: proxy.count("HMGET") > before, interval=0.0005)

    def leaves(self, reset):
        if self.stream is not None and reset:
            self.client.reset(self.stream)
        elif reset:
            self.client.reset()
        else:
            self.client.close()


def while_worker_sleeps(action):
    """What happens to the worker meanwhile, it finds in one turn of its event loop."""
    os.kill(worker, signal.SIGSTOP)
    action()
    os.kill(worker, signal.SIGCONT)


def meets(first, reset, http2):
    """An answer and the client's end in one turn, in this order; the status that is logged."""
    before = len(nginx.wait_requests(1))
    proxy.clear()
    proxy.on("HMGET", delay(0.05 if first == "answer" else 0.3))
    client = Parked("/meets", http2)

    def both():
        time.sleep(0.3 if first == "answer" else 0)
        client.leaves(reset)
        time.sleep(0.05 if first == "answer" else 0.4)
    while_worker_sleeps(both)
    logged = nginx.wait_requests(before + 1)[before:]
    client.client.close()
    return [x["status"] for x in logged]


with Test() as t:
    t.note(f"SEED={SEED}")
    rng = random.Random(SEED)
    alice, bob = t.key(user="alice"), t.key(user="bob")
    proxy = t.redis_proxy(t.redis(keys=[alice, bob]), seed=SEED)
    nginx = t.nginx(CONF, redis=proxy, upstream=t.upstream())
    t.is_(nginx.get("/who/", bob).saw("X-User-Id"), ["bob"], "Redis is in use")
    worker, baseline = nginx.workers()[0], nginx.fds()

    for http2 in (False, True):
        for reset in (False, True):
            how = f"{'HTTP/2' if http2 else 'HTTP/1'}, {'reset' if reset else 'end'}"
            t.is_(meets("client", reset, http2), [499], f"{how}: the client first, then the answer: one 499")
            status = meets("answer", reset, http2)
            t.ok(status in ([200], [499]), f"{how}: the answer first: one end", status)

    before = len(nginx.wait_requests(1))
    proxy.clear()
    proxy.on("HMGET", delay(0, 0.006), containing=alice.hash)
    wrong = []
    for n in range(ROUNDS):
        client = Parked("/", http2=n % 3 == 0)
        time.sleep(rng.uniform(0, 0.006))
        client.leaves(reset=rng.random() < 0.5)
        if n % 10 == 0 and (seen := nginx.get("/who/", bob).saw("X-User-Id")) != ["bob"]:
            wrong.append(seen)
        client.client.close()
    statuses = [x["status"] for x in nginx.wait_requests(before + ROUNDS + ROUNDS // 10)[before:]]
    t.is_(len(statuses), ROUNDS + ROUNDS // 10, f"{ROUNDS} random meetings: each request is logged once")
    t.is_(sorted(set(statuses)), [200, 499], "some were answered, some had left")
    t.is_(wrong, [], "and the next in line was always himself")
    t.is_(proxy.kinds["lookups"], 1, "all over one connection to Redis")
    t.is_(nginx.workers(), [worker], "by one worker")
    t.fds_return(nginx, baseline)
