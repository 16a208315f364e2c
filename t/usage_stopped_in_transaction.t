#!/usr/bin/python3
# An apikeyd that is stopped (SIGSTOP) in the middle of its transaction holds up nobody: what it asked for is done without it,
# and its locks are gone.
# Hazards: S3

import random
import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship

WAITS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'apikeyd usage' AND wait_event_type = 'Lock'"

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    slot, key = Slot(), usage.make_key(pg, "alice")
    use = [usage.used(key, "2026-11-28T02:05:07.123Z")]
    first = t.apikeyd(pg, redis)
    ship(redis, slot.batch(row("alice", key), keys=use))
    t.ok(wait_for(lambda: requests(pg) == 1, 5), "the slot is known")

    lock = pg.connect()
    cursor = lock.cursor()
    lock.autocommit = False
    cursor.execute("SELECT FROM usage_sources FOR UPDATE")
    ship(redis, slot.batch(row("alice", key), keys=use))
    t.ok(wait_for(lambda: pg.value(WAITS) == "1", 10), "it waits for a lock in its transaction")
    first.process.pause()
    lock.rollback()
    t.ok(wait_for(lambda: requests(pg) == 2, 3), "it is stopped, and what it asked for is committed")
    second = t.apikeyd(pg, redis, wait=False)
    ship(redis, slot.batch(row("alice", key), keys=use))
    t.ok(wait_for(lambda: requests(pg) == 3, 5), "another one goes on at once with the same slot, row and key")

    # At any moment.
    chance, expected, late = random.Random(1), 3, 0
    daemons = [first, second]
    for turn in range(6):
        stopped, other = daemons[turn % 2], daemons[1 - turn % 2]
        stopped.process.resume()
        other.process.resume()
        for _ in range(20):
            ship(redis, *[slot.batch(row("alice", key), keys=use) for _ in range(20)])
            expected += 20
            if chance.random() < 0.15:
                break
            time.sleep(0.02)
        stopped.process.pause()
        ship(redis, slot.batch(row(f"turn {turn}", key), keys=use))
        late += not wait_for(lambda: requests(pg, f"user_id = 'turn {turn}'") == 1, 12)
        expected += 1
    t.is_(late, 0, "whichever is stopped, at whatever moment, the other one goes on")
    first.process.resume()
    second.process.resume()
    t.ok(wait_for(lambda: is_empty(redis), 15), "both work again, and work all off")
    t.must(requests(pg) == expected, "and everything counts once", requests(pg), expected)
