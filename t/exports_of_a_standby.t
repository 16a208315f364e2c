#!/usr/bin/python3
# Exports of a standby, which apikeyctl is told to take: exportDate is how far it has come, and the file has all up to then; apikeyd, which must
# change things, wants the primary and says so.
# Hazards: G15

import json
import re
import time
from datetime import datetime

from lib.apikeytest import Test, wait_for
from lib.apikeytest.apikeyd import apikeyctl
from lib.apikeytest.postgres_proxy import PostgresProxy
from lib.apikeytest.unix_http import Sidecar


def seconds(text):
    return datetime.fromisoformat((text[:-1].ljust(26, "0") if "." in text else text[:-1]) + "+00:00").timestamp()


def change():
    """One row more in both tables; when it was committed."""
    rows = int(pg.value("SELECT count(*) FROM usage_records"))
    sent = time.time()
    pg.sql(f"INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests) VALUES ('alice', gen_random_uuid(), '2026-11-28', '/{rows}', '', 'success', 1); "
           f"INSERT INTO conversations (user_id, id) VALUES ('alice', '{rows}')")
    return sent, time.time()


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    times = [change()]
    standby = t.standby(pg)

    def config_of(host, more=" target_session_attrs=any"):
        return t.apikeyd(f"host={host} user=apikeyd dbname={pg.database}{more}", redis, wait=None).config

    config = config_of(standby.folder)

    def export(what="usage", config=config):
        """How many rows, and the exportDate."""
        document = json.loads(apikeyctl("--config", config, "export", what, "--user", "alice"))
        return document["recordCount"], seconds(document["exportDate"])

    def replayed():
        return wait_for(lambda: standby.has(pg))

    # --- it has replayed nothing since it was started: what it was copied from tells how far it has come ---
    time.sleep(1)
    rows, date = export()
    t.is_(rows, 1, "a standby that was just started has what it was copied with")
    t.must(times[0][0] - 1 <= date < time.time() - 0.9, "and does not say that it is of now", date, times, time.time())

    # --- it follows ---
    times.append(change())
    t.ok(replayed(), "it follows")
    for what in ("usage", "conversations"):
        rows, date = export(what)
        t.is_(rows, 2, f"{what}: it has what was committed")
        t.must(times[1][0] <= date <= times[1][1], f"{what}: exportDate is the time of the last commit", date, times)
    t.is_(apikeyctl("--config", config, "export", "usage", "--user", "alice", "--format", "csv").count("\n"), 3, "CSV, too")

    # --- it lags ---
    standby.sql("SELECT pg_wal_replay_pause()")
    times += [change(), change()]
    rows, date = export()
    t.must((rows, times[1][0] <= date <= times[1][1]) == (2, True), "paused, it has what it had, and says so", rows, date, times)
    standby.restart()
    pg.stop()
    rows, date = export()
    t.must(rows == len([sent for sent, _ in times if sent <= date]) or date < times[rows - 1][0], "restarted, while the primary is away: not more than it has", rows, date, times)
    pg.start()
    t.ok(wait_for(lambda: standby.has(pg), 60), "it catches up")
    rows, date = export()
    t.must((rows, date >= times[3][0]) == (4, True), "caught up", rows, date, times)

    # --- changes that are replayed before each message of an export ---
    proxy = PostgresProxy(t.new_folder("proxy"), standby)
    slow = config_of(proxy.folder)
    number, most = 0, 1
    while number < most:
        number += 1
        sent = []

        def hold(data):
            sent.append(data)
            if len(sent) == number:                        # pylint: disable=cell-var-from-loop
                times.append(change())
                replayed()
        proxy.hold = hold
        rows, date = export(config=slow)
        most = len(sent) - 1                               # the last one says good-bye
        promised = len([sent for sent, _ in times if sent <= date])
        t.must(len(times) - 1 <= rows and promised <= rows, f"replayed before message {number} of {most}: the file has all up to its exportDate", rows, promised, date, times[-2:],
               sent[number - 1][:200])

    # --- who insists on a primary ---
    code, out, err = apikeyctl("--config", config_of(standby.folder, ""), "export", "usage", "--user", "alice", status=None)
    t.is_((code, out), (1, ""), "unless it is told that any server will do, it wants the primary")
    t.like(err, "server is in hot standby mode", "and says so")
    t.is_(export(config=config_of(f"{standby.folder},{pg.folder}", ""))[0], len(times), "of two that are named it takes the primary")
    code, out, err = apikeyctl("--config", config, "import", "conversations", "--user", "alice", "-", "--format", "json", status=None)
    t.is_((code, out), (1, ""), "an import into a standby fails")

    # --- apikeyd: it changes things, and hears of changes, which a standby does not tell ---
    daemon = t.apikeyd(f"host={standby.folder} user=apikeyd dbname={pg.database} target_session_attrs=any", redis, wait=False)
    t.ok(wait_for(lambda: re.search("read-only transaction|during recovery", daemon.log())), "apikeyd that is pointed at a standby cannot do its work", daemon.log())
    answer = Sidecar(daemon).get("/export/usage")
    t.is_((answer.status, answer.json["recordCount"]), (200, len(times)), "but exports")
    t.is_(Sidecar(daemon).post("/import/conversations?format=json", b'{"data": []}').status, 503, "and does not import")
