#!/usr/bin/python3
# apikeyctl usage: exact sums by user, key, endpoint, model, day and month; filters, ranges, and what is refused.
# Hazards: D5, D6, D7, D8

import json
from decimal import Decimal

from lib.apikeytest import Test
from lib.apikeytest.apikeyd import apikeyctl

HUGE = 9_223_372_036_854_775_807          # bigint's largest: two of them fit in no integer type
ONE, TWO = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
ROWS = [  # user, key, bucket, endpoint, model, status, requests, in, out, cached, cost
    ("alice", ONE, "2026-10-31T23:59:00Z", "/chat", "gpt", "success", 5, 10, 20, 1, "0.1"),
    ("alice", ONE, "2026-11-01T00:00:00Z", "/chat", "gpt", "success", 7, HUGE, 2, 0, "0.000000000001"),
    ("alice", TWO, "2026-11-01T12:00:00Z", "/chat", "", "error", 3, HUGE, 0, 0, "0"),
    ("bob", ONE, "2026-11-02T00:00:00Z", "/emb", "gpt", "success", 100, 1, 1, 1, "123456789012345678901234567890.5"),
    ("b\x1b[31mob", TWO, "2026-11-03T10:00:00Z", "", "x\"y", "error", 1, 0, 0, 0, "0.2"),
]

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis, wait=None)
    config = ("--config", daemon.config)
    connection = pg.connect()
    with connection.cursor() as cursor:
        for row in ROWS:
            cursor.execute("INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests, "
                           "tokens_in, tokens_out, tokens_cached, cost) VALUES (%s" + ", %s" * 10 + ")", row)
    pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) VALUES ('{ONE}', 'alice', 'laptop', '{'0' * 64}', 'ia_')")

    def usage(*args, status=0):
        """What --json prints, its numbers as exact decimals."""
        code, out, err = apikeyctl(*config, "usage", *args, "--json", status=None)
        t.is_((code, err), (status, ""), f"usage {' '.join(args)}")
        return json.loads(out, parse_float=Decimal, parse_int=Decimal)

    def sums(answer, *names):
        return [tuple(group[name] for name in ("group", *names)) for group in answer["data"]]

    november = ("--from", "2026-11-01", "--to", "2026-11-30")
    answer = usage(*november)
    t.is_((answer["success"], answer["groupBy"], answer["from"], answer["until"]),
          (True, "user", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"), "by user, of the days that were asked for")
    t.is_(sums(answer, "requests", "errors"), [("bob", 100, 0), ("alice", 10, 3), ("b\x1b[31mob", 1, 1)], "most requests first")
    alice = answer["data"][1]
    t.is_((alice["tokensIn"], alice["cost"]), (2 * HUGE, Decimal("0.000000000001")), "sums larger than any integer, and the last decimal")
    t.is_(answer["total"], {"requests": 111, "errors": 4, "tokensIn": 2 * HUGE + 1, "tokensOut": 3, "tokensCached": 1,
                            "cost": Decimal("123456789012345678901234567890.700000000001")}, "the total is exact")
    raw = daemon.ctl("usage", *november, "--json")
    t.like(raw, r'"cost": 123456789012345678901234567890\.700000000001\b', "as a plain number")

    # --- groups ---
    t.is_(sums(usage("--by", "day", "--from", "2026-10-01", "--to", "2026-11-30"), "requests"),
          [("2026-10-31", 5), ("2026-11-01", 10), ("2026-11-02", 100), ("2026-11-03", 1)], "days in their order, in UTC")
    t.is_(sums(usage("--by", "month", "--from", "2026-10-01", "--to", "2026-11-30"), "requests"),
          [("2026-10", 5), ("2026-11", 111)], "months")
    t.is_(sums(usage("--by", "model", *november), "requests"), [("gpt", 107), ("", 3), ("x\"y", 1)], "models, and none")
    t.is_(sums(usage("--by", "endpoint", *november), "requests"), [("/emb", 100), ("/chat", 10), ("", 1)], "endpoints")
    t.is_(sums(usage("--by", "key", *november), "user", "name", "requests"),
          [(ONE, "bob", "laptop", 100), (ONE, "alice", "laptop", 7), (TWO, "alice", None, 3), (TWO, "b\x1b[31mob", None, 1)],
          "keys with their users and names")
    few = usage("--by", "day", "--from", "2026-10-01", "--to", "2026-11-30", "--limit", "2")
    t.is_((sums(few, "requests"), few["groups"], few["total"]["requests"]),
          ([("2026-11-02", 100), ("2026-11-03", 1)], 4, 116), "the latest two; the total is of all")
    t.is_(sums(usage(*november, "--limit", "1")), [("bob",)], "the largest one")

    # --- filters and ranges ---
    for options, requests in ((("--user", "alice"), 10), (("--key", TWO.upper()), 4), (("--endpoint", "/chat"), 10),
                              (("--model", "gpt"), 107), (("--model", ""), 3), (("--status", "error"), 4),
                              (("--user", "alice", "--status", "success", "--model", "gpt"), 7), (("--user", "' OR 1=1 --"), 0)):
        t.is_(usage(*november, *options)["total"]["requests"], requests, f"only {options}")
    for begin, end, requests in (("2026-11-01", "2026-11-01", 10), ("2026-11-01T00:00Z", "2026-11-01T12:00:00Z", 7),
                                 ("2026-11-01T00:00:00Z", "2026-11-01T12:00:01Z", 10), ("2026-10-31", "2026-11-01", 15),
                                 ("2026-11-01T01:00:00+01:00", "2026-11-02T01:00:00+01:00", 10), ("1970-01-01", "9999-12-31", 116)):
        t.is_(usage("--from", begin, "--to", end)["total"]["requests"], requests, f"{begin} to {end}")
    empty = usage("--from", "2001-01-01", "--to", "2001-01-02")
    t.is_((empty["data"], empty["total"]["requests"], empty["total"]["cost"], empty["groups"]), ([], 0, 0, 0), "no usage is no error")
    pg.sql("UPDATE usage_records SET bucket = now() - interval '29 days' WHERE user_id = 'bob'")
    pg.sql("DELETE FROM usage_records WHERE user_id = 'alice' AND bucket < '2026-11-01'")
    pg.sql("UPDATE usage_records SET bucket = now() - interval '31 days' WHERE user_id = 'alice'")
    t.is_([g for (g,) in sums(usage()) if g in ("bob", "alice")], ["bob"], "the last 30 days, unless said otherwise")

    # --- for people ---
    text = daemon.ctl("usage", "--from", "2026-11-03", "--to", "2026-11-03")
    t.like(text, r"^usage by user, 2026-11-03 to 2026-11-03 \(UTC\)\nUSER +REQUESTS  TOKENS IN  TOKENS OUT  CACHED  COST  ERRORS\n",
           "the range and the columns")
    t.like(text, r"\nb\?\[31mob +1 +0 +0 +0 +0\.2 +1\ntotal +1 +0 +0 +0 +0\.2 +1\n$", "no control bytes; a total line")
    t.is_(len({len(line) for line in text.splitlines()[1:]}), 1, "numbers flush right")
    t.like(daemon.ctl("usage", "--by", "day", "--from", "2001-01-01", "--to", "2099-12-31", "--limit", "1"), r"\n1 of \d shown", "what is left out is said")
    t.like(daemon.ctl("usage", "--help"), r"Examples:\n(.*\n)*  apikeyctl usage --by day --user alice", "help with examples")

    # --- wrong use ---
    for args, says in ((("--from", "2026-02-30"), r'--from "2026-02-30" is no date'), (("--to", "2026-11-31"), r'--to "2026-11-31" is no date'),
                       (("--from", "2026-11-02", "--to", "2026-11-01"), r'--to "2026-11-01" is not after --from "2026-11-02"'),
                       (("--from", "2026-11-01T12:00"), "--from .*with its zone"), (("--from", "9999-01-01"), "--from .* is in the future"),
                       (("--key", "laptop"), '--key "laptop" is no key\'s id'), (("--by", "week"), "--by"), (("--status", "ok"), "--status"),
                       (("--limit", "0"), "--limit"), (("--limit", "-1"), "--limit"), (("--pipeline", "--by", "day"), "--pipeline"),
                       (("--spool", "/tmp"), "--spool")):
        code, out, err = apikeyctl(*config, "usage", *args, status=None)
        t.is_((code, out), (2, ""), f"{args} is wrong use")
        t.like(err, says, "and named")
    pg.stop()
    code, out, err = apikeyctl(*config, "usage", status=None)
    t.is_((code, out), (1, ""), "without Postgres it fails")
    t.like(err, "^apikeyctl: Postgres: ", "and says why")
