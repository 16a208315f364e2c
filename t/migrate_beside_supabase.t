#!/usr/bin/python3
# On a fresh database with Supabase's roles and default grants: anon and authenticated see nothing of ours and may
# change nothing; migrating twice, or by psql, is the same.
# Hazards: V6

from lib.apikeytest import Test, apikeyctl
from lib.apikeytest.places import MIGRATIONS

with Test() as t:
    pg = t.postgres(migrated=False)
    pg.sql("CREATE ROLE anon NOLOGIN; CREATE ROLE authenticated NOLOGIN; "
           "GRANT USAGE ON SCHEMA public TO anon, authenticated; "
           "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated; "
           "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated")
    apikeyctl("migrate", "--postgres", pg.dsn)
    key = t.key(user="alice")
    pg.sql(f"INSERT INTO api_keys (user_id, name, key_hash, prefix) VALUES ('alice', 'n', '{key.hash}', '{key.prefix}')")

    tables = [row[0] for row in pg.sql("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")]
    t.ok("api_keys" in tables and len(tables) >= 2, "the tables are there", tables)
    for table in tables:
        t.is_(pg.value(f"SELECT relrowsecurity FROM pg_class WHERE oid = '{table}'::regclass"), "t", f"{table}: row-level security")
        for role in ("anon", "authenticated"):
            granted = pg.value(f"SELECT coalesce(string_agg(p, ' '), 'nothing') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', "
                               f"'TRUNCATE', 'TRIGGER']) p WHERE has_table_privilege('{role}', '{table}', p)")
            t.is_(granted, "nothing", f"{table}: {role} may do nothing")
    defaults = pg.sql("SELECT column_name FROM information_schema.columns WHERE table_name = 'api_keys' AND column_default IS NOT NULL")
    t.is_(sorted(row[0] for row in defaults), ["created_at", "id", "is_active"], "a fresh table has its defaults")

    # Twice in a row, by apikeyctl and as plain SQL (as the Supabase CLI applies it).
    def shape():
        return pg.sql("SELECT attrelid::regclass, attname, atttypid::regtype FROM pg_attribute WHERE attnum > 0 AND "
                      "attrelid::regclass::text IN ('api_keys', 'apikey_schema') ORDER BY 1, 2") + \
               pg.sql("SELECT polname, polrelid::regclass FROM pg_policy ORDER BY 1, 2") + \
               pg.sql("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1")

    once = shape()
    apikeyctl("migrate", "--postgres", pg.dsn)
    t.is_(shape(), once, "a second migrate changes nothing")
    for file in sorted(MIGRATIONS.glob("*.sql")):
        pg.sql(file.read_text(encoding="utf-8"))
    t.is_(shape(), once, "nor does psql with the same file")
    t.is_(pg.value("SELECT count(*) FROM api_keys"), "1", "the rows are still there")
    functions = pg.sql("SELECT proname, proconfig::text, prosecdef FROM pg_proc WHERE proname LIKE 'apikey_%'")
    t.is_({config for _, config, _ in functions}, {'{"search_path=pg_catalog, pg_temp"}'}, "our functions have a fixed search_path")
    t.is_([name for name, _, definer in functions if definer == "t"], ["apikey_audit"], "and run as their caller, but for who alone may write to audit_log")
