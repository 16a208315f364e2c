#!/usr/bin/python3
# `apikeyctl migrate` where the application has tables named conversations or messages: what does not fit is refused, with what is
# wrong and what to do, and nothing of it is changed; what fits is kept.
# Hazards: V6

from lib.apikeytest import Test, apikeyctl

THEIRS = "CREATE TABLE conversations (id uuid PRIMARY KEY, user_id uuid, title text)"
FITTING = """CREATE TABLE conversations (user_id text, id text, title text, model text, metadata jsonb, created_at timestamptz,
    updated_at timestamptz, folder text, PRIMARY KEY (user_id, id)); ALTER TABLE conversations ENABLE ROW LEVEL SECURITY"""
MESSAGES = "CREATE TABLE messages (id bigserial PRIMARY KEY, conversation_id uuid, content text)"
SHAPE = """SELECT relname, relrowsecurity, relacl, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid),
    (SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0)
    FROM pg_class c WHERE relname IN ('conversations', 'messages')"""

with Test() as t:
    pg = t.postgres(migrated=False)

    def refused(what, sql, *words):
        pg.sql("DROP TABLE IF EXISTS messages, conversations")
        pg.sql(sql)
        before = pg.sql(SHAPE)
        status, _, error = apikeyctl("migrate", "--postgres", pg.dsn, status=None)
        t.is_(status, 1, f"{what}: refused")
        for word in words:
            t.like(error, word, f"{what}: says {word}")
        t.is_(pg.sql(SHAPE), before, f"{what}: nothing is changed")
        t.is_(pg.value("SELECT max(version) FROM apikey_schema"), "2", f"{what}: what came before it is applied")

    refused("an application's table", THEIRS, "public.conversations is not the table", "id must be text", "metadata must be jsonb",
            "ALTER TABLE public.conversations RENAME TO")
    refused("another key", FITTING.replace("(user_id, id)", "(id)"), r"unique index on \(id, user_id\)")
    refused("no row-level security", FITTING.replace("ENABLE", "DISABLE"), "ALTER TABLE public.conversations ENABLE ROW LEVEL SECURITY")
    refused("messages", MESSAGES, "public.messages is not the table .*id must be text")
    pg.sql("DROP TABLE messages;" + FITTING)
    apikeyctl("migrate", "--postgres", pg.dsn)
    t.is_(pg.value("SELECT max(version) FROM apikey_schema"), "4", "one that fits, with a column more, is kept")
    pg.sql("INSERT INTO conversations (user_id, id) VALUES ('alice', 'c'), ('bob', 'c')")
    seen = pg.sql("BEGIN; SELECT set_config('request.jwt.claims', '{\"sub\": \"alice\"}', true); SET LOCAL ROLE apikey_user; "
                  "SELECT user_id, id FROM conversations; ROLLBACK")
    t.ok(["alice", "c"] in [list(row) for row in seen] and ["bob", "c"] not in [list(row) for row in seen],
         "and shows each user his own rows", seen)
