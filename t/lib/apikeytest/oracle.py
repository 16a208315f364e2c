"""The identity oracle: requests of many users while Redis' replies are spoiled, clients leave and keys change. None may be
served under another user's identity, and none may contradict what was in force (ledger.py)."""

import collections
import contextlib
import multiprocessing
import os
import secrets
import signal
import stat
import time

from .bulk import BulkClient
from .faults import cut_anywhere, delay, drop, duplicate, inject, previous, split_anywhere, swap, swap_alike
from .ledger import Leader
from .oracle_clients import (CHANGING, NEVER, OUT_OF_FORCE, REFUSED, RIGHT, UNAVAILABLE, WRONG_IDENTITY, Client, Job,
                             StreamClient, text_of)
from .process import wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { worker_connections 1024; }
http {
    %HTTP%
    access_log off;
    api_key_zone  keys:16m;
    api_key_redis %REDIS% timeout=%TIMEOUT%;
    api_key_usage_interval 10s;            # few batches: each goes through the proxy again after every fault
    keepalive_requests 1000000;
    upstream api { server unix:%DIR%/api.sock; keepalive 64; }
    server {
        listen unix:%DIR%/api.sock;
        return 200 "$http_x_user_id $http_x_api_key_id $http_x_api_key_scopes";
    }
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        location / {
            api_key            "oracle";
            %CACHE%
            include            %API_KEY_PARAMS%;
            proxy_http_version 1.1;
            proxy_set_header   Connection "";
            proxy_pass         http://api;
        }
    }
}
"""

_over = multiprocessing.get_context("fork").Event()      # the clients are done
_bulk_is_done = multiprocessing.get_context("fork").Event()      # and so the other clients may stop
_leader = []                               # for the process of it, which inherits our memory
_confirmed = multiprocessing.get_context("fork").Value("i", 0)      # changes, by the leader's process
LEAST_CHANGES = 100
BULK_CONNECTIONS = 64


def run(t, requests, seed=None, valid=0.0, **options):
    """The whole test. `valid`: for how many seconds verdicts are cached, 0: not at all. `options`: see run_clients()."""
    seed = seed or secrets.token_hex(4)
    t.note(f"SEED={seed}")
    keys = [t.key(user=f"user-{n}", name=f"key of user {n}") for n in range(400)]
    bogus = [t.key(user=None) for _ in range(50)]
    redis = t.redis(keys=keys)
    proxy = t.redis_proxy(redis, record=False)
    nginx = t.nginx(CONF, redis=proxy, timeout="100ms",
                    cache=f"api_key_cache valid={int(valid * 1000)}ms invalid={int(valid * 500)}ms;")
    # nginx counts time from the last turn of its event loop: on a busy machine it is a little late.
    steady, leader = keys[40:], Leader(redis, keys[:40], seed, text_of, 2 if valid else 0, bound=valid + 0.25)
    forged = b"*7\r\n" + b"$1\r\nx\r\n" * 7
    rare, common = (0.0015, 0.005) if valid else (0.0003, 0.001)     # what is cached asks Redis far less
    proxy.at_random({delay(0, 0.15): 2 * common, split_anywhere(): 0.01, swap(): rare, drop(): rare, duplicate(): rare,
                     inject(forged): rare, cut_anywhere(): rare}, seed=seed)
    proxy.at_random({swap_alike(): common, previous(): common}, command="HMGET")

    tally, examples = run_clients(nginx, steady, bogus, requests, seed, leader=leader, seconds=t.limit - 40, **options)
    answered = sum(tally[k] for k in (RIGHT, REFUSED, UNAVAILABLE))
    for verdict in NEVER:
        t.must(not tally[verdict], f"never: {verdict}", tally[verdict], f"SEED={seed}", *examples[:20])
    t.ok(answered >= requests, f"{requests} requests answered", f"{answered}: {dict(tally)}")
    t.ok(tally[RIGHT] > requests / 4, "a good part of them with the right identity", dict(tally))
    t.ok(tally[UNAVAILABLE] and proxy.spoilt.total() > requests / 500, "though there were faults", proxy.spoilt)
    if valid:
        t.ok(proxy.counts["HMGET"] < answered / 2, "and most answers came from the cache", proxy.counts)
    t.ok(tally["left early"] > requests / 500, "and clients that left", dict(tally))
    t.ok(tally["confirmed changes"] > LEAST_CHANGES, "and keys that were revoked, restored and given to others", dict(tally))
    t.note(f"{dict(tally)}, {dict(proxy.spoilt)} replies spoilt, {proxy.connections} connections to Redis, {proxy.counts}")
    proxy.clear()
    t.ok(wait_for(lambda: all(nginx.get("/", key).text == text_of(key) for key in steady[:20])), "all is well afterwards")


def run_clients(nginx, keys, bogus, requests, seed, processes=3, connections=24, abort_chance=0.06, seconds=60, http2=0.05,
                leader=None, ends=False, pause=0, bulk=0):
    """(what the answers were, examples of what must never be) of about so many requests; `http2`: which part of them is
    HTTP/2. `bogus`: keys nobody knows; their user is None. `leader`: changes its keys all the while, and gets the ledger.
    `ends`, `pause`: see Job. `bulk`: so many more requests, of bulk.py; then the others stop, too."""
    context = multiprocessing.get_context("fork")
    _over.clear()
    _bulk_is_done.clear()
    _leader[:] = [leader]
    _confirmed.value = 0

    def job(kind, name, count, width):
        changing = leader.keys if leader else []
        return kind, Job(nginx.ports["PORT_H2" if kind is StreamClient else "PORT"], keys, bogus, changing, f"{seed}-{name}", width,
                         abort_chance, count, time.monotonic() + seconds, ends, pause, enough_changes, is_over)
    streams = processes if http2 == 1 else 1
    jobs = [job(StreamClient, f"h2-{n}", int(requests * http2) // streams, 1) for n in range(streams)]
    if http2 < 1:
        jobs += [job(Client, n, int(requests * (1 - http2)) // processes, connections) for n in range(processes)]
    jobs += [job(BulkClient, "bulk", bulk, BULK_CONNECTIONS)] if bulk else []
    with context.Pool(len(jobs) + 1, become_a_process_of_its_own) as pool:
        changes = pool.apply_async(run_leader) if leader else None
        results = pool.starmap(run_one, jobs, 1)
        _over.set()
        changes = changes.get(30) if changes else None
    tally = sum((tally for tally, _, _ in results), collections.Counter())
    examples = [e for _, some, _ in results for e in some]
    if changes:
        leader.ledger = changes[0]
        judge_afterwards(changes, [record for _, _, records in results for record in records], tally, examples)
    return tally, examples


def become_a_process_of_its_own():
    """Lets go of the sockets that it was born with: what the proxy closes is closed, and who it refuses refused."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):             # the folder itself, which is closed again
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.dup2(nothing, number)


def run_leader():
    def clients_are_done():
        _confirmed.value = _leader[0].confirmed
        return _over.is_set()
    return _leader[0].run(clients_are_done, pause=0.02)


def enough_changes():
    """However fast the clients are, so many changes were confirmed meanwhile."""
    return _leader[0] is None or _confirmed.value > LEAST_CHANGES


def is_over():
    return _bulk_is_done.is_set()


def run_one(kind, job):
    try:
        return kind(job).run()
    finally:
        if kind is BulkClient:
            _bulk_is_done.set()


def judge_afterwards(changes, records, tally, examples):
    """Counts the answers for keys that changed, by the ledger."""
    ledger, tally["confirmed changes"], tally["unconfirmed changes"] = changes
    for key_id, asked, answered, text in records:
        wrong = ledger.contradiction(key_id, asked, answered, text)
        if wrong is None:
            tally[RIGHT if text else REFUSED] += 1
        else:
            tally[OUT_OF_FORCE if wrong.startswith("another time") else WRONG_IDENTITY] += 1
            examples.append(f"{key_id}, asked at {asked:.4f}: {wrong}")
