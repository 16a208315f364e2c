#!/usr/bin/python3
# A batch counts once: in one read with its double, delivered again, after a restart of apikeyd, and weeks later when the
# group is made anew and the whole stream is read again.
# Hazards: S8, S9, U3, U4

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    # As the role that apikeyd has, so that its rights are what is tried.
    pg_as_apikeyd = f"host={pg.folder} user=apikeyd dbname={pg.database}"
    slot, key = Slot(), usage.make_key(pg, "alice")
    first = slot.batch(row("alice", key, 3, tokens=(10, 20, 5), cost="0.5"), row("bob", usage.new_id(), 2),
                       row("alice", key, 4, tokens=(1, 1, 1), cost="0.25"), keys=[usage.used(key, "2026-11-28T02:05:07.123Z")])
    ship(redis, first, first)
    daemon = t.apikeyd(pg_as_apikeyd, redis)
    t.ok(wait_for(lambda: requests(pg) > 0, 5), "usage that waited for apikeyd is applied")
    t.ok(wait_for(lambda: is_empty(redis), 5), "and acknowledged: the stream is empty")
    t.is_(pg.sql("SELECT user_id, bucket, endpoint, model, status, source, requests, tokens_in, tokens_out, tokens_cached, cost "
                 "FROM usage_records ORDER BY user_id"),
          [["alice", "2026-11-28 02:05:00+00", "chat", "", "success", "live", "7", "11", "21", "6", "0.75"],
           ["bob", "2026-11-28 02:05:00+00", "chat", "", "success", "live", "2", "0", "0", "0", "0"]],
          "once, though it was twice in one read; equal rows are one; a key that is not there counts")
    t.is_(pg.value(f"SELECT last_used_at FROM api_keys WHERE id = '{key}'"), "2026-11-28 02:05:07.123+00", "and last_used_at")
    t.is_(usage.applied(pg, slot), "{[0,1)}", "its number is written down")

    ship(redis, first)
    t.ok(wait_for(lambda: is_empty(redis), 5), "the same again is acknowledged")
    other = dict(first, rows=row("alice", key, 1000))
    ship(redis, other)
    t.ok(wait_for(lambda: is_empty(redis), 5), "so are other bytes under the same id")
    t.is_(requests(pg), 9, "neither counts")

    daemon.stop()
    ship(redis, first, slot.batch(row("alice", key, 1)))
    daemon.start(wait=False)
    t.ok(wait_for(lambda: is_empty(redis), 10), "after a restart")
    t.is_(requests(pg), 10, "only what is new counts")

    # Applied, but never acknowledged nor removed: the group forgets it, and reads from the beginning.
    daemon.stop()
    redis("XGROUP", "DESTROY", usage.STREAM, "apikeyd")
    ship(redis, first, *[dict(slot.batch(row("alice", key, 1)), batch=f"{slot.zone} 0 {n}") for n in (1, 2, 5, 3)])
    daemon.start(wait=False)
    t.ok(wait_for(lambda: is_empty(redis), 10), "a stream that is read from its beginning again")
    t.is_(requests(pg), 13, "counts what never was")
    t.is_(usage.applied(pg, slot), "{[0,4),[5,6)}", "in whatever order")
    t.is_(usage.dead(redis), [], "nothing is refused")

    daemon.stop()
    t.is_(redis("XINFO", "CONSUMERS", usage.STREAM, "apikeyd"), [], "who has left is no consumer any more")
    t.is_(pg.sql("SELECT DISTINCT status FROM usage_records", dsn=pg_as_apikeyd), [["success"]], "apikeyd may read it")
    claims = """SET request.jwt.claims = '{"sub": "bob"}'; SET ROLE apikey_user; """
    t.is_(pg.sql(claims + "SELECT user_id FROM usage_records"), [["bob"]], "a key holder sees its own usage")
