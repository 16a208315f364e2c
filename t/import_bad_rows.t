#!/usr/bin/python3
# Imports with bad rows, or that are no CSV or JSON: nothing is stored, every problem is named with its row and line, and what is
# hostile is refused early.
# Hazards: D10, D17, X14, X16

import json
import os
import subprocess

from lib.apikeytest import Test, places
from lib.apikeytest.apikeyd import apikeyctl

HEADER = "date,endpoint,requests,tokens,cost,model,status\n"
GOOD = "2026-11-28,/e,1,2,0.5,m,success\n"
ROW = {"date": "2026-11-28", "endpoint": "/e", "requests": 1, "tokens": 2, "cost": 1, "model": "m", "status": "success"}

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis, wait=None)

    def run(text, *options, name="u.csv", what="usage"):
        path = f"{t.folder}/{name}"
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return apikeyctl("--config", daemon.config, "import", what, "--user", "alice", path, *options, status=None)

    # --- rows ---
    code, out, err = run(HEADER + GOOD + '2026-02-30,"a\nb",-1,x,0x1,m,ok\n' + GOOD + "a,b\n")
    t.is_((code, out), (1, ""), "bad rows: exit status 1")
    t.is_(err.splitlines(), [
        'row 2 (line 3), date: "2026-02-30" is no date (2026-11-28) and no time with its zone (2026-11-28T12:00:00Z) of the years 1 to 9999',
        'row 2 (line 3), requests: "-1" is no whole number; write digits only, as 12',
        'row 2 (line 3), tokens: "x" is no whole number; write digits only, as 12',
        'row 2 (line 3), cost: "0x1" is no decimal number of 0 or more; write it as 0.0125',
        'row 2 (line 3), status: "ok" is no status; it is success or error',
        "row 4 (line 6): has 2 columns, the first line has 7",
        "apikeyctl: nothing was imported: these rows must be mended first"], "every problem on its line")
    code, out, err = run(HEADER + GOOD * 3 + "x\n" * 250, "--json")
    answer = json.loads(out)
    t.is_((code, answer["success"], answer["imported"], answer["skipped"], len(answer["errors"]), answer["moreErrors"]), (1, False, 0, 0, 100, 150),
          "the first hundred of many")
    t.is_(answer["errors"][99], {"row": 103, "line": 104, "field": "", "message": "has 1 columns, the first line has 7"}, "with line numbers")
    t.like(run(HEADER + "x\n" * 250)[2], r"\nand 150 more\n", "for people, too")
    t.like(run(HEADER + "2026-11-28,\x1b[31m\0,1,1,1,m,\x1b[31m\n")[2], r'status: "\?\[31m" is no status', "no control bytes on a terminal")

    # --- dates (D10) ---
    for date, good in (("2028-02-29", True), ("2027-02-29", False), ("2026-11-28T23:59:60Z", False), ("2026-12-31T23:59:59.999999Z", True),
                       ("1970-01-01T00:00:00Z", True), ("1969-12-31T23:59:59Z", True), ("9999-12-31", True), ("10000-01-01", False), ("0001-01-01", True),
                       ("0000-12-31", False), ("0001-01-01T00:00:00+00:01", False), ("9999-12-31T23:59:00-00:01", False),
                       ("2026-11-28T12:00:00", False), ("infinity", False), ("now", False), ("", False)):
        t.is_(run(HEADER + f"{date},/e,1,1,1,m,success\n", "--dry-run")[0], 0 if good else 1, f"the date {date!r} is {'taken' if good else 'refused'}")

    # --- documents ---
    nested = "[" * 1_000_000
    for name, text, says in (
            ("u.csv", "", "the file is empty"), ("u.csv", HEADER.replace("model", "user_id"), 'line 1: the first line has an unknown column "user_id"'),
            ("u.csv", HEADER + 'a,"b\n' + GOOD * 1000, "line 2, column 3: this quoted field is longer than 16 KiB"), ("u.csv", HEADER + 'a,"b\n' + GOOD, "line 2, column 3: this quote is never closed"), ("u.csv", HEADER + GOOD.replace("\n", "\r" * 2), "line 2, column 33: a carriage"),
            ("u.csv", "," * 1_000_000, "line 1, column 65: more than 64 columns"), ("u.csv", HEADER + "x" * 20_000, "a field of more than 16 KiB"),
            ("u.json", "", "line 1 (byte 1): the document is not complete"), ("u.json", "[]", "the document must be an object"), ("u.json", '{"data":[]}x', "more behind the document"),
            ("u.json", '{"x":' + nested, "line 1 (byte 69): arrays and objects nested deeper than 64"), ("u.json", '{"data":[{"cost":' + "9" * 10_000_000, "a number of more than 4096 bytes"),
            ("u.json", '{"data":[{"endpoint":"\\ud800"}]}', "line 1 (byte "), ("u.json", b'{"data":[{"endpoint":"\xff"}]}', "line 1 (byte "), ("u.json", '{"data":[],"data":[]}', "twice"),
            ("u.json", '{"data":[' + json.dumps(ROW) + ",", "the document is not complete")):
        code, out, err = run(text, name=name)
        t.is_((code, out), (1, ""), f"{text[:40]!r}... of {len(text)} bytes")
        t.ok(err.startswith("apikeyctl: nothing was imported: ") and says in err and err.count("\n") == 1, f"says {says}", err[:500])
    code, out, _ = run('{"data":[' + json.dumps(ROW) + '],"recordCount":2}', "--json", name="u.json")
    t.is_((code, json.loads(out)["errors"]), (1, [{"row": 0, "field": "recordCount", "message": 'is "2", but there are 1 rows in data: is the file complete?'}]),
          "an incomplete file is noticed by its recordCount")
    t.like(run('{"data":[{"endpoint":"', name="c.json", what="conversations")[2], "not complete", "conversations, too")
    t.like(run('{"data":[' + json.dumps(ROW).replace('"cost": 1', '"cost": 1e999999999') + "]}", name="u.json")[2], "row 1, cost: .* digits", "a huge exponent")

    # --- what is never whole in memory: a good row, and then a gigabyte ---
    def feed(text, times, name):
        """The exit status, stderr and the most memory (KiB) of an import of `text` again and again, through a pipe."""
        process = subprocess.Popen([places.BUILD / "apikeyctl", "--config", daemon.config, "import", "usage", "--user", "alice", "-", "--format", name],
                                   stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            for _ in range(times):
                process.stdin.write(text)
            process.stdin.close()
        except BrokenPipeError:
            pass
        err = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, err, usage

    for name, text, times in (("csv", HEADER.encode() + b'"' + b"x" * 1_000_000, 1000), ("json", b"7" * 1_000_000, 1000), ("json", b'{"x":[' * 100_000, 1000)):
        code, err, usage = feed(text, times, name)
        t.is_(code, 1, f"{text[:50]!r} a thousand times")
        t.weigh(usage.ru_maxrss < 64 * 1024, "in little memory", f"{usage.ru_maxrss} KiB")
        t.ok(usage.ru_utime < 2, "and time", usage)
    code, err, usage = feed(b" " * 1_000_000, 50, "json")
    t.like(err, "byte 50000001.*not complete", "50 MB of blanks are read to their end")
    t.weigh(usage.ru_maxrss < 64 * 1024, "in little memory", f"{usage.ru_maxrss} KiB")
    t.ok(usage.ru_utime < 5, "less than 100 ms for each MB", usage)

    # --- no room for what is read ---
    os.environ["TMPDIR"] = f"{t.folder}/none"
    code, _, err = run(HEADER + GOOD)
    del os.environ["TMPDIR"]
    t.is_(code, 1, "no folder for temporary files")
    t.like(err, r"^apikeyctl: a temporary file in .*/none: No such file", "is said")

    t.is_(pg.sql("SELECT count(*) FROM usage_records"), [["0"]], "nothing of all this was stored")
    t.is_(run(HEADER + GOOD)[0], 0, "and what is good is imported")
