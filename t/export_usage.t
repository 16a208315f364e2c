#!/usr/bin/python3
# apikeyctl export usage: CSV and JSON hold the table's rows exactly, summed over keys and sources, whatever text is in them; filters and ranges.
# Hazards: D2, D3, D4, D5, D6, D7, D8, G13, V5

import csv
import io
import json
import random
import re
from collections import defaultdict
from decimal import Decimal, getcontext

from lib.apikeytest import Test
from lib.apikeytest.apikeyd import apikeyctl

HUGE = 9_223_372_036_854_775_807
getcontext().prec = 60                    # sums have up to 35 digits
ONE, TWO = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2))
ZERO = "00000000-0000-0000-0000-000000000000"
NASTY = ["", " ", "=1+1", "'=x", "''''@", "-1", "+5", "@a", "\tx", "'\rx", "'", "a,b", 'say "hi"', '"', "line\nbreak", "\r\n", "\r", "\\", "\\.", "\\N",
         "\\n", "a\\", "null", "\u202eRTL", "Zoë", "Zoe\u0308", "\ufeffBOM", "\ufffd", "\U0001f600", "\x01\x7f\x0b\x08\x0c", "' OR 1=1 --", "/chat"]
SQL = "INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, source, requests, tokens_in, tokens_out, cost) VALUES (%s" + ", %s" * 10 + ")"
HEADER = ["date", "endpoint", "requests", "tokens", "cost", "model", "status"]
FORMULA = re.compile(r"'*[=+\-@\t\r]")


def random_rows(rng):
    """Few dates and texts, so that rows meet; the last of a primary key wins."""
    rows = {}
    for _ in range(1500):
        key = ("alice", rng.choice([ONE, TWO, ZERO]),
               f"2026-11-{rng.randint(1, 3):02} 10:00:00{rng.choice(['', '.5', '.123456'])}Z",
               rng.choice(NASTY), rng.choice(NASTY), rng.choice(["success", "error"]))
        source = "import" if key[1] == ZERO else "live"
        cost = rng.choice(["0", "0.1", "0.20", "0.000000000001", "1000000000000000", "12.340", "1e20"])
        rows[key + (source,)] = (rng.choice([0, 1, 7, HUGE]), rng.choice([0, 812, HUGE]), rng.choice([0, 96, HUGE]), cost)
    return [key + counts for key, counts in rows.items()]


def summed(rows):
    """What an export must have: sorted lines with text, exact numbers and dates as they are written."""
    sums = defaultdict(lambda: [0, 0, Decimal(0)])
    for _, _, bucket, endpoint, model, status, _, requests, tokens_in, tokens_out, cost in rows:
        line = sums[(bucket.replace(" ", "T"), endpoint, model, status)]
        line[0] += requests
        line[1] += tokens_in + tokens_out
        line[2] += Decimal(cost)
    by_time = lambda item: (item[0][0].rstrip("Z"), *(text.encode() for text in item[0][1:]))  # noqa: E731
    return [(date, endpoint, requests, tokens, cost, model, status)
            for (date, endpoint, model, status), (requests, tokens, cost) in sorted(sums.items(), key=by_time)]


