#!/usr/bin/python3
# A stream that is trimmed, deleted, flushed, or of another type: what is missing is logged as usage_gap, and what comes is
# applied.
# Hazards: S4

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    slot, key = Slot(), usage.new_id()
    # A dead consumer has five entries, of which two are gone.
    ids = ship(redis, *[slot.batch(row("alice", key)) for _ in range(5)])
    redis("XGROUP", "CREATE", usage.STREAM, "apikeyd", "0")
    redis("XREADGROUP", "GROUP", "apikeyd", "ghost", "STREAMS", usage.STREAM, ">")
    redis("XDEL", usage.STREAM, ids[1], ids[3])
    daemon = t.apikeyd(pg, redis)
    t.ok(wait_for(lambda: is_empty(redis), 15), "what a dead consumer was handed is taken over")
    t.is_(requests(pg), 3, "and counts")
    t.is_(redis("XPENDING", usage.STREAM, "apikeyd")[0], 0, "nothing stays pending")
    t.like(daemon.log(), f"usage_gap: 2 entries .*the first {ids[1]}, the last {ids[3]}", "what was gone is logged")

    last = ship(redis, slot.batch(row("alice", key)))[0]
    t.ok(wait_for(lambda: is_empty(redis), 5), "another one")
    redis("DEL", usage.STREAM)
    first = ship(redis, slot.batch(row("alice", key)))[0]
    t.ok(wait_for(lambda: requests(pg) == 5, 10), "deleted: the new stream is read from its beginning")
    t.like(daemon.log(), f"usage_gap: .*the last entry read from it was {last}, the first one in it now is {first}", "and it is logged")
    redis("FLUSHALL")
    ship(redis, slot.batch(row("alice", key)))
    t.ok(wait_for(lambda: requests(pg) == 6, 10), "flushed: likewise")
    redis("XGROUP", "DESTROY", usage.STREAM, "apikeyd")
    ship(redis, slot.batch(row("alice", key)))
    t.ok(wait_for(lambda: requests(pg) == 7, 10), "only the group is gone: likewise")

    redis("DEL", usage.STREAM)
    redis("SET", usage.STREAM, "what is this")
    t.ok(wait_for(lambda: "WRONGTYPE" in daemon.log(), 10), "something else of that name is logged")
    redis("DEL", usage.STREAM)
    ship(redis, slot.batch(row("alice", key)))
    t.ok(wait_for(lambda: requests(pg) == 8, 10), "and when it is gone all goes on")
