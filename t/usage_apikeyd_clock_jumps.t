#!/usr/bin/python3
# The clock of apikeyd's host is set a month ahead and an hour back while it runs, and before it starts: usage is applied as soon and
# as exactly as ever, rows keep the minute that nginx recorded, last_used_at is nginx's word against Postgres' clock, and nothing
# is deleted for its age that is not old by Postgres' clock.
# Hazards: S7, U6

import time

from lib.apikeytest import Test, skip_all, usage, wait_for
from lib.apikeytest.clock import Clock
from lib.apikeytest.places import SANITIZED
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship, used

MONTH, HOUR, BATCHES = 30 * 86400, 3600, 20


def text_of(sql):
    return pg.value(f"SELECT to_char({sql}, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")


def at(seconds, name, start=False):
    """The clock jumps, or apikeyd starts with it, and usage comes."""
    global expected
    clock.jump(seconds)
    if start:
        daemon.stop()
        daemon.start()
    slot, minute = Slot(), text_of("date_trunc('minute', now())")
    key = usage.make_key(pg, name)
    when = text_of("now() - interval '2 s'")
    ship(redis, *[slot.batch(row(name, key, minute=minute), keys=[used(key, when)]) for _ in range(BATCHES)])
    expected += BATCHES
    t.ok(wait_for(lambda: is_empty(redis), 5), f"{name}: applied at once", daemon.log()[-1500:])
    t.must(requests(pg) == expected, f"{name}: counted once", requests(pg), expected)
    t.is_(pg.sql(f"SELECT DISTINCT bucket = '{minute}' FROM usage_records WHERE user_id = '{name}'"), [["t"]], f"{name}: in the minute of nginx")
    t.is_(pg.value(f"SELECT last_used_at = '{when}' FROM api_keys WHERE id = '{key}'"), "t", f"{name}: last_used_at is when nginx says")
    before, ahead = text_of("now()"), text_of("now() + interval '1 hour'")
    ship(redis, slot.batch(keys=[used(key, ahead)]))
    t.ok(wait_for(lambda: is_empty(redis), 5), f"{name}: a use in an hour", daemon.log()[-1500:])
    t.is_(pg.value(f"SELECT last_used_at BETWEEN '{before}' AND now() FROM api_keys WHERE id = '{key}'"), "t",
          f"{name}: … counts as now, by Postgres' clock")


with Test() as t:
    if SANITIZED:
        skip_all("the sanitizer's library is preloaded already")
    clock, pg, redis = Clock(t.folder), t.postgres(), t.redis()
    week = usage.new_id()
    pg.sql("INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests) "
           f"VALUES ('a week ago', '{week}', now() - interval '7 days', '/', '', 'success', 1), "
           f"('long ago', '{week}', now() - interval '21 days', '/', '', 'success', 1)")
    expected = 1                           # of a week ago
    daemon = t.apikeyd(pg, redis, wait=None, usage__keep="14d")
    daemon.env = clock.env
    daemon.start()
    t.ok(wait_for(lambda: requests(pg) == 1), "what is too old is deleted", daemon.log()[-1500:])
    at(0, "right")
    at(MONTH, "ahead")
    at(-HOUR, "behind")
    at(MONTH, "starts ahead", start=True)
    time.sleep(1)                          # it looks for what is too old when it starts
    t.is_(requests(pg, "user_id = 'a week ago'"), 1, "nothing is deleted for it")
    at(-HOUR, "starts behind", start=True)
    t.is_(usage.dead(redis), [], "nothing is refused")
    t.ok(daemon.process.alive(), "apikeyd is well")
