#!/usr/bin/python3
# A worker stands still (a stopped process, a frozen machine) while keys that it has cached are revoked. The revocation is in
# force when its lease has ended; whoever asks it from then on is refused when it goes on, in its first turn, too, and also
# when it never gets to hear what was published.
# Hazards: N25, C2, R19

import os
import signal
import time

from lib.apikeytest import Test, drop, request_bytes, wait_for
from lib.apikeytest.process import read
from lib.apikeytest.receipts import ReceiptClient

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    api_key_cache valid=1h invalid=1h;
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
CLIENTS = 12
SLEEPS = [(0, False), (0, True), (0, True), (10, True)]    # seconds, at least, and whether the message gets lost


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    t.apikeyd(pg, redis)
    proxy = t.redis_proxy(redis)
    nginx, application = t.nginx(CONF, redis=proxy), ReceiptClient(pg)
    (worker,) = nginx.workers()
    t.ok(nginx.wait_watching(1), "the worker hears of changes")
    good = t.key(user="good")
    rounds = [[t.key(user=f"user-{n}") for _ in range(CLIENTS)] for n in range(len(SLEEPS))]
    application.change("INSERT INTO api_keys (id, user_id, name, key_hash, prefix) VALUES " + ",".join(
        f"('{key.id}', '{key.user}', 'k', '{key.hash}', '{key.prefix}')" for key in [good, *sum(rounds, [])]))
    clients, friend = [nginx.connect(timeout=30) for _ in range(CLIENTS)], nginx.connect(timeout=30)

    for (seconds, is_lost), keys in zip(SLEEPS, rounds):
        t.is_({client.request(key=key).status for _ in "12" for client, key in zip(clients, keys)} |
              {friend.request(key=good).status}, {200}, f"{CLIENTS} keys are in the cache")
        os.kill(worker, signal.SIGSTOP)
        wait_for(lambda: " (nginx) T " in read(f"/proc/{worker}/stat"))
        if is_lost:
            proxy.on("MESSAGE", drop())
        begun = time.monotonic()
        took, figures = application.change(f"UPDATE api_keys SET is_active = false WHERE user_id = '{keys[0].user}'")
        t.is_(figures, "0/0", f"the worker stands still, and they are revoked: in force without it, after {took:.2f} s")
        time.sleep(max(0, seconds - (time.monotonic() - begun)))
        for client, key in zip([*clients, friend], [*keys, good]):
            client.send(request_bytes(key=key))
        os.kill(worker, signal.SIGCONT)
        answers = [client.response().status for client in clients]
        t.is_(answers, [401] * CLIENTS, f"it goes on after {time.monotonic() - begun:.1f} s: nobody comes in who asked meanwhile")
        t.is_(friend.response().status, 200, "but for who has a good key")
        proxy.clear()
        t.is_({client.request(key=key).status for client, key in zip(clients, keys)}, {401}, "nor do they later")
        t.ok(nginx.wait_watching(1), "the worker hears of changes again")
    t.is_(nginx.workers(), [worker], "it is the same worker")
