#!/usr/bin/python3
# Postgres' host vanishes without a word: no packet is acknowledged any more, be it what apikeyd sends or what it asks for while it
# waits. apikeyd gives these connections up and has applied everything 10 s after somebody can be reached again, once.
# Hazards: G7, G3

import time

from lib.apikeytest import Test, usage, wait_for
from lib.apikeytest.tcp_proxy import TcpProxy
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship

MOST = 10                                  # seconds until all is well again
ROOM = 2                                   # for a machine that does other things as well
NOTICED = 9                                # seconds after which apikeyd has given it up
BATCHES = 20


def applied_within(seconds):
    began = time.monotonic()
    done = wait_for(lambda: is_empty(redis) and requests(pg) >= expected, seconds + ROOM)
    return done, f"{time.monotonic() - began:.1f} s", redis("XLEN", usage.STREAM), requests(pg), expected, daemon.log()[-1500:]


def ship_some():
    global expected
    ship(redis, *[slot.batch(row("alice", key)) for _ in range(BATCHES)])
    expected += BATCHES


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    proxy = TcpProxy(f"{pg.folder}/.s.PGSQL.5432")
    slot, key, expected = Slot(), usage.new_id(), 0
    daemon = t.apikeyd(f"host=127.0.0.1 port={proxy.port} user=apikeyd dbname={pg.database}", redis)
    ship_some()
    t.ok(*applied_within(5)[:1], "a connection over TCP: applied")

    # It has sent what nobody acknowledges.
    proxy.vanish()
    proxy.come_back()
    ship_some()
    done, took, *notes = applied_within(MOST)
    t.ok(done, f"vanished while nothing was under way: applied {took} after", *notes)
    t.must(requests(pg) == expected, "counted once", requests(pg), expected)

    # It waits for an answer, and has nothing to send; that its transaction is committed it is never told.
    lock = pg.connect()
    lock.autocommit = False
    lock.cursor().execute("LOCK TABLE usage_records IN ACCESS EXCLUSIVE MODE")
    ship_some()
    waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'apikeyd usage' AND wait_event_type = 'Lock'"
    t.ok(wait_for(lambda: pg.value(waits) == "1"), "apikeyd waits for an answer")
    proxy.vanish()
    lock.rollback()
    t.ok(wait_for(lambda: requests(pg) == expected, 5), "meanwhile Postgres commits")
    t.is_(redis("XLEN", usage.STREAM), BATCHES, "of which apikeyd does not know")
    ship_some()
    time.sleep(NOTICED)
    connections = proxy.connections
    proxy.come_back()
    done, took, *notes = applied_within(MOST)
    t.ok(done, f"the host is back: applied {took} after", *notes)
    t.must(requests(pg) == expected, "what was committed unseen counts once, too", requests(pg), expected)
    t.ok(proxy.connections > connections, "over new connections")
    t.is_(usage.dead(redis), [], "nothing is refused for it")
