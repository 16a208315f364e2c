#!/usr/bin/python3
# nginx is reloaded again and again while keys are revoked: what is reported as in force is, in workers that end and in those
# that have just begun, who go on with the cache of the former; and nobody is refused before.
# Hazards: C3, N15

import collections
import threading

from lib.apikeytest import Test, wait_for
from lib.apikeytest.http1 import NoAnswer
from lib.apikeytest.receipts import ReceiptClient

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    access_log off;
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
ROUNDS, RELOADS, ASKED = 60, 12, 12         # at least; and how often each key is asked for before and after
MOST = 2000                                # keys


def reload_all_the_time():
    while not over.is_set():
        reloads.append(nginx.reload(wait_old=False, timeout=30))
        over.wait(0.1)


def statuses(key):
    """Of requests on new connections and on those that were open before, as long as their worker lives."""
    found = [nginx.get("/", key, headers={"Connection": "close"}).status for _ in range(ASKED)]
    for connection in list(kept):
        try:
            found.append(connection.request(key=key).status)
        except (NoAnswer, OSError):                    # its worker ended while it was idle
            kept.remove(connection)
    while len(kept) < ASKED:
        kept.append(nginx.connect())
        found.append(kept[-1].request(key=key).status)     # nginx waits a minute for the first request
    return found


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    t.apikeyd(pg, redis)
    nginx, application = t.nginx(CONF, redis=redis), ReceiptClient(pg)
    t.ok(nginx.wait_watching(2), "two workers hear of changes")
    keys = [t.key(user=f"user-{n}") for n in range(MOST)]
    application.change("INSERT INTO api_keys (id, user_id, name, key_hash, prefix) VALUES " + ",".join(
        f"('{key.id}', '{key.user}', 'k', '{key.hash}', '{key.prefix}')" for key in keys))
    before, kept, over, reloads = nginx.metrics(), [], threading.Event(), []
    reloader = threading.Thread(target=reload_all_the_time)
    reloader.start()

    early, late, figures = collections.Counter(), collections.Counter(), collections.Counter()
    for number, key in enumerate(keys):
        if number >= ROUNDS and len(reloads) >= RELOADS:
            break
        early.update(statuses(key))
        told = application.change(f"UPDATE api_keys SET is_active = false WHERE id = '{key.id}'")[1]
        confirmed, expected = map(int, told.split("/"))
        figures[told] += 1
        if confirmed == expected:
            late.update(statuses(key))
    over.set()
    reloader.join()
    for connection in kept:
        connection.close()
    t.is_(set(early), {200}, "before it is revoked, each key is served", early)
    t.is_(set(late), {401}, "once that is in force, none is", late)
    t.ok(sum(count for told, count in figures.items() if len(set(told.split("/"))) == 1) >= 0.8 * sum(figures.values()),
         "keys are revoked and in force", figures)
    t.ok(all(reloads) and len(reloads) >= RELOADS, "while nginx was reloaded", len(reloads))
    t.ok(wait_for(lambda: len(nginx.workers()) == 2 and len(redis.workers()) == 2, 20), "who ended is not waited for any more",
         nginx.workers(), redis.workers())
    hits = nginx.metrics()['cache_requests_total{result="hit"}'] - before['cache_requests_total{result="hit"}']
    t.ok(hits > 0, "with the cache in use", hits)
    t.note(f"{len(reloads)} reloads, {hits:.0f} hits of {sum(early.values())}, {dict(figures)}")
