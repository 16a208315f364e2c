#!/usr/bin/python3
# Whatever is wrong with Postgres but not with a batch: it is tried again for ever, nothing is refused, and everything counts
# once. Down at the start, killed and restarted, sessions ended, locked, no connection left, read-only.
# Hazards: G1, G2, G3, G5, G6, X9

import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    slot, key = Slot(), usage.new_id()
    pg.stop()
    ship(redis, *[slot.batch(row("alice", key)) for _ in range(20)])
    daemon = t.apikeyd(f"host={pg.folder} user=apikeyd dbname={pg.database}", redis, wait=False)
    t.ok(wait_for(lambda: "usage: Postgres" in daemon.log(), 10) and daemon.process.alive(), "down at the start: it waits")
    t.is_(redis("XLEN", usage.STREAM), 20, "the stream holds the usage")
    pg.start()
    t.ok(wait_for(lambda: is_empty(redis), 10), "and when it is there, applies it")
    expected = 20

    def weather(what, begin, end, seconds):
        global expected
        begin()
        ship(redis, *[slot.batch(row("alice", key)) for _ in range(20)])
        expected += 20
        time.sleep(seconds)
        held = redis("XLEN", usage.STREAM)
        end()
        t.ok(wait_for(lambda: is_empty(redis), 15), f"{what}: worked off when it is over", daemon.log()[-1500:])
        t.must(requests(pg) == expected, f"{what}: counted once", requests(pg), expected)
        return held

    def sessions_end():
        return pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'apikeyd'")

    def killed_again_and_again():
        for _ in range(3):
            ship(redis, *[slot.batch(*[row(f"u{n}", key, 0) for n in range(200)]) for _ in range(20)])
            time.sleep(0.3)
            pg.kill()
            pg.start()

    weather("killed and recovered", killed_again_and_again, lambda: None, 0)
    weather("sessions ended", sessions_end, sessions_end, 0.7)
    lock = pg.connect()
    lock.autocommit = False
    t.is_(weather("locked", lambda: lock.cursor().execute("LOCK TABLE usage_records IN ACCESS EXCLUSIVE MODE"), lock.rollback, 6), 20,
          "the stream holds it as long")
    t.like(daemon.log(), "usage: Postgres: .*lock timeout .55P03", "a lock is not waited for without end")

    def no_connections():
        pg.sql("ALTER ROLE apikeyd CONNECTION LIMIT 0")
        sessions_end()

    t.is_(weather("no connection left", no_connections, lambda: pg.sql("ALTER ROLE apikeyd CONNECTION LIMIT -1"), 2), 20, "it is held")
    t.is_(weather("no rights", lambda: pg.sql("REVOKE INSERT ON usage_records FROM apikeyd"),
                  lambda: pg.sql("GRANT INSERT ON usage_records TO apikeyd"), 3), 20, "it is held")
    t.is_(usage.dead(redis), [], "nothing is refused for it")
