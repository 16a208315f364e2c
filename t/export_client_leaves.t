#!/usr/bin/python3
# A client that leaves ends its export: within a second Postgres does nothing for it any more, wherever it was.
# Hazards: X12

import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest.unix_http import Sidecar, backends, fill_usage


def ends_soon(client, name):
    client.close()
    left = time.monotonic()
    gone = wait_for(lambda: not backends(pg, "state <> 'idle'"), 10)
    took = time.monotonic() - left
    t.ok(gone and took < 1, f"{name}: its query has ended within a second", f"{took:.2f} s")


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    fill_usage(pg, 300_000)
    daemon = t.apikeyd(pg, redis)
    sidecar = Sidecar(daemon)
    t.ok(sidecar.get("/export/usage").whole, "an export")

    client = sidecar.begin("/export/usage?format=csv")
    t.ok(client.begun(), "another begins")
    t.ok(backends(pg), "Postgres works for it")
    ends_soon(client, "in the middle of the rows")
    t.ok(wait_for(lambda: "the client has gone" in daemon.log()), "the log says why it ended")

    holder = pg.connect()
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE usage_records IN ACCESS EXCLUSIVE MODE")
    client = sidecar.begin("/export/usage")
    t.ok(wait_for(lambda: backends(pg, "wait_event_type = 'Lock'")), "one waits for a lock")
    ends_soon(client, "while it waits for a lock")
    holder.rollback()

    # Every row takes a while: the sum over them is not there before the client has left.
    pg.sql("CREATE FUNCTION slow(text) RETURNS boolean LANGUAGE plpgsql STABLE COST 1 AS "
           "$$ BEGIN PERFORM pg_sleep(0.001); RETURN true; END $$; GRANT EXECUTE ON FUNCTION slow TO PUBLIC; "
           "CREATE POLICY slow ON usage_records AS RESTRICTIVE FOR SELECT TO apikey_user USING (slow(user_id))")
    client = sidecar.begin("/export/usage/summary")
    t.ok(wait_for(lambda: backends(pg, "wait_event = 'PgSleep'")), "a summary is being computed")
    ends_soon(client, "while Postgres computes")
    pg.sql("DROP POLICY slow ON usage_records")
    t.ok(sidecar.get("/export/usage?format=csv").whole, "the next one is served")
    t.is_(len(backends(pg, "state LIKE 'idle in%'")), 0, "no transaction is left open")
