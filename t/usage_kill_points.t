#!/usr/bin/python3
# kill -9 of apikeyd: after its entries were handed out, within its transaction, after COMMIT and before XACK, after XACK and
# XDEL; and at any moment under load. Every batch counts once.
# Hazards: S1, G3

import os
import random
import secrets
import time

from lib.apikeytest import Gate, Test, wait_for
from lib.apikeytest import usage
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship

WAITS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'apikeyd usage' AND wait_event_type = 'Lock'"
SOON = 15          # seconds, in which a dead consumer's entries must be visible

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    proxy = t.redis_proxy(redis)
    slot, key = Slot(), usage.make_key(pg, "alice")
    daemon, helper = t.apikeyd(pg, proxy), None
    ship(redis, slot.batch(row("alice", key)))
    t.ok(wait_for(lambda: is_empty(redis), 5), "it works")
    expected = 1

    def kill_at(what, freeze, is_there):
        """Ships a batch, freezes apikeyd where `freeze` says, kills it there, and lets another one go on."""
        global expected
        undo = freeze()
        ship(redis, slot.batch(row("alice", key), keys=[usage.used(key, "2026-11-28T02:05:07.123Z")]))
        expected += 1
        there = wait_for(is_there, 10)
        daemon.kill()
        undo()
        daemon.start(wait=False)
        began = time.monotonic()
        worked_off = wait_for(lambda: is_empty(redis) and requests(pg) >= expected, SOON + 5)
        t.ok(there and worked_off, f"{what}: killed, and worked off", there, worked_off)
        t.ok(time.monotonic() - began < SOON, f"{what}: soon enough", time.monotonic() - began)
        t.must(requests(pg) == expected, f"{what}: counted once", requests(pg), expected)

    def hold(side, command, containing=None):
        def freeze():
            gate = Gate()
            (proxy.on if side == "reply" else proxy.on_request)(command, gate.hold, times=1, **({"containing": containing} if containing else {}))
            def undo():
                gate.open()
                proxy.clear()
            return undo
        return freeze

    def locked():
        lock = pg.connect()
        lock.autocommit = False
        lock.cursor().execute("SELECT FROM usage_sources FOR UPDATE")
        return lock.close

    def is_handed_out():
        return redis("XPENDING", usage.STREAM, "apikeyd")[0] == 1

    kill_at("handed out, not read", hold("reply", "XREADGROUP", "rows"), is_handed_out)
    kill_at("within the transaction", locked, lambda: pg.value(WAITS) == "1")
    kill_at("after COMMIT, before XACK", hold("request", "XACK"), lambda: requests(pg) == expected)
    kill_at("after XACK and XDEL", hold("reply", "XDEL"), lambda: requests(pg) == expected)

    seed = os.environ.get("SEED") or secrets.token_hex(4)
    t.note(f"SEED={seed}")
    chance = random.Random(seed)
    for _ in range(8):
        for _ in range(10):
            ship(redis, *[slot.batch(*[row(f"u{n}", key) for n in range(100)]) for _ in range(5)])
            expected += 500
            time.sleep(chance.uniform(0, 0.12))
        daemon.kill()
        daemon.start(wait=False)
    t.ok(wait_for(lambda: is_empty(redis), 30), "killed again and again under load: worked off")
    t.must(requests(pg) == expected, "and counted once", requests(pg), expected)
    t.is_(usage.applied(pg, slot), f"{{[0,{slot.sequence})}}", "every number")
    t.is_(usage.dead(redis), [], "nothing is refused")
