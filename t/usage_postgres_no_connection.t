#!/usr/bin/python3
# Postgres' operator ends apikeyd's session in the middle of a transaction (57P01), and others have taken all connections when it
# wants another one (53300): it waits for one, puts no batch aside, and everything counts once.
# Hazards: G5, G2

import time

from lib.apikeytest import Test, usage, wait_for
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship

BATCHES = 20
OURS = "FROM pg_stat_activity WHERE usename = 'apikeyd'"


def take_all(held):
    """The application's sessions are all that there can be; in `held`."""
    import psycopg2                        # pylint: disable=import-outside-toplevel
    while pg.value(f"SELECT count(*) {OURS}") != "0":
        pg.sql(f"SELECT pg_terminate_backend(pid, 1000) {OURS}")
        try:
            while True:
                held.append(pg.connect(f"host={pg.folder} user=app dbname={pg.database}"))
        except psycopg2.OperationalError as full:
            refusal = str(full)
    return refusal


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    with open(f"{pg.data}/postgresql.conf", "a", encoding="ascii") as conf:
        conf.write("max_connections = 12\nsuperuser_reserved_connections = 3\n")
    pg.restart()
    pg.sql("CREATE ROLE app LOGIN")
    slot, key = Slot(), usage.new_id()
    daemon = t.apikeyd(f"host={pg.folder} user=apikeyd dbname={pg.database}", redis)

    lock = pg.connect()
    lock.autocommit = False
    lock.cursor().execute("LOCK TABLE usage_records IN ACCESS EXCLUSIVE MODE")
    ship(redis, *[slot.batch(row("alice", key)) for _ in range(BATCHES)])
    t.ok(wait_for(lambda: pg.value(f"SELECT count(*) {OURS} AND application_name = 'apikeyd usage' AND wait_event_type = 'Lock'") == "1"),
         "apikeyd is in the middle of a transaction")
    held = []
    refusal = take_all(held)
    lock.rollback()
    t.like(refusal, "remaining connection slots are reserved|too many clients", "its session is ended, and all others are taken")
    t.ok(wait_for(lambda: "administrator command" in daemon.log() or "57P01" in daemon.log()), "the log names the end", daemon.log()[-1500:])
    ship(redis, *[slot.batch(row("alice", key)) for _ in range(BATCHES)])
    t.ok(wait_for(lambda: "remaining connection slots" in daemon.log() or "too many clients" in daemon.log(), 15),
         "and that there is no connection left", daemon.log()[-1500:])
    time.sleep(2)
    t.is_((redis("XLEN", usage.STREAM), requests(pg)), (2 * BATCHES, 0), "the stream holds what came")
    t.is_(usage.dead(redis), [], "nothing is refused for it")
    t.ok(daemon.log().count("connection slots") + daemon.log().count("too many clients") <= 8, "in few lines of the log", daemon.log()[-3000:])

    for each in held:
        each.close()
    t.ok(wait_for(lambda: is_empty(redis)), "there is one: all is applied", daemon.log()[-1500:])
    t.must(requests(pg) == 2 * BATCHES, "and counts once", requests(pg))
    t.is_(usage.dead(redis), [], "the dead stream is empty")
