#!/usr/bin/python3
# Every statement that the management of keys, and the list of conversations, send to Postgres in a user's name, sent again with empty, missing and foreign claims: no row
# is seen or changed. Nor by another user's name where no policy is asked. What is asked by apikeyd's own role, before, names the user or the key that asks.
# Hazards: V1, V3, V6

import re

import psycopg2

from lib.apikeytest import Test, wait_for
from lib.apikeytest.management import NOBODYS, Management
from lib.apikeytest.statements import log_statements, statements

MORE = "location /list { api_key_export conversations; }"
TABLES = r"\b(api_keys|audit_log|idempotency_keys|conversations|messages)\b"
OF_THE_LEADER = ("SELECT key_hash, ",)     # of apikeyd, which is no part of a request: it reads rows by their hash
BY_ITS_OWN_ROLE = (r"^SELECT user_id, key_hash FROM api_keys WHERE id = '[0-9a-f-]{36}'::uuid AND \('alice'::text IS NULL OR user_id = 'alice'\)$",
                   r"^SELECT to_json\(scopes\)::text.* FROM api_keys WHERE id = '%ASKS%'::uuid ?(FOR NO KEY UPDATE)?$",
                   r"^SELECT .* FROM api_keys LIMIT 0$")

with Test() as t:
    m = Management(t, MORE, keys__prefix="rls_")
    asks, alice = m.key("alice")
    one = m.made(alice, "one")["id"]
    m.pg.sql(f"""INSERT INTO conversations (user_id, id) VALUES ('alice', 'c1'), ('alice', 'c2');
        INSERT INTO idempotency_keys (user_id, idempotency_key, request, key_id, created_at) VALUES ('bob', 'old', '', '{NOBODYS}', now() - interval '2 days')""")
    log_statements(m.pg)
    t.ok(m.ask("GET", "", alice).status in (200, 503), "a connection of before the restart")
    t.ok(wait_for(lambda: m.ask("PATCH", one, alice, {"name": "one"}).status == 200, 20), "after which changes are confirmed again")
    connection, operator = m.pg.connect(m.pg.dsn.replace("user=postgres", "user=apikeyd")), m.pg.connect()
    connection.autocommit = operator.autocommit = False

    def rows_of(statement, claims, connection, role="apikey_user"):
        """How many rows it gives or changes; or the SQLSTATE. Nothing of it stays."""
        with connection.cursor() as cursor:
            try:
                if claims is not None:
                    cursor.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims,))
                cursor.execute(f"SET LOCAL ROLE {role}")
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
            ("POST", f"{one}/rotate", None, {"Idempotency-Key": "r"}), ("DELETE", one, None, {}), ("DELETE", NOBODYS, None, {}),
            ("GET", "/list/summary", None, {}), ("GET", "/list/summary?limit=1&after=c2", None, {})):
        with open(m.pg.log_path, encoding="utf-8") as log:
            log.seek(0, 2)
            r = m.ask(method, path, alice, body, headers)
            t.ok(r.status in (200, 201) or path == NOBODYS, f"{method} {path}", r.text)
            sent = [s for s in statements(log.read()) if not s.startswith(OF_THE_LEADER)]
            sent = [s for s in sent if re.search(TABLES, s) or s.startswith(("BEGIN", "COMMIT", "ROLLBACK", "SET LOCAL ROLE")) or "jwt.claims" in s]
        as_user, judged = False, 0
        for statement in sent:
            if statement.startswith("SET LOCAL ROLE apikey_user"):
                as_user = True
            elif statement.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
                as_user = False
            elif re.search(TABLES, statement) and not as_user:
                allowed = [pattern.replace("%ASKS%", asks) for pattern in BY_ITS_OWN_ROLE]
                t.ok(any(re.search(pattern, statement, re.S) for pattern in allowed), "by its own role: whose key it is", statement)
            elif re.search(TABLES, statement):
                judged += 1
                adds = re.match(r"INSERT .* VALUES \(.*'alice'", statement, re.S) is not None
                t.ok(adds or rows_of(statement.replace("'alice'", "'nobody'"), None, operator, "none") == 0, "names the user itself", statement)
                t.ok(adds or len(re.findall(rf"\b(?:FROM|UPDATE) {TABLES}", statement)) == statement.count("user_id = 'alice'"), "for each table", statement)
                for claims in ('{"sub":"bob"}', "{}", "", None, '{"sub":null}'):
                    found = rows_of(statement, claims, connection)
                    t.must(found == ("42501" if adds else 0), f"{statement[:60]}, claims {claims!r}: {found}")
                    replayed += 1
        t.ok(judged > 0 or path == NOBODYS, f"{judged} statements in the user's name")
    t.ok(replayed > 60, f"{replayed} statements")
    another = "INSERT INTO idempotency_keys (user_id, idempotency_key, request, key_id) VALUES ('alice', 'new', '', gen_random_uuid())"
    t.is_([rows_of(another, claims, connection) for claims in ('{"sub":"alice"}', '{"sub":"bob"}')], [1, "42501"], "by whatever statement, nobody takes another's Idempotency-Key")
    connection.close()
    operator.close()
    with open(m.pg.log_path, "w", encoding="utf-8"):
        pass                                           # this log was told to hold every statement, and hashes with them
