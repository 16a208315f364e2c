#!/usr/bin/python3
# Rows of usage with random text of all of Unicode: our CSV and JSON as Python and Postgres read them, and Python's CSV (every way to quote, both
# line ends, a BOM) and JSON (escaped or not, indented, members in any order) as we import them, are the table's rows exactly.
# Hazards: D1, D2, D3, D5, D6, D7, D14

import csv
import io
import json
import os
import random
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from lib.apikeytest import Test, nasty
from lib.apikeytest.unix_http import Sidecar

HUGE = 9_223_372_036_854_775_807
HEADER = ["date", "endpoint", "requests", "tokens", "cost", "model", "status"]
SQL = "INSERT INTO usage_records (user_id, key_id, bucket, endpoint, requests, tokens_in, cost, model, status) VALUES ('alice', gen_random_uuid()" + ", %s" * 7 + ")"
READ = f"""SELECT to_char(bucket AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), endpoint, requests, tokens_in + tokens_out::numeric, cost, model, status
    FROM usage_records WHERE user_id = %s ORDER BY bucket, endpoint, model, status"""


def cost(rng):
    return Decimal(rng.choice(("0", "0.1", "0.000000000001", "1000000000000000", "9" * 30 + "." + "1" * 30, f"{rng.random():.17f}")))


def moment(text):
    """Of any way to write it: as READ has it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0")


def make_rows(rng, count):
    """(date, endpoint, requests, tokens, cost, model, status), sorted as an export; each text in both columns, none too long."""
    texts = [text for text in nasty.texts(rng, count) if len(text.encode()) <= 1024]
    rows = set()
    for endpoint, model in zip(texts, rng.sample(texts, len(texts))):
        at = datetime(2026, 11, rng.randint(1, 3), rng.randrange(24), tzinfo=timezone.utc) + timedelta(microseconds=rng.choice((0, 0, 1, 500_000)))
        rows.add((moment(at.isoformat()), endpoint, rng.choice((0, 1, HUGE)), rng.choice((0, 7, 2**53 + 1, HUGE)), cost(rng), model, rng.choice(("success", "error"))))
    return sorted(rows, key=lambda row: (row[0], row[1].encode(), row[5].encode(), row[6]))


def to_json(rng, rows, **how):
    """By Python's json; costs, which it does not write exactly, are put in afterwards."""
    members = [dict(rng.sample(list(zip(HEADER, row[:4] + (f"cost {number} of this",) + row[5:])), 7)) for number, row in enumerate(rows)]
    text = json.dumps({"success": True, "data": [member | {"date": member["date"] + "Z"} for member in members], "recordCount": len(rows)}, **how)
    for number, row in enumerate(rows):
        text = text.replace(f'"cost {number} of this"', rng.choice((f"{row[4]:f}", f"{row[4]:e}")), 1)
    return text.encode()


def to_csv(rng, rows, quoting, line_end, bom):
    """By Python's csv; it leaves a lone carriage return bare where the line's end has none (until Python 3.13), so these are quoted here."""
    out = io.StringIO(newline="")
    columns = rng.sample(range(7), 7)
    writer = csv.writer(out, quoting=quoting, lineterminator=line_end)
    writer.writerow([HEADER[column] for column in columns])
    always = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator=line_end)
    for row in rows:
        fields = [row[0] + "Z", nasty.guarded(row[1]), row[2], row[3], f"{row[4]:f}", nasty.guarded(row[5]), row[6]]
        (always if "\r" in row[1] + row[5] else writer).writerow([fields[column] for column in columns])
    return bom + out.getvalue().encode()


