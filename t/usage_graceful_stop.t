#!/usr/bin/python3
# SIGTERM under load: apikeyd finishes its transaction and ends within 5 seconds, also when it must wait for a lock; the rest
# stays in the stream for the next one.
# Hazards: S16

import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    slot, key = Slot(), usage.new_id()
    daemon = t.apikeyd(pg, redis)
    expected = 0
    for turn in range(3):
        ship(redis, *[slot.batch(*[row(f"user {n}", key) for n in range(300)]) for _ in range(200)])
        expected += 200 * 300
        time.sleep(0.3 + turn / 2)
        began = time.monotonic()
        t.ok(daemon.stop(6) and time.monotonic() - began < 5, "it ends in time", time.monotonic() - began)
        t.is_(redis("XPENDING", usage.STREAM, "apikeyd")[0], 0, "what it was handed is acknowledged, or it left nothing behind")
        daemon.start(wait=False)
    t.ok(wait_for(lambda: is_empty(redis), 40), "the next one goes on")
    t.must(requests(pg) == expected, "everything counts once", requests(pg), expected)

    lock = pg.connect()
    lock.autocommit = False
    lock.cursor().execute("LOCK TABLE usage_records IN ACCESS EXCLUSIVE MODE")
    ship(redis, slot.batch(row("alice", key)))
    t.ok(wait_for(lambda: redis("XPENDING", usage.STREAM, "apikeyd")[0] == 1, 5), "while it waits for a lock")
    began = time.monotonic()
    t.ok(daemon.stop(8) and time.monotonic() - began < 5, "it ends in time as well", time.monotonic() - began)
    lock.rollback()
    daemon.start(wait=False)
    t.ok(wait_for(lambda: is_empty(redis), 15), "and the next one takes it over")
    t.must(requests(pg) == expected + 1, "once")
