#!/usr/bin/python3
# A deadlock with somebody who changes usage_records in another order (40P01), and a serialization failure (40001): the transaction
# is tried again at once in the same session, up to 5 times, then in the next one; no batch is put aside, and all counts once.
# Hazards: G4

import re

from lib.apikeytest import Test, usage, wait_for
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship

FAILS = """
CREATE SEQUENCE attempts; GRANT USAGE ON attempts TO apikeyd;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('attempts') <= {times} THEN RAISE 'could not serialize access' USING ERRCODE = '40001'; END IF;
        RETURN NULL;
    END $$;
CREATE TRIGGER fail BEFORE INSERT ON usage_records EXECUTE FUNCTION fail()"""


def sessions():
    with open(pg.log_path, encoding="utf-8") as log:
        return len(re.findall("connection authorized: .*application_name=apikeyd usage", log.read()))


def come(*users):
    global expected
    ship(redis, slot.batch(*[row(user, key) for user in users]))
    expected += len(users)


def worked_off(name):
    t.ok(wait_for(lambda: is_empty(redis)), f"{name}: applied", daemon.log()[-1500:])
    t.must(requests(pg) == expected, f"{name}: counted once", requests(pg), expected)
    t.is_(usage.dead(redis), [], f"{name}: nothing is refused for it")


def fail(times):
    pg.sql(FAILS.format(times=times))


def mend():
    pg.sql("DROP TRIGGER fail ON usage_records; DROP FUNCTION fail; DROP SEQUENCE attempts")


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    pg.sql("ALTER ROLE apikeyd SET deadlock_timeout = '1s'")       # it looks for one once, when it has waited so long
    pg.sql("ALTER SYSTEM SET log_connections = on")
    pg.sql("SELECT pg_reload_conf()")
    slot, key, expected = Slot(), usage.new_id(), 0
    daemon = t.apikeyd(f"host={pg.folder} user=apikeyd dbname={pg.database}", redis)
    come("alice", "bob")
    worked_off("all is well")
    before = sessions()

    other = pg.connect()
    other.autocommit = False
    other.cursor().execute("SET deadlock_timeout = '1min'; SET lock_timeout = '20s'; UPDATE usage_records SET cost = cost WHERE user_id = 'bob'")
    come("bob", "alice")
    waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'apikeyd usage' AND wait_event_type = 'Lock'"
    t.ok(wait_for(lambda: pg.value(waits) == "1"), "apikeyd has alice's row and waits for bob's")
    other.cursor().execute("UPDATE usage_records SET cost = cost WHERE user_id = 'alice'")
    with open(pg.log_path, encoding="utf-8") as log:
        t.like(log.read(), "deadlock detected", "who wants them in the other order gets alice's: apikeyd's transaction is the victim")
    other.commit()
    worked_off("a deadlock")
    t.is_(sessions(), before, "in the same session")
    t.unlike(daemon.log(), "deadlock", "and without a word")

    fail(4)
    come("alice")
    worked_off("4 serialization failures")
    t.is_(sessions(), before, "in the same session")
    mend()
    fail(12)
    come("alice")
    worked_off("12 of them")
    t.is_(sessions(), before + 2, "in the third session")
    t.like(daemon.log(), r"usage: Postgres: could not serialize access \(40001\).*; trying again", "the log says so")
