#!/usr/bin/python3
# Postgres fails during an export: before its first byte the answer is 503, afterwards the transfer breaks off. Never is it shorter and whole.
# Hazards: G8, G12

from lib.apikeytest import Test, wait_for
from lib.apikeytest.unix_http import Sidecar, backends, fill_usage


def is_unavailable(answer, name):
    t.is_((answer.status, answer.code, answer.header("Retry-After")), (503, "service_unavailable", "5"), name)
    t.unlike(answer.text, r"(?i)select|copy|usage_records|postgres|host|socket|terminat", f"{name}: it tells nothing of Postgres")


def kill_backends(where):
    t.ok(wait_for(lambda: backends(pg, where)), f"there is a backend ({where})")
    pg.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN ({','.join(backends(pg, where))})")


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    fill_usage(pg, 300_000)
    daemon = t.apikeyd(pg, redis)
    sidecar = Sidecar(daemon)
    whole = sidecar.get("/export/usage?format=csv")
    t.ok(whole.whole and whole.body.count(b"\n") == 300_001, "an export")

    for form in ("csv", "json"):
        client = sidecar.begin(f"/export/usage?format={form}")
        t.ok(client.begun(), f"{form}: it has begun")
        kill_backends("state = 'active'")
        answer = client.response()
        t.is_((answer.status, answer.whole), (200, False), f"{form}: its backend is killed: no end")
        t.ok(len(answer.body) > 0, f"{form}: though something came")
    t.like(daemon.log(), r'export usage [0-9a-f]{8} of "alice": \d+ rows, \d+ bytes in \S+ s: Postgres: ', "a line in the log says so")

    holder = pg.connect()
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE usage_records IN ACCESS EXCLUSIVE MODE")
    for path in ("/export/usage?format=csv", "/export/usage/summary"):
        client = sidecar.begin(path)
        kill_backends("wait_event_type = 'Lock'")
        is_unavailable(client.response(), f"{path}: killed before the first byte")
    is_unavailable(sidecar.get("/export/usage"), "a table that stays locked")
    holder.rollback()
    t.is_(sidecar.get("/export/usage?format=csv").body, whole.body, "then all is well")

    pg.restart()
    t.is_(sidecar.get("/export/usage?format=csv").status, 200, "a restart is not seen: what was kept is not used when it is dead")
    pg.stop()
    is_unavailable(sidecar.get("/export/usage"), "Postgres is away")
    is_unavailable(sidecar.post("/import/usage", b'{"data": []}'), "imports, too")
    pg.start()
    t.ok(wait_for(lambda: sidecar.get("/export/usage?format=csv").body == whole.body), "and comes back")
    t.is_(pg.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'apikeyd' AND state LIKE 'idle in%'"), "0",
          "no transaction is left open")
