#!/usr/bin/python3
# Postgres has become a standby, where nothing can be written: an apikeyd that looks for a primary does not take it, one that is
# told to take any is refused (25006); and so is each batch where a transaction becomes read-only in the middle. No batch is put aside
# for it, and afterwards all counts once.
# Hazards: G5

import re
import time

from lib.apikeytest import Test, usage, wait_for
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship

BATCHES = 20
TURNS_READ_ONLY = """
CREATE FUNCTION turn_read_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM set_config('transaction_read_only', 'on', true); RETURN NULL; END $$;
CREATE TRIGGER turn_read_only AFTER INSERT ON usage_sources EXECUTE FUNCTION turn_read_only()"""

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

    pg.sql(TURNS_READ_ONLY)
    ship(redis, *[slot.batch(row("alice", key)) for _ in range(BATCHES)])
    t.ok(wait_for(lambda: re.search(r"cannot execute .* in a read-only transaction \(25006\); trying again", easy.log())),
         "a transaction becomes read-only", easy.log()[-1500:])
    time.sleep(2)
    t.is_((redis("XLEN", usage.STREAM), requests(pg)), (BATCHES, 3 * BATCHES), "the stream holds what came")
    pg.sql("DROP TRIGGER turn_read_only ON usage_sources")
    t.ok(wait_for(lambda: is_empty(redis)), "it is over: all is applied", easy.log()[-1500:])
    t.must(requests(pg) == 4 * BATCHES, "and counts once", requests(pg))
    t.is_(usage.dead(redis), [], "the dead stream is empty")
