#!/usr/bin/python3
# `apikeyctl migrate` where the application has a table named audit_log: what does not fit is refused, with what is wrong and what to do, and nothing of it is changed;
# what fits is kept. From then on the application's own changes of keys are written down there, whatever role makes them.
# Hazards: V6

from lib.apikeytest import Test, apikeyctl, places

THEIRS = "CREATE TABLE audit_log (id bigserial PRIMARY KEY, at timestamptz, message text); INSERT INTO audit_log (message) VALUES ('theirs')"
FITTING = """CREATE TABLE audit_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), user_id text, key_id uuid, key_name text,
    key_prefix text, action text, actor text, actor_key uuid, source text, address text, details jsonb, host text); ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY"""
SHAPE = "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'audit_log'::regclass AND attnum > 0 ORDER BY attnum"

with Test() as t:
    pg = t.postgres(migrated=False)

    def refused(what, sql, *words):
        pg.sql("DROP TABLE IF EXISTS audit_log, idempotency_keys")
        pg.sql(sql)
        before = pg.sql(SHAPE) if "audit_log" in sql else None
        status, _, error = apikeyctl("migrate", "--postgres", pg.dsn, status=None)
        t.is_(status, 1, f"{what}: refused")
        for word in words:
            t.like(error, word, f"{what}: says {word}")
        t.is_(pg.sql(SHAPE) if before else None, before, f"{what}: nothing is changed")
        t.is_(pg.value("SELECT max(version) FROM apikey_schema"), "3", f"{what}: what came before it is applied")
        t.is_(pg.sql("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'apikey_audit%'"), [], f"{what}: and no trigger is there")

    refused("an application's table", THEIRS, "public.audit_log is not the table", "user_id must be text", "ALTER TABLE public.audit_log RENAME TO")
    refused("no row-level security", FITTING.replace("ENABLE", "DISABLE"), "ALTER TABLE public.audit_log ENABLE ROW LEVEL SECURITY")
    refused("no default", FITTING.replace("bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "bigint PRIMARY KEY"), "public.audit_log is not the table .*must have a default: id")
    refused("idempotency_keys", "CREATE TABLE idempotency_keys (key text PRIMARY KEY)", "public.idempotency_keys is not the table")
    pg.sql("DROP TABLE idempotency_keys; " + THEIRS)
    try:
        pg.sql((places.MIGRATIONS / "004_management.sql").read_text(encoding="utf-8"))
    except RuntimeError as error:
        t.like(str(error), "is not the table that apikeyd needs", "psql, which would go on after an error: refused, too")
    t.is_(pg.sql("SELECT message FROM audit_log UNION ALL SELECT tgname FROM pg_trigger WHERE tgrelid = 'audit_log'::regclass UNION ALL SELECT max(version)::text FROM apikey_schema"),
          [["theirs"], ["3"]], "and nothing of it is done")
    pg.sql("DROP TABLE audit_log; " + FITTING)
    apikeyctl("migrate", "--postgres", pg.dsn)
    t.is_(pg.value("SELECT max(version) FROM apikey_schema"), "4", "one that fits, with a column more, is kept")

    pg.sql("""CREATE ROLE app LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys TO app; CREATE POLICY app ON api_keys TO app USING (true) WITH CHECK (true);
        SET ROLE app; INSERT INTO api_keys (user_id, name, key_hash, prefix) VALUES ('alice', 'n', repeat('0', 64), 'ia_')""")
    pg.sql("UPDATE api_keys SET is_active = false", )
    connection = pg.connect(pg.dsn.replace("user=postgres", "user=app"))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM api_keys")
    t.is_(pg.sql("SELECT user_id, action, actor, source FROM audit_log ORDER BY id"),
          [["alice", "created", "app", "sql"], ["alice", "revoked", "postgres", "sql"], ["alice", "deleted", "app", "sql"]], "an application that may not write there is written down")
