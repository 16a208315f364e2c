#!/usr/bin/python3
# Every statement that an export sends to Postgres in a user's name, sent again with empty, missing and foreign claims: no row, no error.
# Hazards: V1, V6

import json
import re
import subprocess

from lib.apikeytest import Test, places
from lib.apikeytest.statements import log_statements, statements

KEY = "00000000-0000-4000-8000-00000000000a"
USAGE = f"startDate=2026-01-01&endDate=2026-12-31&endpoint=/chat&model=gpt&status=success&keyId={KEY}"
ASKED = [("usage", ""), ("usage", "format=csv"), ("usage", USAGE), ("conversations", ""), ("conversations", "conversationId=c1&startDate=2026-01-01&endDate=2026-12-31"),
         *(("summary", f"groupBy={by}&timeZone=Europe/Paris") for by in ("day", "month", "endpoint", "model", "key")), ("summary", USAGE)]


with Test() as t:
    pg = t.postgres()
    pg.sql(f"""INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests) VALUES ('alice', '{KEY}', '2026-11-01', '/chat', 'gpt', 'success', 5);
        INSERT INTO api_keys (id, user_id, name, key_hash, prefix) VALUES ('{KEY}', 'alice', 'laptop', '{'0' * 64}', 'ia_');
        INSERT INTO conversations (user_id, id, created_at) VALUES ('alice', 'c1', '2026-11-01');
        INSERT INTO messages (user_id, id, conversation_id, position, role, content) VALUES ('alice', 'm1', 'c1', 1, 'user', 'hello')""")
    log_statements(pg)
    dsn = pg.dsn.replace("user=postgres", "user=apikeyd")
    connection = pg.connect(dsn)
    cursor = connection.cursor()

    def rows_of(statement):
        """How many rows it gives; of a summary's one row of totals, which is always there: 0 when it says 0."""
        if statement.startswith("COPY"):
            class Counter:
                lines = 0
                def write(self, data):
                    self.lines += data.count(b"\n") if isinstance(data, bytes) else data.count("\n")
            counter = Counter()
            cursor.copy_expert(statement, counter)
            return counter.lines
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
        return sum(1 for row in rows if row[:4] != (None, None, None, 0))

    replayed = 0
    for what, query in ASKED:
        with open(pg.log_path, encoding="utf-8") as log:
            log.seek(0, 2)
            done = subprocess.run([str(places.BUILD / "export_probe"), dsn, "alice", what, query], capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
            t.is_((done.returncode, done.stderr), (0, ""), f"{what} {query}")
            sent = statements(log.read())
        role = next(n for n, s in enumerate(sent) if s.startswith("SET LOCAL ROLE apikey_user"))
        begin = next(n for n, s in enumerate(sent) if s.startswith("BEGIN"))
        t.ok(begin < role and sent[-1] == "COMMIT", "it is one transaction, as apikey_user", *sent)
        reading = [s for s in sent[role + 1:] if re.search(r"\bFROM (usage_records|conversations|messages|api_keys)\b", s)]
        t.is_((len(reading), [s for s in sent[:role] if re.search(r"\b(usage_records|conversations|messages)\b", s)]), (1, []), "and one statement reads, after that")
        t.ok("user_id" in reading[0], "which names the user itself")
        settings = [s for s in sent[role + 1:] if "set_config" in s]
        for claims, sees in (('{"sub":"alice"}', True), ('{"sub":"bob"}', False), ("{}", False), ("", False), (None, False)):
            cursor.execute("BEGIN; " + (f"SELECT set_config('request.jwt.claims', '{claims}', true); " if claims is not None else "") + "SET LOCAL ROLE apikey_user")
            for setting in settings:
                cursor.execute(setting)
            found = rows_of(reading[0])
            t.must(found > 0 if sees else found == 0, f"{what}, claims {claims!r}: {found} rows")
            cursor.execute("ROLLBACK")
            replayed += 1
    fresh = pg.connect(dsn).cursor()
    fresh.execute("SELECT current_setting('request.jwt.claims', true)")
    t.is_(fresh.fetchone()[0], None, "a new connection has no claims at all")
    t.is_(replayed, 5 * len(ASKED), f"{replayed} statements")
