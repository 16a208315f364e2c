#!/usr/bin/python3
# A backlog is applied in transactions of about flush.rows: the rows of one, and the keys of that of last_used_at, also where
# batches carry only one of both.

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage
from lib.apikeytest.usage import Slot, is_empty, make_key, row, ship, used

AT_ONCE, GROUPS = 32, 4                                # batches that apikeyd reads at once; and how often

with Test() as t:
    pg, redis, slot = t.postgres(), t.redis(), Slot()
    daemon = t.apikeyd(pg, redis)
    daemon.stop()
    ids = [make_key(pg, f"user-{n}") for n in range(AT_ONCE * GROUPS)]
    for rows in (10, 100_000):
        daemon.settings["flush.rows"] = rows
        daemon.write_config()
        minute = f"2026-11-28T02:{rows % 60:02}:00Z"
        ship(redis, *[slot.batch(row(f"user-{n}", key, minute=minute)) for n, key in enumerate(ids)])
        daemon.start(wait=False)
        t.ok(wait_for(lambda: is_empty(redis)), f"flush.rows {rows}: all rows are applied", daemon.log()[-1500:])
        daemon.stop()
        ship(redis, *[slot.batch(keys=[used(key, minute)]) for key in ids])
        daemon.start(wait=False)
        t.ok(wait_for(lambda: is_empty(redis)), f"flush.rows {rows}: all keys are")
        daemon.stop()
        expected = GROUPS if rows < AT_ONCE else 1
        of_rows = int(pg.value(f"SELECT count(DISTINCT xmin::text) FROM usage_records WHERE bucket = '{minute}'"))
        of_keys = int(pg.value("SELECT count(DISTINCT xmin::text) FROM api_keys"))
        t.is_((of_rows, of_keys), (expected, expected), f"flush.rows {rows}: in so many transactions")
        t.is_(int(pg.value(f"SELECT count(*) FROM api_keys WHERE last_used_at = '{minute}'")), len(ids), "each key has its time")
