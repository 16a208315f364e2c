#!/usr/bin/python3
# Summaries of random usage on days on which clocks are set (Paris, Santiago, Lord Howe, and Apia, which left out a day): every grouping of every
# filter is what Python makes of the export, and adds up to it to the last decimal; no hour is lost or doubled.
# Hazards: D9, D5, D6

import json
import os
import random
import urllib.parse
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal, getcontext
from zoneinfo import ZoneInfo

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %APIKEYD%;
    api_key_cache   valid=60s;
    server {
        listen 127.0.0.1:%PORT%;
        location /usage { api_key "test"; api_key_usage off; api_key_export usage; }
    }
}
"""
getcontext().prec = 80
# Each with moments at which its clocks were set; around them usage is dense.
ZONES = {"Europe/Paris": ("2026-03-29T01:00Z", "2026-10-25T01:00Z"), "America/Santiago": ("2026-04-05T03:00Z", "2026-09-06T04:00Z"),
         "Australia/Lord_Howe": ("2026-04-04T15:00Z", "2026-10-03T15:30Z"), "Pacific/Apia": ("2011-12-30T10:00Z",), "Africa/Casablanca": ("2026-02-15T02:00Z",), "UTC": ("2026-12-31T23:59Z",)}
KEYS = [f"00000000-0000-4000-8000-00000000000{n}" for n in range(3)]
SUMS = ("requests", "tokensIn", "tokensOut", "cost")
ROWS, QUERIES = 2500, 300


def random_rows(rng):
    """(key, moment, endpoint, model, status) -> (requests, in, out, cost)"""
    rows, moments = {}, [datetime.fromisoformat(text.replace("Z", "+00:00")) for texts in ZONES.values() for text in texts]
    for _ in range(ROWS):
        near = rng.choice((timedelta(hours=3), timedelta(days=2), timedelta(days=40)))
        at = rng.choice(moments) + near * rng.uniform(-1, 1)
        at = rng.choice((at, at.replace(minute=rng.choice((0, 30)), second=0, microsecond=0), at.replace(minute=29, second=59, microsecond=999_999)))
        key = (rng.choice(KEYS), at, rng.choice(("/chat", "=1", "/\u00e9", "")), rng.choice(("gpt", "")), rng.choice(("success", "error")))
        rows[key] = (rng.choice((0, 1, 7, 2**62)), rng.choice((0, 2**63 - 1, rng.randrange(1000))), rng.choice((0, 2**53 + 1)), Decimal(rng.randrange(10**rng.choice((1, 12, 30)))) / 10**rng.choice((0, 3, 12, 30)))
    return rows


def random_filter(rng):
    """A query, and which rows it keeps."""
    query, keeps = {}, []
    if rng.random() < 0.3:
        query["endpoint"] = rng.choice(("/chat", "=1", "/\u00e9", "", "none"))
        keeps.append(lambda row, want=query["endpoint"]: row[2] == want)
    if rng.random() < 0.3:
        query["model"] = rng.choice(("gpt", ""))
        keeps.append(lambda row, want=query["model"]: row[3] == want)
    if rng.random() < 0.3:
        query["status"] = rng.choice(("success", "error"))
        keeps.append(lambda row, want=query["status"]: row[4] == want)
    if rng.random() < 0.3:
        query["keyId"] = rng.choice(KEYS)
        keeps.append(lambda row, want=query["keyId"]: row[0] == want)
    zone = rng.choice(list(ZONES))
    at = datetime.fromisoformat(rng.choice(ZONES[zone]).replace("Z", "+00:00"))
    if rng.random() < 0.5:
        begin = (at - rng.choice((timedelta(0), timedelta(hours=1), timedelta(days=1)))).astimezone(ZoneInfo(zone))
        query["startDate"] = begin.isoformat()
        keeps.append(lambda row: row[1] >= begin)
    if rng.random() < 0.5:
        end = (at + rng.choice((timedelta(minutes=30), timedelta(hours=1), timedelta(days=1)))).astimezone(ZoneInfo(zone))
        query["endDate"] = end.isoformat()
        keeps.append(lambda row: row[1] < end)
    return query, zone, lambda row: all(keep(row) for keep in keeps)


def group_of(row, by, zone):
    """What Python says of it."""
    if by in ("day", "month"):
        return row[1].astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d" if by == "day" else "%Y-%m")
    return {"endpoint": row[2], "model": row[3], "key": row[0]}[by]


with Test() as t:
    seed = os.environ.get("SEED", os.urandom(4).hex())
    t.note(f"SEED={seed}")
    rng = random.Random(seed)
    pg, redis = t.postgres(), t.redis()
    pg.sql("ALTER DATABASE apikey SET TimeZone = 'Europe/Paris'")
    daemon = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis)
    key = daemon.ctl("keys", "create", "--user", "alice", "--name", "n", json=True)["key"]
    t.secret(key)
    nginx = t.nginx(CONF, redis=redis, apikeyd=daemon)
    rows, cursor = random_rows(rng), pg.connect().cursor()
    for user in ("alice", "bob"):
        cursor.executemany("INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests, tokens_in, tokens_out, cost) VALUES (%s" + ", %s" * 9 + ")",
                           [(user, *row, *sums) for row, sums in rows.items()])

    def get(path, **query):
        answer = nginx.get(f"{path}?{urllib.parse.urlencode(query)}", key)
        t.is_(answer.status, 200, f"{path} {query}")
        return json.loads(answer.body, parse_float=Decimal)

    groups_seen = defaultdict(set)
    for number in range(QUERIES):
        query, zone, keep = random_filter(rng)
        by = ("day", "day", "month", "endpoint", "model", "key")[number % 6]
        answer, wanted = get("/usage/summary", **query, groupBy=by, timeZone=zone), defaultdict(lambda: [0, 0, 0, Decimal(0)])
        for row in filter(keep, rows):
            sums = wanted[group_of(row, by, zone)]
            sums[:] = [before + more for before, more in zip(sums, rows[row])]
        got = {group["group"]: [group[name] for name in SUMS] for group in answer["data"]}
        t.is_((got, len(answer["data"])), (dict(wanted), len(wanted)), f"{by} of {zone}: each group")
        total = [sum((sums[place] for sums in wanted.values()), Decimal(0) if place == 3 else 0) for place in range(4)]
        t.is_([answer["total"][name] for name in SUMS], total, "and the total is their sum")
        groups_seen[zone, by] |= set(wanted)
        if by in ("day", "month"):
            t.is_([group["group"] for group in answer["data"]], sorted(wanted), "in their order")
        if number % 3 == 0:
            exported = get("/usage", **query)["data"]
            t.is_((sum(row["requests"] for row in exported), sum(row["tokens"] for row in exported), sum((row["cost"] for row in exported), Decimal(0))), (total[0], total[1] + total[2], total[3]),
                  f"which is that of the {len(exported)} rows of the export")
    t.ok({"2011-12-29", "2011-12-31"} <= groups_seen["Pacific/Apia", "day"] and "2011-12-30" not in groups_seen["Pacific/Apia", "day"], "a day that was left out has no usage")
    t.ok({"2026-03-29", "2026-10-25"} <= groups_seen["Europe/Paris", "day"], "days of 23 and of 25 hours were there")