with Test() as t:
    seed = os.environ.get("SEED", os.urandom(4).hex())
    t.note(f"SEED={seed}")
    rng = random.Random(seed)
    pg, redis = t.postgres(), t.redis()
    sidecar = Sidecar(t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis))
    cursor = pg.connect().cursor()
    rows = make_rows(rng, 1500)
    cursor.executemany(SQL, [(row[0] + "Z", *row[1:]) for row in rows])

    def same(got, name, want=None):
        """Shows the first rows that differ."""
        want = rows if want is None else want
        differ = [pair for pair in zip(got, want) if pair[0] != pair[1]]
        t.ok(len(got) == len(want) and not differ, name, f"{len(got)} of {len(want)} rows", *map(repr, differ[:3]))

    def table(user):
        cursor.execute(READ, (user,))
        return cursor.fetchall()

    same(table("alice"), f"the table has the {len(rows)} rows, as psycopg2 writes and reads")

    # --- what we write ---
    data = sidecar.get("/export/usage?format=csv").body.decode()
    header, *lines = csv.reader(io.StringIO(data, newline=""), strict=True)
    t.is_(header, HEADER, "CSV: its header")
    same([(moment(d), nasty.bare(e), int(r), int(n), Decimal(c), nasty.bare(m), s) for d, e, r, n, c, m, s in lines], "CSV, read by Python")
    t.is_([field for line in lines for field in line if field and field[0] in "=+-@\t\r"], [], "no field begins a formula")
    cursor.execute("CREATE TEMPORARY TABLE back (date timestamptz, endpoint text, requests numeric, tokens numeric, cost numeric, model text, status text, n serial)")
    cursor.copy_expert("COPY back (date, endpoint, requests, tokens, cost, model, status) FROM STDIN (FORMAT csv, HEADER, NULL '\\N is none')", io.StringIO(data, newline=""))
    cursor.execute("""SELECT to_char(date AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), endpoint, requests, tokens, cost, model, status FROM back ORDER BY n""")
    same([(d, nasty.bare(e), r, n, c, nasty.bare(m), s) for d, e, r, n, c, m, s in cursor.fetchall()], "CSV, read by Postgres")
    document = json.loads(sidecar.get("/export/usage").body, parse_float=Decimal)
    same([(moment(row["date"]), *(row[name] for name in HEADER[1:])) for row in document["data"]], "JSON, read by Python")

    # --- what we read ---
    ways = [(f"CSV, quoting {quoting}, {line_end!r}, BOM {bom!r}", "text/csv", to_csv(rng, rows, quoting, line_end, bom))
            for quoting in (csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC) for line_end in ("\n", "\r\n") for bom in (b"", b"\xef\xbb\xbf")]
    ways += [(f"JSON, {how}", "application/json", to_json(rng, rows, **how))
             for ascii_only in (True, False) for indent in (None, 3, "\t") for sort in (True, False) for how in [{"ensure_ascii": ascii_only, "indent": indent, "sort_keys": sort}]]
    ways.append(("JSON, no blanks", "application/json", to_json(rng, rows, separators=(",", ":"))))
    for number, (name, kind, body) in enumerate(ways):
        answer = sidecar.post(f"/import/usage?format={kind.partition('/')[2]}", body, user=f"user {number}")
        t.is_((answer.status, answer.text[:300]), (200, f'{{"success":true,"imported":{len(rows)},"skipped":0,"errors":[]}}\n'), f"{name}: imported")
        same(table(f"user {number}"), f"{name}: exactly")
    tame = [row for row in rows if not set(row[1] + row[5]) & set('",\r\n')]
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_NONE, lineterminator="\n").writerows([HEADER] + [(row[0] + "Z", nasty.guarded(row[1]), *row[2:4], f"{row[4]:f}", nasty.guarded(row[5]), row[6]) for row in tame])
    t.is_(sidecar.post("/import/usage?format=csv", out.getvalue().encode(), user="tame").status, 200, "CSV, nothing quoted, of rows that need it not")
    same(table("tame"), f"these {len(tame)} exactly", tame)

    # --- and round: what was imported is exported as before ---
    for number in (0, len(ways) - 1):
        t.ok(sidecar.get("/export/usage?format=csv", user=f"user {number}").body == data.encode(), f"{ways[number][0]}: exported again, byte for byte")
