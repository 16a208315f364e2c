#!/usr/bin/python3
# apikeyctl doctor names what is wrong with Postgres, each thing broken for real: triggers, row-level security, policies, roles,
# rights, rows, the schema's version, clocks, a server that is away, a standby, or refuses us.
# Hazards: G14

import pathlib
import re
import time

from lib.apikeytest import Test
from lib.apikeytest.doctor import Doctor

MIGRATIONS = "".join(path.read_text(encoding="utf-8") for path in sorted(
    (pathlib.Path(__file__).resolve().parent.parent / "db/migrations").glob("*.sql")))
MORE_THAN_NEEDED = "with more rights than apikeyd needs"

with Test() as t:
    pg, redis = t.postgres(), t.redis(options={"appendonly": "yes"})
    daemon = t.apikeyd(pg, redis)
    t.worker(redis)
    doctor = Doctor(t, daemon.config)
    role = doctor.run()["postgres.role"]
    t.is_(role[0], "note", "one superuser for everything is noted")
    t.like(role[1], f"postgres is a superuser: it works, {MORE_THAN_NEEDED}", "and said")

    def connect_as(user, more=""):
        daemon.settings["postgres"] = f"host={pg.folder} user={user} dbname={pg.database} {more}"
        daemon.write_config()

    def broken(statement, mend, check, level, message, advice, others=()):
        pg.sql(statement)
        doctor.finds(check, level, message, advice, statement, others)
        pg.sql(mend)

    connect_as("apikeyd")
    doctor.all_well("all is well at first")

    # --- the schema ---
    for trigger in ("apikey_updated", "apikey_inserted_or_deleted", "apikey_emptied"):
        broken(f"ALTER TABLE api_keys DISABLE TRIGGER {trigger}", f"ALTER TABLE api_keys ENABLE TRIGGER {trigger}",
               "postgres.triggers", "error", f"{trigger} of api_keys is disabled: changes are not announced",
               f"^ALTER TABLE api_keys ENABLE TRIGGER {trigger};")
    for trigger in ("apikey_audit_rows", "apikey_audit_changes", "apikey_audit_emptied"):
        broken(f"ALTER TABLE api_keys DISABLE TRIGGER {trigger}", f"ALTER TABLE api_keys ENABLE TRIGGER {trigger}",
               "postgres.triggers", "error", f"{trigger} of api_keys is disabled: changes are not written into audit_log",
               f"^ALTER TABLE api_keys ENABLE TRIGGER {trigger};$")
    broken("ALTER TABLE audit_log DISABLE TRIGGER apikey_only_added", "ALTER TABLE audit_log ENABLE TRIGGER apikey_only_added",
           "postgres.triggers", "error", "apikey_only_added of audit_log is disabled: what is written there can be changed", "^ALTER TABLE audit_log ENABLE TRIGGER")
    broken("ALTER TABLE api_keys ENABLE REPLICA TRIGGER apikey_updated", "ALTER TABLE api_keys ENABLE TRIGGER apikey_updated",
           "postgres.triggers", "error", "disabled", "ENABLE TRIGGER")
    broken("DROP TRIGGER apikey_emptied ON api_keys", MIGRATIONS,
           "postgres.triggers", "error", "apikey_emptied of api_keys is not there", "the files of db/migrations again with psql")
    for table in ("api_keys", "apikey_schema", "usage_records", "usage_sources", "audit_log", "idempotency_keys"):
        broken(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY", f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
               "postgres.row_security", "error", f"row-level security of {table} is off",
               f"^ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;$")
    broken("DROP POLICY apikeyd_reads ON api_keys", "CREATE POLICY apikeyd_reads ON api_keys FOR SELECT TO apikeyd USING (true)",
           "postgres.policies", "error", "apikeyd_reads ON api_keys is not there: .*sees no keys", "^CREATE POLICY apikeyd_reads",
           others=["postgres.privileges"])
    for table in ("usage_records", "usage_sources"):
        broken(f"DROP POLICY apikeyd_serves ON {table}", f"CREATE POLICY apikeyd_serves ON {table} TO apikeyd USING (true) WITH CHECK (true)",
               "postgres.policies", "error", f"apikeyd_serves ON {table} is not there: usage is not applied", f"^CREATE POLICY .* ON {table} ")
    broken("DROP POLICY apikeyd_reads ON audit_log", "CREATE POLICY apikeyd_reads ON audit_log FOR SELECT TO apikeyd USING (true)",
           "postgres.policies", "error", "apikeyd_reads ON audit_log is not there: .*shows nothing", "^CREATE POLICY apikeyd_reads ON audit_log")
    broken("INSERT INTO apikey_schema VALUES (99)", "DELETE FROM apikey_schema WHERE version = 99", "postgres.schema", "error",
           "schema version 99, this program knows", "install the newer")
    broken("ALTER TABLE apikey_schema RENAME TO x", "ALTER TABLE x RENAME TO apikey_schema", "postgres.schema", "error",
           "no schema of ours", "apikeyctl migrate", others=["postgres.policies"])
    broken("ALTER TABLE api_keys RENAME scopes TO x", "ALTER TABLE api_keys RENAME x TO scopes", "postgres.schema", "error",
           "scopes.* does not exist", "docs/operations.md", others=["postgres.rows"])

    # --- roles and rights ---
    for right in ("BYPASSRLS", "SUPERUSER"):
        for name in ("apikeyd", "apikey_user"):
            broken(f"ALTER ROLE {name} {right}", f"ALTER ROLE {name} NO{right}", "postgres.roles", "error",
                   f"role {name} (bypasses|is a superuser)", f"^ALTER ROLE {name} NOSUPERUSER NOBYPASSRLS;")
    pg.sql("ALTER TABLE api_keys OWNER TO apikeyd")
    doctor.finds("postgres.roles", "error", "role apikeyd owns our tables", "ALTER TABLE api_keys OWNER TO", "apikeyd owns them")
    pg.sql("ALTER TABLE api_keys OWNER TO postgres")
    found = doctor.run()
    t.like(found["postgres.schema"][2], "postgres.privileges says", "given back, its rights are gone")
    pg.sql(MIGRATIONS)
    doctor.all_well("the migration with psql gives them again")
    broken("REVOKE apikey_user FROM apikeyd", "GRANT apikey_user TO apikeyd", "postgres.roles", "error",
           "apikeyd is no member of apikey_user", "^GRANT apikey_user TO apikeyd;$", others=["postgres.privileges"])
    broken("REVOKE SELECT (key_hash, scopes) ON api_keys FROM apikeyd", "GRANT SELECT (key_hash, scopes) ON api_keys TO apikeyd",
           "postgres.privileges", "error", "may not read columns of api_keys: key_hash, scopes$",
           r'^GRANT SELECT \(key_hash, scopes\) ON api_keys TO "apikeyd";$', others=["postgres.schema", "postgres.rows"])
    for right in ("INSERT ON usage_records", "UPDATE ON usage_sources", "UPDATE (last_used_at) ON api_keys",
                  f"TEMPORARY ON DATABASE {pg.database}"):
        whom = "apikeyd, PUBLIC" if "TEMPORARY" in right else "apikeyd"
        broken(f"REVOKE {right} FROM {whom}", f"GRANT {right} TO {whom}", "postgres.usage", "error",
               "apikeyd may not apply usage, which waits in Redis", f'^GRANT {re.escape(right)} TO "apikeyd";$')
    pg.sql("CREATE ROLE stranger LOGIN")
    connect_as("stranger")
    found = doctor.run()
    t.like(found["postgres.privileges"][1], "stranger may not become apikey_user", "another user: it may not act for holders")
    pg.sql("GRANT apikey_user TO stranger; ALTER ROLE stranger NOINHERIT; GRANT SELECT ON api_keys, apikey_schema TO stranger")
    pg.sql("CREATE POLICY version ON apikey_schema TO stranger USING (true)")
    doctor.finds("postgres.privileges", "error", "row-level security shows stranger no keys", "CREATE POLICY", "no policy",
                 others=["postgres.usage"])
    pg.sql("CREATE POLICY keys ON api_keys TO stranger USING (true)")
    pg.sql(doctor.run()["postgres.usage"][2])
    doctor.all_well("with a policy of its own it is well")
    connect_as("apikeyd")

    # --- rows ---
    pg.sql("ALTER TABLE api_keys DROP CONSTRAINT api_keys_key_hash_check")
    row = "INSERT INTO api_keys (user_id, name, prefix, key_hash, scopes) VALUES "
    for values, why in (("('u', 'n', 'p', 'ABC', NULL)", "its key_hash is not 64"),
                        ("('', 'n', 'p', repeat('a', 64), NULL)", "its user_id is empty"),
                        ("('u', E'a\\nb', 'p', repeat('a', 64), NULL)", "a control character"),
                        ("('u', 'n', 'p', repeat('a', 64), '{a b}')", "its scopes hold"),
                        ("('u', repeat('x', 5000), 'p', repeat('a', 64), NULL)", "longer than 4096")):
        broken(row + values, "DELETE FROM api_keys", "postgres.rows", "warning",
               rf"^1 active key cannot be served, id [0-9a-f-]{{36}}: .*{why}", "^correct or revoke it: UPDATE api_keys")
    pg.sql(f"{row} ('u', 'n', 'p', 'A', NULL), ('u', 'n', 'p', 'B', NULL), ('u', repeat('y', 4000), 'p', '{'c' * 64}', NULL)")
    doctor.finds("postgres.rows", "warning", "^2 active keys cannot be served, for example id", "UPDATE", "two rows")
    with pg.connect() as holder:
        holder.autocommit = False
        holder.cursor().execute("LOCK TABLE api_keys")
        found = doctor.run()
        t.is_([found[check][0] for check in ("postgres.schema", "postgres.rows")], ["note", "note"], "a lock is waited for briefly")
        holder.rollback()
    pg.sql("DELETE FROM api_keys")

    # --- the server ---
    elsewhere = f"host={pg.folder} user=postgres dbname=postgres"
    pg.sql("ALTER DATABASE apikey SET default_transaction_read_only = on")
    doctor.finds("postgres.read_only", "warning", "read-only by default", "ALTER DATABASE", "a read-only database")
    pg.sql("ALTER DATABASE apikey RESET default_transaction_read_only", elsewhere)
    pg.sql("CREATE SCHEMA fake; GRANT USAGE ON SCHEMA fake TO public; CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz "
           "LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() - interval '90 s' $$")
    connect_as("apikeyd", "options='-c search_path=fake,pg_catalog,public'")
    doctor.finds("clock.postgres", "error", r"Postgres' clock is -(89\.9|90\.)\d+ s", "NTP", "its clock is behind")
    password = "the-password-of-postgres"
    connect_as("nobody", f"password={password}")
    doctor.finds("postgres.connection", "error", "nobody.* does not exist", r"apikeyd.yaml:1: is the database or user", "no role")
    connect_as("apikeyd", f"password={password}")
    pg.stop()
    began = time.monotonic()
    doctor.finds("postgres.connection", "error", "failed", "apikeyd.yaml:1: .*Does PostgreSQL run there", "it is down",
                 others=["redis.leader"])
    daemon.stop()
    redis.stop()
    status, text = doctor.text()
    t.is_(status, 1, "all down: exit status 1")
    t.is_(text.count("error  "), 2, "and both are reported", text)
    t.ok(time.monotonic() - began < 8, "within seconds")
    doctor.never_said(password)