with Test() as t:
    rng, pg = random.Random(7), t.postgres()
    config = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), t.redis(), wait=None).config
    rows = random_rows(rng)
    with pg.connect().cursor() as cursor:
        cursor.executemany(SQL, rows)
        cursor.executemany(SQL, [("bob", *row[1:]) for row in rows[:20]])

    def export(*args, form="json"):
        code, out, err = apikeyctl("--config", config, "export", "usage", "--user", "alice", "--format", form, *args, status=None)
        t.is_((code, err), (0, ""), f"export {form} {' '.join(map(repr, args))}")
        return out

    def from_json(text):
        document = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        t.is_(document["recordCount"], len(document["data"]), "it counts its rows")
        return [tuple(row[name] for name in HEADER) for row in document["data"]]

    expected = summed(rows)
    text = export()
    got = from_json(text)
    t.is_(got, expected, f"JSON has the table's rows ({len(got)})")
    t.like(text, r'\A\{"success":true,"exportDate":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z","format":"json","data":\[\n\{"date":"', "the envelope")
    t.like(text, rf'\}}\n\],"recordCount":{len(expected)}\}}\n\Z', "and its end")
    t.is_(text.count("\n"), len(expected) + 2, "one row a line")
    t.unlike(text, r'"(requests|tokens|cost)":[^,]*[eE"]', "numbers are plain")

    # --- CSV, read by Python and by Postgres (the harness decodes with universal newlines, so the file is read as bytes) ---
    path = f"{t.new_folder('out')}/usage.csv"
    t.is_(export("-o", path, form="csv"), "", "nothing on stdout with -o")
    with open(path, encoding="utf-8", newline="") as file:
        content = file.read()
    header, *lines = list(csv.reader(io.StringIO(content, newline="")))
    t.is_(header, HEADER, "the header")
    bare = lambda field: field[1:] if field.startswith("'") and FORMULA.match(field) else field      # noqa: E731
    t.is_([(d, bare(e), int(r), int(n), Decimal(c), bare(m), s) for d, e, r, n, c, m, s in lines], expected, "CSV has them, read by Python")
    t.ok(all(not re.match(r"[=+\-@\t\r]", field) for line in lines for field in line), "no field begins a formula")
    t.ok(all(FORMULA.match(e) is None or e[1:] in NASTY for _, e, *_ in lines), "by one ' more, which is taken away again")
    connection = pg.connect()
    with connection.cursor() as cursor, open(path, encoding="utf-8", newline="") as file:
        cursor.execute("CREATE TEMPORARY TABLE back (date timestamptz, endpoint text, requests numeric, tokens numeric, cost numeric, model text, status text, n serial)")
        cursor.copy_expert("COPY back (date, endpoint, requests, tokens, cost, model, status) FROM STDIN (FORMAT csv, HEADER)", file)
        cursor.execute("SET TimeZone = 'UTC'; SELECT replace(replace(date::text, ' ', 'T'), '+00', 'Z'), endpoint, requests, tokens, cost, model, status FROM back ORDER BY n")
        read = [(d, bare(e), r, n, c, bare(m), s) for d, e, r, n, c, m, s in cursor.fetchall()]
    t.is_([pair for pair in zip(read, expected) if pair[0] != pair[1]], [], "and by Postgres, no text lost to NULL")
    t.is_(len(read), len(expected), "nor a row")

    # --- filters, ranges ---
    for args, keep in ((("--endpoint", "=1+1"), lambda r: r[3] == "=1+1"), (("--model", ""), lambda r: r[4] == ""), (("--status", "error"), lambda r: r[5] == "error"),
                       (("--key", TWO), lambda r: r[1] == TWO), (("--endpoint", "' OR 1=1 --", "--model", "\\"), lambda r: r[3:5] == ("' OR 1=1 --", "\\")),
                       (("--from", "2026-11-02"), lambda r: r[2] >= "2026-11-02"), (("--to", "2026-11-02"), lambda r: r[2] < "2026-11-03"),
                       (("--to", "2026-11-02T10:00:00Z"), lambda r: r[2] < "2026-11-02 09"),
                       (("--from", "2026-11-02T11:00:00+01:00", "--to", "2026-11-02T10:00:00.2Z"), lambda r: r[2] in ("2026-11-02 10:00:00Z", "2026-11-02 10:00:00.123456Z"))):
        t.is_(from_json(export(*args)), summed(filter(keep, rows)), f"only {args}")
    t.is_(export("--from", "2001-01-01", "--to", "2001-01-01", form="csv"), ",".join(HEADER) + "\n", "no rows: the header alone")
    t.like(export("--endpoint", "none"), r'"data":\[\],"recordCount":0\}\n\Z', "no rows in JSON")
    for odd in ("ALTER ROLE apikeyd SET DateStyle = 'German'", "ALTER ROLE apikeyd SET TimeZone = 'Asia/Tokyo'", "ALTER ROLE apikeyd SET extra_float_digits = -15",
                "ALTER DATABASE apikey SET TimeZone = 'Asia/Tokyo'", "ALTER ROLE apikeyd SET default_transaction_isolation = 'serializable'"):
        pg.sql(odd)
    t.is_(from_json(export()), expected, "whatever the role and the database have set")

    # --- wrong use ---
    for args, says in ((("--from", "2026-02-30"), '--from "2026-02-30" is no date'), (("--key", "laptop"), "is no key's id"), (("--format", "xml"), "--format"),
                       (("--from", "2026-11-02", "--to", "2026-11-01"), "--to is before --from"), (("--conversation", "x"), "--conversation")):
        code, out, err = apikeyctl("--config", config, "export", "usage", "--user", "alice", *args, status=None)
        t.is_((code, out), (2, ""), f"{args} is wrong use")
        t.like(err, says, "and named")
