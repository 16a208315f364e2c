#!/usr/bin/python3
# 20,000 keys are revoked in one statement, and 100,000 changes are published in a burst, while clients use other keys: no
# request fails, no revoked key is served, and all is confirmed. Very many changes in one turn of a worker's event
# loop are applied as one "any key may have changed": the good keys are looked up once more, and cached as before.
# Hazards: R21, C16

import itertools
import os
import signal
import statistics
import threading
import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest.applied import Applied
from lib.apikeytest.receipts import ReceiptClient

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    access_log off;
    api_key_zone  keys:8m;
    api_key_redis %REDIS% timeout=5s;
    api_key_cache valid=1h invalid=1h;
    keepalive_requests 1000000;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
        location = /pid { return 200 $pid; }
    }
}
"""
GOOD, REVOKED, BURST, SEEN = 50, 20_000, 100_000, 200
FEW, MANY = 500, 5000                      # of the changes of one turn, more than 1,000 are one
receipts = itertools.count(1)
FOUND, HITS = 'lookups_total{outcome="found"}', 'cache_requests_total{result="hit"}'


def publish(count, pieces=5000):
    """So many changes of keys that nobody has."""
    publisher = redis.client(timeout=30)
    for start in range(0, count, pieces):
        publisher.pipeline([["PUBLISH", "apikey:changed", f"{n:064x} 0"] for n in range(start, min(start + pieces, count))])
    publisher.close()


def changes():
    return nginx.metrics()['changes_total{kind="key"}']


def use(client):
    while not stop.is_set():
        for key in good:
            begun = time.monotonic()
            statuses.append(client.request(key=key).status)
            took.append(time.monotonic() - begun)


def ask_all(keys):
    return {client.request(key=key).status for key in keys for client in workers}


def all_are_cached():
    hits = nginx.metrics()[HITS]
    return ask_all(good) == {200} and nginx.metrics()[HITS] - hits == 2 * GOOD


def in_one_turn(count):
    """The workers stand still while so much is published, and go on one after the other: a worker that finds the zone's lock
    taken for too long gives up all keys, whatever has changed. How many of the good keys that a worker is asked for then
    are looked up."""
    pids, receipt = nginx.workers(), next(receipts)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    publish(count, pieces=130)                         # most fits into a socket's buffer in pieces of just under 16 KiB
    redis.announce(nobody, receipt=receipt)            # confirmed when all before it is applied
    for done, pid in enumerate(pids, 1):
        os.kill(pid, signal.SIGCONT)
        t.ok(heard.wait(receipt, done, 20), f"{count} changes in one turn: applied by worker {done}")
    found = nginx.metrics()[FOUND]
    t.is_(ask_all(good), {200}, "the good keys are served")
    return nginx.metrics()[FOUND] - found


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    t.apikeyd(pg, redis)
    nginx = t.nginx(CONF, redis=redis)
    t.ok(nginx.wait_watching(2), "two workers hear of changes")
    heard, nobody = Applied(redis), t.key(user="nobody")
    workers, clients = (list(nginx.connect_each(2).values()) for _ in "12")
    application = ReceiptClient(pg)
    good, seen = ([t.key(user=user) for _ in range(count)] for user, count in (("good", GOOD), ("bad", SEEN)))
    insert = "INSERT INTO api_keys (user_id, name, key_hash, prefix) "
    application.change(f"{insert} SELECT 'bad', 'k', encode(sha256(n::text::bytea), 'hex'), 'ia_{'x' * 9}' "
                       f"FROM generate_series(1, {REVOKED - SEEN}) n; {insert} VALUES " +
                       ",".join(f"('{key.user}', 'k', '{key.hash}', '{key.prefix}')" for key in good + seen), 30)
    t.is_(ask_all(good + seen), {200}, "keys that will be revoked and keys that will not, all cached")

    stop, statuses, took = threading.Event(), [], []
    users = [threading.Thread(target=use, args=(client,)) for client in clients]
    for user in users:
        user.start()
    wait_for(lambda: len(took) > 2000, 20)
    calm = took[:]
    before = changes()
    seconds, figures = application.change("UPDATE api_keys SET is_active = false WHERE user_id = 'bad'", 30)
    t.is_(figures, "2/2", f"{REVOKED} keys are revoked in one statement: confirmed by both workers")
    t.is_(ask_all(seen), {401}, "and refused by both")
    t.ok(changes() - before >= 2 * REVOKED, "who heard of each", changes() - before)
    t.note(f"{REVOKED} keys: in force after {seconds:.2f} s")

    before, mark = changes(), len(took)
    publish(BURST)
    t.ok(wait_for(lambda: changes() == before + 2 * BURST, 30), f"{BURST} changes in a burst: both workers heard of each",
         changes() - before)
    flooded = took[mark:]
    t.ok(nginx.wait_watching(2), "both hear of changes as before")
    stop.set()
    for user in users:
        user.join()
    t.is_(set(statuses), {200}, "no request with another key failed", len(statuses))
    p99 = [1000 * statistics.quantiles(times, n=100)[98] for times in (calm, flooded)]
    t.note(f"p99 of the requests: {p99[0]:.2f} ms before, {p99[1]:.2f} ms in the burst")

    receipt = next(receipts)
    redis.announce(nobody, receipt=receipt)
    t.ok(heard.wait(receipt, 2, 20), "what comes behind it is confirmed: no worker still has all keys to forget")
    t.ok(wait_for(all_are_cached), "after it the good keys are served, from the cache")
    flushes = nginx.metrics()["cache_flushes_total"]
    t.is_(in_one_turn(FEW), 0, "none is looked up: each change is of one key")
    t.is_(nginx.metrics()["cache_flushes_total"], flushes, "the metrics know of no flush")
    looked_up = in_one_turn(MANY)
    t.ok(nginx.metrics()["cache_flushes_total"] > flushes, "and now they do")
    t.ok(GOOD <= looked_up <= 2 * GOOD, "each is looked up, once per worker at most: so many changes are one of all keys", looked_up)
    t.ok(wait_for(all_are_cached), "and is in the cache again")
    t.is_(nginx.metrics()["changes_malformed_total"], 0, "all of them were changes")
