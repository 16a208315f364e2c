#!/usr/bin/python3
# last_used_at only moves forward, whatever the order of the batches, and not into the future: a clock of nginx that is ahead
# counts as now. A change of it announces nothing.
# Hazards: U6, S7

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage
from lib.apikeytest.usage import Slot, is_empty, row, ship, used

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    slot, key, other, late = Slot(), *(usage.make_key(pg, user) for user in ("alice", "bob", "carol"))
    ahead = usage.make_key(pg, "dave", "now() + interval '1 year'")
    daemon = t.apikeyd(pg, redis)

    def last_used(key_id):
        return pg.value(f"SELECT last_used_at FROM api_keys WHERE id = '{key_id}'")

    def apply(*batches):
        ship(redis, *batches)
        t.ok(wait_for(lambda: is_empty(redis), 5), "applied")

    apply(slot.batch(keys=[used(key, "2026-11-20T10:00:00.500Z"), used(other, "2026-11-20T10:00:00.001Z")]))
    t.is_((last_used(key), last_used(other)), ("2026-11-20 10:00:00.5+00", "2026-11-20 10:00:00.001+00"), "from nothing")
    apply(slot.batch(keys=[used(key, "2026-11-20T09:59:59.999Z"), used(other, "2026-11-20T10:00:01.000Z")]))
    t.is_((last_used(key), last_used(other)), ("2026-11-20 10:00:00.5+00", "2026-11-20 10:00:01+00"), "never back")
    apply(slot.batch(keys=[used(key, "2026-11-20T10:00:03.000Z")]), slot.batch(keys=[used(key, "2026-11-20T10:00:02.000Z")]))
    t.is_(last_used(key), "2026-11-20 10:00:03+00", "the latest of several batches")

    # The hour goes back, and a day ahead; rows keep the minute that they were recorded in.
    xmin = pg.value(f"SELECT xmin FROM api_keys WHERE id = '{ahead}'")
    tomorrow = pg.value("SELECT to_char(now() + interval '1 day', 'YYYY-MM-DD\"T\"HH24:MI\":00Z\"')")
    apply(slot.batch(row("carol", late, minute=tomorrow), keys=[used(late, tomorrow), used(ahead, tomorrow), used(key, "infinity")]))
    t.is_(pg.value(f"SELECT last_used_at BETWEEN now() - interval '20 s' AND now() FROM api_keys WHERE id = '{late}'"), "t",
          "a day ahead counts as now")
    t.is_(pg.value(f"SELECT last_used_at BETWEEN now() - interval '20 s' AND now() FROM api_keys WHERE id = '{key}'"), "t",
          "and so does infinity")
    t.is_(pg.value(f"SELECT xmin FROM api_keys WHERE id = '{ahead}'"), xmin, "what is further on already stays")
    t.is_(pg.value("SELECT to_char(bucket, 'YYYY-MM-DD\"T\"HH24:MI\":00Z\"') FROM usage_records"), tomorrow, "the row has its own minute")
    soon = pg.value("SELECT to_char(now() + interval '4 minutes', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
    apply(slot.batch(keys=[used(other, soon)]))
    t.is_(pg.value(f"SELECT last_used_at = '{soon}' FROM api_keys WHERE id = '{other}'"), "t", "a few minutes are believed")
    t.like(daemon.log(), "keys were used in the future", "and the others are logged")
    t.unlike(daemon.log(), "keys? changed", "no change of a key is announced")
    apply(slot.batch(keys=[used(usage.new_id(), "2026-11-20T10:00:00Z")]))
    t.is_(usage.dead(redis), [], "a key that is not there is no error")
