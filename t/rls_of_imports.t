#!/usr/bin/python3
# What row-level security lets a key holder write, whatever statement asks for it: usage of his own that says it was imported, his own
# conversations and messages; nothing of others, nothing that nginx counts, no change, no deletion; and nobody without claims anything.
# Hazards: V3, V6

import psycopg2

from lib.apikeytest import Test

ZERO, KEY = "00000000-0000-0000-0000-000000000000", "00000000-0000-4000-8000-00000000000a"
USAGE = "INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, source, requests) VALUES ('{}', '{}', now(), '/e', '', 'success', '{}', 1)"
CONVERSATION = "INSERT INTO conversations (user_id, id) VALUES ('{}', 'c')"
MESSAGE = "INSERT INTO messages (user_id, id, conversation_id, position, role, content) VALUES ('{}', 'm', 'theirs', 1, 'user', 'x')"
OWN = [USAGE.format("alice", ZERO, "import"), CONVERSATION.format("alice"), MESSAGE.format("alice")]
FOREIGN = [USAGE.format("bob", ZERO, "import"), CONVERSATION.format("bob"), MESSAGE.format("bob")]
NEVER = [USAGE.format("alice", ZERO, "live"), USAGE.format("alice", KEY, "import"), USAGE.format("alice", KEY, "live"),
         "UPDATE usage_records SET requests = 9", "DELETE FROM usage_records", "TRUNCATE usage_records", "UPDATE conversations SET user_id = 'alice'",
         "DELETE FROM messages", "UPDATE messages SET content = ''", "UPDATE usage_sources SET slot = 1", "SELECT * FROM usage_sources",
         "INSERT INTO apikey_schema (version) VALUES (99)", "SELECT key_hash FROM api_keys"]

with Test() as t:
    pg = t.postgres()
    pg.sql("INSERT INTO conversations (user_id, id) VALUES ('alice', 'theirs'), ('bob', 'theirs')")
    pg.sql(USAGE.format("bob", KEY, "live"))

    def attempt(connection, claims, statement):
        """"done", or the SQLSTATE; rolled back in any case."""
        with connection.cursor() as cursor:
            try:
                if claims is not None:
                    cursor.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims,))
                cursor.execute("SET LOCAL ROLE apikey_user")
                cursor.execute(statement)
                return "done"
            except psycopg2.Error as error:
                return error.pgcode
            finally:
                connection.rollback()

    for user in ("postgres", "apikeyd"):
        connection = pg.connect(pg.dsn.replace("user=postgres", f"user={user}"))
        connection.autocommit = False
        alice = '{"sub": "alice"}'
        t.is_([attempt(connection, alice, statement) for statement in OWN], ["done"] * len(OWN), f"{user}: alice writes her own")
        t.is_([attempt(connection, alice, statement) for statement in FOREIGN], ["42501"] * len(FOREIGN), f"{user}: nothing of bob's")
        t.is_([attempt(connection, alice, statement) for statement in NEVER], ["42501"] * len(NEVER), f"{user}: nothing that nginx counts, no change")
        for what, claims in (("missing", None), ("empty", ""), ("nobody's", "{}"), ("null", '{"sub": null}'), ("another's", '{"sub": "carol"}')):
            t.is_([attempt(connection, claims, statement) for statement in OWN], ["42501"] * len(OWN), f"{user}: {what} claims: nothing")
        connection.close()
