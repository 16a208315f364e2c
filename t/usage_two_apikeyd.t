#!/usr/bin/python3
# Two apikeyd share the stream: every batch counts once, also when both are handed the same one at the same time, touch the
# same rows and keys in any order, or one is stopped for long while the other takes its batches over.
# Hazards: S2, S3, G4

import random
import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship, used

USERS, MANY = 40, 3000

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    keys = [usage.make_key(pg, f"u{n}") for n in range(USERS)]
    first, second = t.apikeyd(pg, redis), t.apikeyd(pg, redis, wait=False)
    chance, slots, expected = random.Random(7), [Slot(n) for n in range(5)], 0
    for _ in range(60):
        batches = []
        for _ in range(20):
            order = chance.sample(range(USERS), USERS)
            batches.append(chance.choice(slots).batch(*[row(f"u{n}", keys[n]) for n in order],
                                                      keys=[used(keys[n], "2026-11-28T02:05:07Z") for n in order]))
        expected += 20 * USERS
        again = chance.sample(batches, len(batches))
        ship(redis, *batches, *again)
        time.sleep(0.1)
    t.ok(wait_for(lambda: is_empty(redis), 30), "everything is worked off")
    t.must(requests(pg) == expected, "every batch counts once, though each came twice", requests(pg), expected)
    t.is_(len(redis("XINFO", "CONSUMERS", usage.STREAM, "apikeyd")), 2, "by two consumers")
    t.unlike(first.log() + second.log(), "deadlock", "no deadlock came through")

    def locked():
        lock = pg.connect()
        lock.autocommit = False
        lock.cursor().execute("LOCK TABLE usage_records IN ACCESS EXCLUSIVE MODE")
        return lock

    def are_handed_out_to(count):
        return wait_for(lambda: len(redis("XPENDING", usage.STREAM, "apikeyd")[3] or []) == count, 5)

    def both_wait():
        return wait_for(lambda: pg.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'apikeyd usage' AND "
                                         "wait_event_type = 'Lock'") == "2", 1)

    # Each has a batch of its own, with the same rows in another order, and they go on at the same moment.
    for _ in range(3):
        lock = locked()
        for count in (1, 2):
            ship(redis, slots[count].batch(*[row(f"many{n}", keys[0]) for n in chance.sample(range(MANY), MANY)]))
            expected += MANY
            t.ok(are_handed_out_to(count), f"{count} of them have one")
        both_wait()
        lock.rollback()
        t.ok(wait_for(lambda: is_empty(redis), 15), "the same rows at the same time")
    t.must(requests(pg) == expected, "count once", requests(pg), expected)

    # Both are in the middle of the same batch: the first waits for the table, the second for the first.
    lock = locked()
    same = slots[0].batch(row("u0", keys[0], 1000))
    expected += 1000
    for count in (1, 2):
        ship(redis, same)
        t.ok(are_handed_out_to(count), f"{count} of them have it")
    both_wait()
    lock.rollback()
    t.ok(wait_for(lambda: is_empty(redis), 15), "the same batch at the same time")
    t.must(requests(pg) == expected, "counts once", requests(pg), expected)

    # One is stopped while it has entries: it reads them, and Postgres makes it wait.
    second.stop()
    lock = pg.connect()
    lock.autocommit = False
    lock.cursor().execute("SELECT FROM usage_sources FOR UPDATE")
    ship(redis, *[slots[0].batch(row("u0", keys[0])) for _ in range(50)])
    expected += 50
    t.ok(wait_for(lambda: redis("XPENDING", usage.STREAM, "apikeyd")[0] == 50, 5), "handed out to the first")
    first.process.pause()
    lock.rollback()
    second.start(wait=False)
    t.ok(wait_for(lambda: is_empty(redis), 15), "stopped: the second takes them over")
    t.must(requests(pg) == expected, "counted once", requests(pg), expected)
    before = len(first.log().splitlines())
    first.process.resume()
    ship(redis, *[slots[0].batch(row("u0", keys[0])) for _ in range(50)])
    expected += 50
    t.ok(wait_for(lambda: is_empty(redis), 15), "it wakes up")
    time.sleep(2)
    t.must(requests(pg) == expected, "and nothing counts twice", requests(pg), expected)
    t.ok(len(first.log().splitlines()) - before < 12, "no loop of errors", first.log()[-3000:])
    # Both take rows and keys in one order, so that there was no deadlock that had to be tried again.
    t.is_(pg.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"), "0", "nor was there any deadlock")
