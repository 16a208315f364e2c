#!/usr/bin/python3
# The summary of a user's usage: by day and month of a time zone, endpoint, model and key; sums of the days are the total. No client that leaves is computed for.
# Hazards: D5, D6, D8, D9, V5, X12

import json
import socket
import subprocess
import time
import urllib.parse
from decimal import Decimal

from lib.apikeytest import Test, places, wait_for

HUGE = 9_223_372_036_854_775_807
ONE, TWO = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
ROWS = [  # key, bucket, endpoint, model, status, requests, in, out, cost
    (ONE, "2026-03-28T23:30:00Z", "/chat", "gpt", "success", 1, 10, 20, "0.1"),          # 00:30 of the 29th in Paris
    (ONE, "2026-03-29T01:00:00Z", "/chat", "gpt", "success", 2, 1, 2, "0.2"),            # 03:00, after the gap
    (TWO, "2026-03-29T21:59:59.999999Z", "/chat", "", "error", 4, HUGE, HUGE, "0.3"),    # the last moment of that day
    (TWO, "2026-03-29T22:00:00Z", "=1", "gpt", "success", 8, HUGE, 0, "0.000000000001"),  # the next day
    (ONE, "2026-10-25T00:30:00Z", "/chat", "gpt", "success", 16, 0, 0, "0"),             # 02:30, the first time
    (ONE, "2026-10-25T01:30:00Z", "/chat", "gpt", "success", 32, 0, 0, "0"),             # 02:30, again
    (ONE, "2026-10-25T23:00:00Z", "/chat", "gpt", "success", 64, 0, 0, "0"),             # the 26th
]

with Test() as t:
    pg = t.postgres()
    dsn = pg.dsn.replace("user=postgres", "user=apikeyd")
    with pg.connect().cursor() as cursor:
        for user in ("alice", "bob"):
            for row in ROWS:
                cursor.execute("INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests, tokens_in, tokens_out, cost) VALUES (%s" + ", %s" * 9 + ")",
                               (user, *row))
    pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) VALUES ('{ONE}', 'alice', 'my \"laptop\"', '{'0' * 64}', 'ia_'), ('{TWO}', 'bob', 'bob''s', '{'1' * 64}', 'ia_')")
    tool = str(places.BUILD / "export_probe")

    def probe(what, user="alice", **query):
        done = subprocess.run([tool, dsn, user, what, urllib.parse.urlencode(query)], capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr

    def summary(**query):
        status, out, err = probe("summary", **query)
        t.is_((status, err), (0, ""), f"summary {query}")
        return json.loads(out, parse_int=Decimal, parse_float=Decimal)

    def requests(answer):
        return {group["group"]: int(group["requests"]) for group in answer["data"]}

    days = summary()
    t.is_(list(requests(days).items()), [("2026-03-28", 1), ("2026-03-29", 14), ("2026-10-25", 112)], "days in UTC, in their order")
    t.is_((list(days), days["groupBy"]), (["success", "groupBy", "data", "total"], "day"), "the fields")
    t.is_(days["data"][1], {"group": "2026-03-29", "requests": 14, "tokensIn": 2 * HUGE + 1, "tokensOut": HUGE + 2, "cost": Decimal("0.500000000001")}, "exact sums")
    total = {"requests": 127, "tokensIn": 2 * HUGE + 11, "tokensOut": HUGE + 22, "cost": Decimal("0.600000000001")}
    for zone, groups in (("Europe/Paris", {"2026-03-29": 7, "2026-03-30": 8, "2026-10-25": 48, "2026-10-26": 64}),
                         ("America/New_York", {"2026-03-28": 3, "2026-03-29": 12, "2026-10-24": 48, "2026-10-25": 64}),
                         ("Etc/GMT+12", {"2026-03-28": 3, "2026-03-29": 12, "2026-10-24": 48, "2026-10-25": 64})):
        answer = summary(timeZone=zone)
        t.is_((requests(answer), answer["total"]), (groups, total), f"days of {zone}; they add up to the total")
        t.is_(sum(requests(answer).values()), 127, "no hour lost or doubled")
    t.is_(list(requests(summary(groupBy="month", timeZone="Europe/Paris")).items()), [("2026-03", 15), ("2026-10", 112)], "months")
    t.is_(list(requests(summary(groupBy="endpoint")).items()), [("/chat", 119), ("=1", 8)], "endpoints, most requests first")
    t.is_(list(requests(summary(groupBy="model")).items()), [("gpt", 123), ("", 4)], "models")
    t.is_([(g["group"], g["name"], int(g["requests"])) for g in summary(groupBy="key")["data"]], [(ONE, 'my "laptop"', 115), (TWO, None, 12)],
          "keys with their names, none for what is not the user's")
    for query, count in ((dict(startDate="2026-10-01"), 112), (dict(endDate="2026-03-29T22:00:00Z"), 7), (dict(status="error"), 4), (dict(model=""), 4), (dict(keyId=TWO), 12),
                         (dict(endpoint="' OR 1=1 --"), 0), (dict(startDate="2001-01-01", endDate="2001-01-02"), 0)):
        t.is_(int(summary(**query)["total"]["requests"]), count, f"only {query}")
    empty = summary(model="none")
    t.is_((empty["data"], empty["total"]), ([], {"requests": 0, "tokensIn": 0, "tokensOut": 0, "cost": 0}), "no usage is no error")
    status, out, err = probe("summary", timeZone="Europe/Atlantis")
    t.is_((status, out), (1, ""), "no such time zone")
    t.like(err, r'^timeZone "Europe/Atlantis" is no time zone', "and named")
    t.is_(probe("conversations", conversationId="none")[:2], (3, ""), "no such conversation: nothing is written")

    # --- a client that leaves while Postgres computes ---
    pg.sql("CREATE POLICY slow ON usage_records AS RESTRICTIVE FOR SELECT TO apikey_user USING (pg_sleep(30)::text = '')")
    ours, theirs = socket.socketpair()
    process = subprocess.Popen([tool, dsn, "alice", "usage"], stdin=theirs, stdout=subprocess.PIPE)
    theirs.close()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    t.ok(wait_for(lambda: pg.value(waiting) == "1"), "Postgres is at work for it")
    left = time.monotonic()
    ours.close()
    t.ok(wait_for(lambda: pg.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'apikeyd'") == "0"), "its query ends with it")
    t.ok(time.monotonic() - left < 1.9, f"within a second ({time.monotonic() - left:.2f} s)")
    t.is_((process.wait(20), process.stdout.read()), (4, b""), "and is known to be so")
