#!/usr/bin/python3
# Every statement that the management of keys sends to Postgres in a user's name, sent again with empty, missing and foreign claims: no row is seen or changed. What
# is asked by apikeyd's own role, before, names the user or the key that asks.
# Hazards: V1, V3, V6

import re

import psycopg2

from lib.apikeytest import Test, wait_for
from lib.apikeytest.management import NOBODYS, Management
from lib.apikeytest.statements import log_statements, statements

TABLES = r"\b(api_keys|audit_log|idempotency_keys)\b"
BY_ITS_OWN_ROLE = (r"^SELECT user_id, key_hash FROM api_keys WHERE id = '[0-9a-f-]{36}'::uuid AND \('alice'::text IS NULL OR user_id = 'alice'\)$",
                   r"^SELECT to_json\(scopes\)::text.* FROM api_keys WHERE id = '%ASKS%'::uuid ?(FOR NO KEY UPDATE)?$",
                   r"^SELECT .* FROM api_keys LIMIT 0$")

with Test() as t:
    m = Management(t, keys__prefix="rls_")
    asks, alice = m.key("alice")
    one = m.made(alice, "one")["id"]
    log_statements(m.pg)
    t.ok(wait_for(lambda: m.ask("POST", "", alice, {"name": "before"}).status == 201, 20), "all is as before the restart")
    connection = m.pg.connect(m.pg.dsn.replace("user=postgres", "user=apikeyd"))
    connection.autocommit = False

    def rows_of(statement, claims):
        """How many rows it gives or changes; or the SQLSTATE. Nothing of it stays."""
        with connection.cursor() as cursor:
            try:
                if claims is not None:
                    cursor.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims,))
                cursor.execute("SET LOCAL ROLE apikey_user")
                cursor.execute(statement.replace("%", "%%"))
                return cursor.rowcount
            except psycopg2.Error as error:
                return error.pgcode
            finally:
                connection.rollback()

    replayed = 0
    for method, path, body, headers in (
            ("GET", "", None, {}), ("GET", f"?limit=1&after={one}", None, {}), ("GET", "audit", None, {}), ("GET", "me", None, {}),
            ("POST", "", {"name": "new", "scopes": ["a b'c".replace(" ", "")], "expiresAt": "2999-01-01"}, {}), ("POST", "", {"name": "again"}, {"Idempotency-Key": "k"}),
            ("POST", "", {"name": "again"}, {"Idempotency-Key": "k"}), ("PATCH", one, {"name": "two"}, {}), ("POST", f"{one}/rotate", None, {"Idempotency-Key": "r"}),
            ("POST", f"{one}/rotate", None, {"Idempotency-Key": "r"}), ("DELETE", one, None, {}), ("DELETE", NOBODYS, None, {})):
        with open(m.pg.log_path, encoding="utf-8") as log:
            log.seek(0, 2)
            r = m.ask(method, path, alice, body, headers)
            t.ok(r.status in (200, 201) or path == NOBODYS, f"{method} {path}", r.text)
            sent = [s for s in statements(log.read()) if re.search(TABLES, s) or s.startswith(("BEGIN", "COMMIT", "ROLLBACK", "SET LOCAL ROLE")) or "jwt.claims" in s]
        as_user, judged = False, 0
        for statement in sent:
            if statement.startswith("SET LOCAL ROLE apikey_user"):
                as_user = True
            elif statement.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
                as_user = False
            elif re.search(TABLES, statement) and not as_user:
                allowed = [pattern.replace("%ASKS%", asks) for pattern in BY_ITS_OWN_ROLE]
                # apikeyd's leader, which is no part of the request, reads rows by their hash.
                t.ok(any(re.search(pattern, statement, re.S) for pattern in allowed) or re.search("WHERE key_hash (=|>|LIKE)", statement), "by its own role: whose key it is", statement)
            elif re.search(TABLES, statement):
                judged += 1
                t.ok("user_id" in statement, "names the user itself", statement)
                for claims in ('{"sub":"bob"}', "{}", "", None, '{"sub":null}'):
                    found = rows_of(statement, claims)
                    t.must(found in (0, "42501"), f"{statement[:60]}, claims {claims!r}: {found}")
                    replayed += 1
        t.ok(judged > 0 or path == NOBODYS, f"{judged} statements in the user's name")
    t.ok(replayed > 60, f"{replayed} statements")
    connection.close()
    with open(m.pg.log_path, "w", encoding="utf-8"):
        pass                                           # this log was told to hold every statement, and hashes with them
