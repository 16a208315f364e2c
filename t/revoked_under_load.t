#!/usr/bin/python3
# A hundred clients use a key on every worker all the time, while it is revoked by plain SQL: until then each is served, and
# once the change is reported as in force nobody is who asks from then on. Again and again, with one key after the other.
# Hazards: C2, C3

import collections
import statistics
import threading
import time

from lib.apikeytest import Test, request_bytes, wait_for
from lib.apikeytest.receipts import ReceiptClient

CONF = """
%GLOBALS%
worker_processes 4;
events { }
http {
    %HTTP%
    access_log off;
    api_key_zone  keys:1m;
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
WORKERS, EACH, ROUNDS = 4, 25, 60


class Round:
    """One key's life. The flags are read before a request is sent and after its answer has come, so that what an answer
    may be is a matter of order, however slow the machine is."""

    def __init__(self, key):
        self.key, self.commits, self.in_force = key, False, False
        self.before, self.after = (dict.fromkeys(groups, 0) for _ in "12")     # by worker: requests
        self.wrong = []


def connections():
    """{pid: EACH connections to that worker}"""
    found = collections.defaultdict(list)
    while len(found) < WORKERS or min(map(len, found.values())) < EACH:
        connection = nginx.connect(timeout=30)
        group = found[int(connection.request(path="/pid").text)]
        if len(group) < EACH:
            group.append(connection)
        else:
            connection.close()
    return found


def hammer(pid, clients):
    while not over:
        this, sent = current, []
        for client in clients:
            sent.append(this.in_force)
            client.send(request_bytes(key=this.key))
        for client, was_in_force in zip(clients, sent):
            status, is_early = client.response().status, not this.commits
            this.before[pid] += is_early
            this.after[pid] += was_in_force
            if status not in (200, 401) or (is_early and status != 200) or (was_in_force and status != 401):
                this.wrong.append((pid, is_early, was_in_force, status))


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    t.apikeyd(pg, redis)
    nginx = t.nginx(CONF, redis=redis)
    t.ok(nginx.wait_watching(WORKERS), "four workers hear of changes")
    groups, application = connections(), ReceiptClient(pg)
    keys = [t.key(user=f"user-{n}") for n in range(ROUNDS)]
    application.change("INSERT INTO api_keys (id, user_id, name, key_hash, prefix) VALUES " + ",".join(
        f"('{key.id}', '{key.user}', 'k', '{key.hash}', '{key.prefix}')" for key in keys))
    hits = nginx.metrics()['cache_requests_total{result="hit"}']

    rounds, figures, took, over = [], collections.Counter(), [], False
    current = Round(keys[0])
    threads = [threading.Thread(target=hammer, args=group) for group in groups.items()]
    for thread in threads:
        thread.start()
    for key in keys:
        this = current = Round(key)
        rounds.append(this)
        wait_for(lambda: min(this.before.values()) >= EACH, 20)
        this.commits = True
        begun = time.monotonic()
        told = application.change(f"UPDATE api_keys SET is_active = false WHERE id = '{key.id}'")[1]
        took.append((time.monotonic() - begun) * 1000)
        figures[told] += 1
        confirmed, _, expected = (told or "/").partition("/")
        this.in_force = bool(expected) and confirmed == expected
        wait_for(lambda: min(this.after.values()) >= EACH, 20 if this.in_force else 0)
    over = True
    for thread in threads:
        thread.join()

    t.must(not any(this.wrong for this in rounds), "no answer is against what was in force when it was asked for",
           *(this.wrong[:3] for this in rounds if this.wrong))
    t.ok(all(min(this.before.values()) >= EACH for this in rounds), "each client of each worker was served before, every time")
    complete = [this for this in rounds if this.in_force]
    t.ok(all(min(this.after.values()) >= EACH for this in complete), "and asked afterwards")
    t.ok(len(complete) > ROUNDS * 0.9, f"{ROUNDS} keys, revoked and in force", figures)
    t.ok(nginx.metrics()['cache_requests_total{result="hit"}'] - hits > sum(sum(this.before.values()) for this in rounds) / 2,
         "they were served from the cache")
    t.note(f"commit to in force under load: p50 {statistics.median(took):.1f} ms, max {max(took):.1f} ms; "
           f"{sum(sum(this.before.values()) + sum(this.after.values()) for this in rounds)} requests judged; {dict(figures)}")
