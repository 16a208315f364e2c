#!/usr/bin/python3
# A Redis that is full of usage is emptied by apikeyd: it makes its group there, puts aside what is refused, acknowledges the
# rest, and so there is room
# again. What cannot be put aside holds up nothing.
# Hazards: R8, S5, S6

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    slot, key = Slot(), usage.new_id()

    def fill():
        ship(redis, slot.batch("not\ta\trow\n"), *[slot.batch(*[row(f"u{n}", key, endpoint=f"e{e}") for n in range(50)]) for e in range(100)])
        redis("CONFIG", "SET", "maxmemory", "1mb")

    fill()
    t.like(str(redis.client().pipeline([usage.add_command(slot.batch())])[0]), "OOM", "Redis is full")
    daemon = t.apikeyd(pg, redis, wait=False)
    t.ok(wait_for(lambda: requests(pg) == 5000, 20), "everything in it is applied, by an apikeyd that was never there before",
         requests(pg), daemon.log()[-1500:])
    t.ok(wait_for(lambda: is_empty(redis), 10), "and taken out, and the batch that none can apply", redis("XLEN", usage.STREAM))
    t.is_([entry["rows"] for entry in usage.dead(redis)], ["not\ta\trow\n"], "which was put aside whole")
    daemon.stop()

    redis("CONFIG", "SET", "maxmemory", "0")
    redis("DEL", usage.DEAD)
    redis("SET", usage.DEAD, "no stream")
    fill()
    daemon.start(wait=False)
    t.ok(wait_for(lambda: requests(pg) == 10000, 20), "with its group there, and nowhere to put the bad one: the others are applied",
         requests(pg), daemon.log()[-1500:])
    t.ok(wait_for(lambda: redis("XLEN", usage.STREAM) == 1, 10), "only that one stays", redis("XLEN", usage.STREAM))
    redis("CONFIG", "SET", "maxmemory", "0")
    ship(redis, slot.batch(row("alice", key)))
    t.ok(wait_for(lambda: requests(pg, "user_id = 'alice'") == 1, 10), "and does not keep from what comes after it")
    t.like(daemon.log(), "left in apikey:usage, since apikey:usage:dead does not take it .*WRONGTYPE", "the log says why")
    redis("DEL", usage.DEAD)
    daemon.stop()
    daemon.start(wait=False)
    t.ok(wait_for(lambda: len(usage.dead(redis)) == 1 and is_empty(redis), 15), "when it can be put aside it is", daemon.log()[-1500:])
