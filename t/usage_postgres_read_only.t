#!/usr/bin/python3
# Postgres has become a standby, where nothing can be written: an apikeyd that looks for a primary does not take it, one that is
# told to take any is refused each batch (25006). Neither puts a batch aside for it, and when it is promoted all counts once.
# Hazards: G5

import time

from lib.apikeytest import Test, usage, wait_for
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship

BATCHES = 20

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    with open(f"{pg.data}/postgresql.conf", "a", encoding="ascii") as conf:
        conf.write("wal_level = replica\n")
    pg.restart()
    slot, key = Slot(), usage.new_id()
    dsn = f"host={pg.folder} user=apikeyd dbname={pg.database}"
    choosy = t.apikeyd(dsn, redis)
    ship(redis, *[slot.batch(row("alice", key)) for _ in range(BATCHES)])
    t.ok(wait_for(lambda: is_empty(redis)) and requests(pg) == BATCHES, "a primary: applied", requests(pg))

    pg.stop()
    with open(f"{pg.data}/standby.signal", "w", encoding="ascii"):
        pass
    pg.start()
    ship(redis, *[slot.batch(row("alice", key)) for _ in range(BATCHES)])
    t.ok(wait_for(lambda: "server is in hot standby mode" in choosy.log()), "a standby is not taken", choosy.log()[-1500:])
    choosy.stop()
    easy = t.apikeyd(f"{dsn} target_session_attrs=any", redis, wait=False)
    ship(redis, *[slot.batch(row("alice", key)) for _ in range(BATCHES)])
    t.ok(wait_for(lambda: "25006); trying again" in easy.log()), "where it is, nothing can be written, and the log says so", easy.log()[-1500:])
    time.sleep(2)
    t.is_((redis("XLEN", usage.STREAM), requests(pg)), (2 * BATCHES, BATCHES), "the stream holds what came")
    t.is_(usage.dead(redis), [], "nothing is refused for it")
    t.ok(easy.log().count("25006") <= 6, "in few lines of the log", easy.log().count("25006"))

    pg.sql("SELECT pg_promote()")
    t.ok(wait_for(lambda: is_empty(redis)), "it is promoted: all is applied", easy.log()[-1500:])
    t.must(requests(pg) == 3 * BATCHES, "and counts once", requests(pg))
    t.is_(usage.dead(redis), [], "the dead stream is empty")
