#!/usr/bin/python3
# Usage depends on nothing that is done with api_keys: a row that an application holds, one that a constraint or a trigger lets
# nobody change, a table that is locked or may not be changed. last_used_at of the other keys moves, and that of these does
# as soon as it can. An apikeyd that died before it moved last_used_at is made up for by whoever is handed the batch again.
# Hazards: U6, G4, G5

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage
from lib.apikeytest.usage import Slot, is_empty, make_key, requests, row, ship, used

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    pg_as_apikeyd = f"host={pg.folder} user=apikeyd dbname={pg.database}"
    slot, ids = Slot(), {user: make_key(pg, user) for user in ("alice", "bob", "carol")}
    daemon = t.apikeyd(pg_as_apikeyd, redis)
    counted, minute = 0, 0

    def last_used(user):
        return pg.value(f"SELECT to_char(last_used_at, 'HH24:MI') FROM api_keys WHERE id = '{ids[user]}'")

    def use(what, batches=20, timeout=5):
        """Everybody uses his key in each batch, all at the next minute; which is returned as last_used() has it."""
        global counted, minute
        minute += 1
        when = f"2026-11-28T02:{minute:02}:30.250Z"
        ship(redis, *[slot.batch(*[row(user, key) for user, key in ids.items()], keys=[used(key, when) for key in ids.values()])
                      for _ in range(batches)])
        counted += batches * len(ids)
        t.ok(wait_for(lambda: requests(pg) == counted and is_empty(redis), timeout), f"{what}: all usage counts at once",
             requests(pg), counted, daemon.log()[-1500:])
        t.is_(usage.dead(redis), [], f"{what}: nothing is refused")
        return f"02:{minute:02}"

    now = use("all is well")
    t.is_([last_used(user) for user in ids], [now] * 3, "last_used_at moves")
    t.is_(pg.value(f"SELECT last_used_at FROM api_keys WHERE id = '{ids['alice']}'"), "2026-11-28 02:01:30.25+00", "exactly")

    lock = pg.connect()
    lock.autocommit = False
    lock.cursor().execute(f"UPDATE api_keys SET name = 'held' WHERE id = '{ids['bob']}'")
    before, now = now, use("a row is held")
    t.is_([last_used(user) for user in ids], [now, before, now], "the other keys move")
    now = use("and still held")
    t.is_([last_used(user) for user in ids], [now, before, now], "and again")
    lock.rollback()
    t.ok(wait_for(lambda: last_used("bob") == now, 5), "the held one moves when it is free, without another use")
    t.like(daemon.log(), f"rows of api_keys are held by somebody, as that of the key {ids['bob']}", "the log names it")

    pg.sql("ALTER TABLE api_keys ADD CONSTRAINT old_mess CHECK (user_id <> 'alice') NOT VALID")
    before, now = now, use("a row that no UPDATE may touch")
    t.is_([last_used(user) for user in ids], [before, now, now], "the other keys move")
    t.like(daemon.log(), f"last_used_at of the key {ids['alice']} is refused, and waits: .*old_mess.* .23514", "the log names it")
    pg.sql("ALTER TABLE api_keys DROP CONSTRAINT old_mess")

    lock.cursor().execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
    ship(redis, *[slot.batch(row("carol", ids["carol"]), keys=[used(ids["carol"], "2026-11-28T02:50:00Z")]) for _ in range(5)])
    counted += 5
    t.ok(wait_for(lambda: requests(pg) == counted and is_empty(redis), 5), "the table is locked: usage counts", daemon.log()[-1500:])
    lock.rollback()
    t.ok(wait_for(lambda: last_used("carol") == "02:50", 15), "and last_used_at moves afterwards")
    pg.sql("REVOKE UPDATE (last_used_at) ON api_keys FROM apikeyd")
    use("no right to change the table")
    t.like(daemon.log(), "last_used_at of api_keys cannot be moved forward now, and waits; .*42501", "the log says so")
    pg.sql("GRANT UPDATE (last_used_at) ON api_keys TO apikeyd")

    # SIGTERM: what waits is tried once more.
    daemon.stop()
    t.is_(last_used("alice") > "02:04", True, "what waited is written at the end", last_used("alice"))
    # Counted, and killed before it moved last_used_at.
    again = slot.batch(row("bob", ids["bob"]), keys=[used(ids["bob"], "2026-11-28T02:55:00Z")])
    daemon.start(wait=False)
    ship(redis, again)
    t.ok(wait_for(lambda: last_used("bob") == "02:55", 10), "a batch is applied")
    pg.sql("UPDATE api_keys SET last_used_at = NULL")
    ship(redis, again)
    t.ok(wait_for(lambda: last_used("bob") == "02:55", 10), "comes again: its keys are moved")
    t.is_(requests(pg), counted + 1, "and its usage does not count again")
