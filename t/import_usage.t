#!/usr/bin/python3
# apikeyctl import usage: what an export wrote, as CSV or JSON, comes back exactly; as whom, with what rights, and how it is said.
# Hazards: D1, D2, D3, D4, D5, D6, D7, D10, D14, V3

import json
import os
import pty
import subprocess
import time

from lib.apikeytest import Test, places
from lib.apikeytest.apikeyd import apikeyctl

HUGE = 9_223_372_036_854_775_807
HEADER = "date,endpoint,requests,tokens,cost,model,status"
ODD = '"a, ""b""\r\nc\td\\ é\u0301\u202e\U0001f600\ufffd\ufeff "'
ROWS = [  # the line of CSV, and what Postgres then has
    ("2026-11-01T00:00:00Z,/chat,7,12,0.000000000001,gpt,success",
     ["2026-11-01 00:00:00+00", "/chat", "7", "12", "0.000000000001", "gpt", "success"]),
    (f"2028-02-29,/chat,{HUGE},{HUGE},{'9' * 30}.{'1' * 30},,error",
     ["2028-02-29 00:00:00+00", "/chat", str(HUGE), str(HUGE), f"{'9' * 30}.{'1' * 30}", "", "error"]),
    (f"0001-01-01,{ODD},0,0,0.30,{ODD},success",
     ["0001-01-01 00:00:00+00", ODD[1:-1].replace('""', '"'), "0", "0", "0.30", ODD[1:-1].replace('""', '"'), "success"]),
    ("9999-12-31T23:59:59.999999Z,'=1+1,1,1,1,''-x,success",
     ["9999-12-31 23:59:59.999999+00", "=1+1", "1", "1", "1", "'-x", "success"]),
    ("2026-11-01T01:30:00+01:30,'quoted,1,1,1,'',error", ["2026-11-01 00:00:00+00", "'quoted", "1", "1", "1", "''", "error"]),
    ("1970-01-01T00:00Z,,1,1,1,\\N,success", ["1970-01-01 00:00:00+00", "", "1", "1", "1", "\\N", "success"]),
]
COLUMNS = "bucket::text, endpoint, requests::text, tokens_in::text, cost::text, model, status"

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis, wait=None)
    connection = pg.connect()

    def rows_of(user):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {COLUMNS} FROM usage_records WHERE user_id = %s ORDER BY bucket, endpoint, status", (user,))
            return sorted(list(row) for row in cursor.fetchall())

    def run(user, text, *options, name="usage.csv", status=0, config=daemon.config):
        path = f"{t.folder}/{name}"
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return apikeyctl("--config", config, "import", "usage", "--user", user, path, *options, status=status)

    # --- CSV ---
    wanted = sorted(values for _, values in ROWS)
    text = "\n".join([HEADER] + [line for line, _ in ROWS]) + "\n"
    t.is_(run("alice", text), "6 rows imported, 0 skipped that were there already\n", "what was done is said")
    t.is_(rows_of("alice"), wanted, "every row as it was in the file")
    t.is_(pg.sql("SELECT DISTINCT user_id, key_id, source, tokens_out::text, tokens_cached::text FROM usage_records"),
          [["alice", "00000000-0000-0000-0000-000000000000", "import", "0", "0"]], "as the caller's, imported, under no key")
    t.is_(run("bob", "\ufeff" + text.replace("\r\n", "\n").replace("\n", "\r\n")[:-2]), "6 rows imported, 0 skipped that were there already\n",
          "a BOM, CRLF, and no end of the last line")
    t.is_(rows_of("bob"), wanted, "the same")
    t.is_(run("carol", "status,model,cost,tokens,requests,endpoint,date\nsuccess,m,1,2,3,/e,2026-11-28\n\n\n", "--dry-run"),
          "1 row would be imported, 0 skipped that were there already\n", "columns in any order; a dry run")
    t.is_(rows_of("carol"), [], "imports nothing")
    t.is_(run("carol", HEADER), "0 rows imported, 0 skipped that were there already\n", "a file without rows")

    # --- JSON ---
    def envelope(data, **more):
        return json.dumps({"success": True, "exportDate": "2026-11-28T12:00:00Z", "format": "json", "data": data} | more)

    row = {"date": "2026-11-01", "endpoint": "=1+1", "requests": 2**53 + 1, "tokens": HUGE, "model": "'=x", "status": "success"}
    text = envelope([row | {"cost": 0}, {**row, "status": "error", "cost": 1}], recordCount=2)
    text = text.replace('"cost": 0', '"cost": 1.25e-3').replace('"cost": 1}', '"cost": 0.10000000000000000000000000001}')
    answer = json.loads(run("dave", text, "--json", name="usage.json"))
    t.is_(answer, {"success": True, "dryRun": False, "imported": 2, "skipped": 0, "errors": []}, "JSON, and the answer as JSON")
    t.is_(rows_of("dave"), sorted([["2026-11-01 00:00:00+00", "=1+1", str(2**53 + 1), str(HUGE), "0.00125", "'=x", "success"],
                                   ["2026-11-01 00:00:00+00", "=1+1", str(2**53 + 1), str(HUGE), "0.10000000000000000000000000001", "'=x", "error"]]),
          "numbers exactly, texts untouched")
    piped = subprocess.run([places.BUILD / "apikeyctl", "--config", daemon.config, "import", "usage", "--user", "erin", "-",
                            "--format", "json"], input=envelope([row | {"cost": 1}, row | {"cost": 2}]).encode(),
                           capture_output=True, check=False)
    t.is_((piped.returncode, piped.stdout), (0, b"1 row imported, 1 skipped that was there already\n"),
          "from standard input, without a recordCount; of two that say the same the first")
    t.is_([values[4] for values in rows_of("erin")], ["1"], "is taken")

    # --- V3: the file does not say whose it is ---
    code, _, err = run("mallory", envelope([row | {"cost": 1, "userId": "alice"}], userId="alice", user_id="alice"), name="u.json", status=None)
    t.is_(code, 1, "a row that names a user is refused")
    t.like(err, r'^row 1: has an unknown member "userId"\n', "and says so")
    run("mallory", envelope([row | {"cost": 1}], userId="alice", user_id="alice"), name="u.json")
    t.is_((len(rows_of("mallory")), rows_of("alice")), (1, wanted), "around the rows it means nothing")
    nasty = "o'; DROP TABLE usage_records; --\\"
    run(nasty, HEADER + "\n2026-11-28,'; DROP TABLE usage_records; --,1,1,1,\\.,success\n")
    t.is_(rows_of(nasty)[0][1::4], ["'; DROP TABLE usage_records; --", "\\."], "text is only text")

    # --- a superuser's connection ---
    super_config = t.apikeyd(pg, redis, wait=None).config
    t.like(run("frank", HEADER + "\n2026-11-28,/e,1,1,1,m,success\n", config=super_config), "^1 row imported", "a superuser's connection")
    t.is_(pg.value("SELECT count(*) FROM usage_records WHERE user_id = 'frank'"), "1", "works as well")

    # --- how it is called ---
    for options, says in ((("x.txt",), "ends neither in .csv nor in .json"), (("x.csv", "--format", "xml"), "--format"), ((), "FILE")):
        code, _, err = apikeyctl("--config", daemon.config, "import", "usage", "--user", "alice", *options, status=None)
        t.is_(code, 2, f"{options} is wrong use")
        t.like(err, says, "and named")
    code, _, err = apikeyctl("--config", daemon.config, "import", "usage", "--user", "alice", f"{t.folder}/none.csv", status=None)
    t.is_(code, 1, "a file that is not there")
    t.like(err, r"none\.csv cannot be read: No such file", "is said")

    # --- a progress bar on a terminal, when it takes longer ---
    main_end, terminal = pty.openpty()
    slow = subprocess.Popen([places.BUILD / "apikeyctl", "--config", daemon.config, "import", "usage", "--user", "grace", "-", "--format",
                             "csv"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    slow.stdin.write((HEADER + "\n" + "".join(f"2026-11-28,/{n},1,1,1,m,success\n" for n in range(5000))).encode())
    slow.stdin.flush()
    time.sleep(1.5)
    slow.stdin.write("".join(f"2026-11-29,/{n},1,1,1,m,success\n" for n in range(5000)).encode())
    slow.stdin.close()
    t.is_((slow.stdout.read(), slow.wait(30)), (b"10000 rows imported, 0 skipped that were there already\n", 0), "a slow import")
    seen = b""
    try:
        while piece := os.read(main_end, 4096):
            seen += piece
    except OSError:
        pass
    t.like(seen.decode(), r"\r\x1b\[Kimport  0\.\d MB  \d+,\d{3} rows  \d\.\d MB/s", "shows how far it is")
    t.ok(seen.endswith(b"\r\x1b[K"), "and wipes it away")
