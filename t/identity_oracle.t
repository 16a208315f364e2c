#!/usr/bin/python3
# 100,000 requests of 400 users while Redis' replies are delayed, cut, split, dropped, swapped, doubled and forged, and
# clients leave at random: none is served under another user's identity.
# Hazards: N1, N2, N4, P22, P23, R3, R13, R14, R15

import os
import secrets

from lib.apikeytest import (Test, cut_anywhere, delay, drop, duplicate, inject, previous, split_anywhere, swap,
                            swap_alike, wait_for)
from lib.apikeytest import oracle

REQUESTS = int(os.environ.get("REQUESTS", "100000"))
SEED = os.environ.get("SEED") or secrets.token_hex(4)

with Test(limit=120 + REQUESTS // 1000) as t:
    t.note(f"SEED={SEED}")
    keys = [t.key(user=f"user-{n}", name=f"key of user {n}") for n in range(400)]
    bogus = [t.key(user=None) for _ in range(50)]
    proxy = t.redis_proxy(t.redis(keys=keys), record=False)
    nginx = t.nginx(oracle.CONF, redis=proxy, timeout="40ms")
    forged = b"*7\r\n" + b"$1\r\nx\r\n" * 7
    proxy.at_random({delay(0, 0.06): 0.002, split_anywhere(): 0.01, swap(): 0.0003, drop(): 0.0003,
                     duplicate(): 0.0003, inject(forged): 0.0003, cut_anywhere(): 0.0003}, seed=SEED)
    proxy.at_random({swap_alike(): 0.001, previous(): 0.001}, command="HMGET")

    tally, examples = oracle.run_clients(nginx, keys, bogus, REQUESTS, SEED, seconds=t.limit - 40)
    answered = sum(tally[k] for k in (oracle.RIGHT, oracle.REFUSED, oracle.UNAVAILABLE))
    for verdict in oracle.NEVER:
        t.is_(tally[verdict], 0, f"never: {verdict}", f"SEED={SEED}", *examples)
    t.ok(answered >= REQUESTS, f"{REQUESTS} requests answered", f"{answered}: {dict(tally)}")
    t.ok(tally[oracle.RIGHT] > 0.25 * answered, "a good part of them with the right identity", dict(tally))
    t.ok(tally[oracle.UNAVAILABLE] and proxy.spoilt.total() > answered / 200, "though there were faults",
         proxy.spoilt)
    t.ok(tally["left early"] > answered / 500, "and clients that left", dict(tally))
    t.note(f"{dict(tally)}, {dict(proxy.spoilt)} replies spoilt, {proxy.connections} connections to Redis, {proxy.counts}")
    proxy.clear()
    t.ok(wait_for(lambda: all(nginx.get("/", key).text == f"{key.user} {key.id}" for key in keys[:20])),
         "all is well afterwards")
