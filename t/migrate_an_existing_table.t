#!/usr/bin/python3
# `apikeyctl migrate` on a table with exactly the seed's columns, owned by an application that goes on using it with its
# own SQL; run by that owner, who is no superuser but may create roles; with row-level security off and on before.
# Hazards: V6, C6

from lib.apikeytest import Test, apikeyctl, wait_for

SEED_TABLE = """
    CREATE TABLE api_keys (id UUID PRIMARY KEY, user_id TEXT, name TEXT, key_hash TEXT UNIQUE, prefix TEXT,
                           created_at TIMESTAMPTZ, last_used_at TIMESTAMPTZ, is_active BOOLEAN)"""


def application(pg):
    """A login role that owns a schema of its own; gives its connection string."""
    pg.sql("CREATE ROLE app LOGIN CREATEROLE; CREATE SCHEMA app AUTHORIZATION app; "
           "ALTER ROLE app SET search_path = app")
    return pg.dsn.replace("user=postgres", "user=app")


def insert(pg, app, key, **columns):
    values = {"id": key.id, "user_id": key.user, "name": "n", "key_hash": key.hash, "prefix": key.prefix,
              "created_at": "2025-02-05T10:00:00Z", "is_active": "true"} | columns
    pg.sql(f"INSERT INTO api_keys ({', '.join(values)}) VALUES ({', '.join(repr(str(v)) for v in values.values())})", app)


with Test() as t:
    pg, redis = t.postgres(migrated=False), t.redis()
    app = application(pg)
    alice, bob = t.key(user="alice"), t.key(user="bob")
    pg.sql(SEED_TABLE, app)
    insert(pg, app, alice)

    status, _, error = apikeyctl("migrate", "--postgres", app, status=None)
    t.is_(status, 1, "without row-level security on the table, migrate refuses")
    t.like(error, r"row-level security", "says why")
    t.like(error, r"--enable-rls", "and what to do")
    t.is_(pg.value("SELECT count(*) FROM pg_attribute WHERE attrelid = 'app.api_keys'::regclass AND attname = 'scopes'"),
          "0", "and has changed nothing")

    apikeyctl("migrate", "--postgres", app, "--enable-rls")
    t.is_(pg.value("SELECT relrowsecurity AND NOT relforcerowsecurity FROM pg_class WHERE oid = 'app.api_keys'::regclass"),
          "t", "with it: enabled, not forced")
    again = apikeyctl("migrate", "--postgres", app)
    t.like(again, r"(?i)nothing|up to date|already", "a second run has nothing to do")

    # The application's own SQL works as before, and what it does reaches Redis.
    app_with_path = f"{app} options='-c search_path=app'"
    daemon = t.apikeyd(f"{pg.dsn} options='-c search_path=app'", redis)
    insert(pg, app, bob)
    t.is_(pg.value("SELECT count(*) FROM api_keys", app), "2", "the owner sees its rows")
    for key in (alice, bob):
        t.ok(wait_for(lambda key=key: redis("HGET", f"apikey:k:{key.hash}", "user") == key.user, 3),
             f"{key.user}'s key is in Redis")
    pg.sql("UPDATE api_keys SET is_active = false, last_used_at = now() WHERE user_id = 'bob'", app)
    t.ok(wait_for(lambda: not redis("EXISTS", f"apikey:k:{bob.hash}"), 3), "and gone when it is switched off")

    # Keys made by the command line, and by the application, live beside each other.
    made = daemon.ctl("keys", "create", "--user", "carol", "--name", "cli", json=True)
    t.secret(made["key"])
    t.is_(pg.value("SELECT count(*) FROM api_keys WHERE user_id = 'carol' AND is_active", app), "1", "keys create")

    # The roles: nothing is owned, nothing bypassed.
    t.is_(pg.sql("SELECT rolname FROM pg_roles WHERE rolname IN ('apikey_user', 'apikeyd') AND (rolsuper OR rolbypassrls)"),
          [], "no role of ours is a superuser or bypasses row-level security")
    t.is_(pg.value("SELECT count(*) FROM pg_class WHERE relowner IN (SELECT oid FROM pg_roles WHERE rolname LIKE 'apikey%')"),
          "0", "nor owns anything")

    def rows_of(claims):
        return pg.value(f"BEGIN; SET LOCAL ROLE apikey_user; SET LOCAL request.jwt.claims = '{claims}'; "
                        f"SELECT count(*) FROM app.api_keys")

    t.is_(rows_of('{"sub": "alice"}'), "1", "apikey_user sees its own rows")
    t.is_(rows_of('{"sub": "mallory"}'), "0", "nobody else's")
    t.is_(rows_of(""), "0", "none without claims")
    t.is_(pg.value("BEGIN; SET LOCAL ROLE apikey_user; SELECT count(*) FROM app.api_keys"), "0",
          "none where they were never set")
    t.is_(pg.value("BEGIN; SET LOCAL ROLE apikeyd; SELECT count(*) FROM app.api_keys"), "3", "apikeyd sees all")

with Test() as t:
    pg = t.postgres(migrated=False)
    app = application(pg)
    pg.sql(f"{SEED_TABLE}; ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY; "
           f"CREATE POLICY own ON api_keys USING (user_id = current_user)", app)
    apikeyctl("migrate", "--postgres", app)
    t.is_(pg.value("SELECT count(*) FROM pg_policy WHERE polrelid = 'app.api_keys'::regclass AND polname = 'own'"), "1",
          "with row-level security on before, migrate needs no word, and keeps the application's policies")
