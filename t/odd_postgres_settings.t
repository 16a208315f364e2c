#!/usr/bin/python3
# However a role or a database is set up (dates, time zone, encodings, escapes, digits, search_path, isolation, read-only …), apikeyd and
# apikeyctl read and write the same; in a database of another encoding too, and what that cannot hold is refused by itself.
# Hazards: G16

import re

from lib.apikeytest import Test, apikeyctl, usage, wait_for

ONE, TWO = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
USER = "Jos\u00e9 \\' \"$"                    # in every encoding below
OF_DATABASE = {
    "DateStyle": "German, DMY", "TimeZone": "Pacific/Chatham", "IntervalStyle": "sql_standard", "extra_float_digits": "-15",
    "standard_conforming_strings": "off", "bytea_output": "escape", "client_encoding": "LATIN1", "array_nulls": "off",
    "transform_null_equals": "on", "backslash_quote": "off", "quote_all_identifiers": "on", "row_security": "off",
    "default_transaction_isolation": "serializable", "default_transaction_read_only": "on", "client_min_messages": "debug5",
    "search_path": '"$user", pg_catalog, public', "lock_timeout": "1ms", "statement_timeout": "1min", "xmlbinary": "hex"}
OF_ROLE = {
    "DateStyle": "SQL, MDY", "TimeZone": "America/St_Johns", "IntervalStyle": "iso_8601", "extra_float_digits": "3",
    "standard_conforming_strings": "off", "bytea_output": "escape", "client_encoding": "SQL_ASCII", "array_nulls": "off",
    "default_transaction_isolation": "repeatable read", "default_transaction_deferrable": "on", "client_min_messages": "error",
    "search_path": "public, pg_temp, pg_catalog", "idle_session_timeout": "2s"}


class Sober:
    """A session of the test's own in which a text has one form."""

    def __init__(self):
        self.connection = pg.connect(f"{pg.dsn} options='-c DateStyle=ISO -c TimeZone=UTC -c default_transaction_read_only=off "
                                     "-c search_path=public -c client_min_messages=warning'")
        self.connection.set_client_encoding("UTF8")

    def __call__(self, statement, *values):
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return [tuple(map(str, row)) for row in cursor.fetchall()] if cursor.description else []


def batch(slot, *rows, keys=()):
    """As nginx writes it, in UTF-8."""
    return {name: text.encode("utf-8") for name, text in slot.batch(*rows, keys=keys).items()}


def begin(sober):
    """The same keys, and no usage."""
    sober("TRUNCATE api_keys, usage_records, usage_sources")
    for number, (key_id, expires, scopes) in enumerate(((ONE, "2033-07-04T05:06:07.25Z", ["a", "b"]), (TWO, "infinity", None))):
        sober("INSERT INTO api_keys (id, user_id, name, key_hash, prefix, scopes, created_at, expires_at) VALUES "
              "(%s, %s, %s, %s, 'ia_', %s::text[], '2026-01-02T03:04:05Z', %s)", key_id, USER, f"n{number}", str(number) * 64, scopes, expires)


def what_comes_of_it(sober):
    """All that apikeyd and apikeyctl make of it, as text."""
    begin(sober)
    redis("FLUSHALL")
    daemon.start()
    seen = {"in Redis": [redis("HGETALL", f"apikey:k:{str(number) * 64}") for number in range(2)]}
    usage.ship(redis, batch(
        usage.Slot(), usage.row(USER, ONE, 3, endpoint="a\\b\t'", tokens=(2**62, 1, 0), cost="0.100000000001"), usage.row(USER, TWO, 1, "2026-11-28T23:59:00Z"),
        keys=[usage.used(ONE, "2026-11-28T02:05:06.123456Z")]))
    t.ok(wait_for(lambda: usage.is_empty(redis)), "usage is applied", daemon.log()[-2000:])
    seen["rows of usage"] = sober("SELECT user_id, key_id, bucket, endpoint, requests, tokens_in, cost FROM usage_records ORDER BY 1, 2, 3")
    seen["last_used_at"] = sober("SELECT id, last_used_at FROM api_keys ORDER BY id")
    for words in ("keys list", "usage --from 2026-11-28 --to 2026-11-28 --by day", "usage --from 2026-11-01 --to 2026-11-30 --by key"):
        seen[words] = daemon.ctl(*words.split(), json=True), daemon.ctl(*words.split())
    made = daemon.ctl("keys", "create", "--user", USER, "--name", "x", "--expires", "2028-02-29T12:00:00Z", json=True)
    t.secret(made["key"])
    seen["a key that is made"] = [made[name] for name in ("user", "name", "scopes", "expiresAt")]
    sober("UPDATE api_keys SET name = 'other' WHERE id = %s", TWO)
    name = "apikey:k:" + "1" * 64
    seen["a change"] = bool(wait_for(lambda: redis("HGET", name, "name") in (b"other", "other"), 5))
    daemon.ctl("keys", "revoke", TWO)
    seen["a revocation"] = redis("EXISTS", name)
    seen["doctor"] = re.findall(r"^(?:error|warning)\s+(?!\s|postgres.read_only).*", daemon.ctl("doctor", status=None)[1], re.M)   # it warns of that
    daemon.stop()
    return seen


def set_all(whose, settings):
    sober = Sober()
    for name, value in settings.items():
        sober(f"ALTER {whose} SET {name} = " + (value if name == "search_path" else f"'{value}'"))


def compare(seen, name):
    for what, normal in normally.items():
        t.is_(seen[what], normal, f"{name}: {what}")


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis, wait=None)
    t.worker(redis)
    normally = what_comes_of_it(Sober())
    t.ok(normally["a change"], "normally a change reaches Redis")
    for whose, settings in (("DATABASE apikey", OF_DATABASE), ("ROLE apikeyd", OF_ROLE)):
        set_all(whose, settings)
        compare(what_comes_of_it(Sober()), f"{whose} is odd")

    pg.sql("ALTER ROLE apikeyd RESET ALL", pg.dsn.replace("dbname=apikey", "dbname=postgres"))
    for encoding in ("LATIN1", "SQL_ASCII"):
        pg.sql(f"CREATE DATABASE {encoding.lower()} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'",
               pg.dsn.replace("dbname=apikey", "dbname=postgres"))
        pg.database = encoding.lower()
        apikeyctl("migrate", "--postgres", pg.dsn)
        daemon.settings["postgres"] = pg.dsn.replace("user=postgres", "user=apikeyd")
        daemon.write_config()
        compare(what_comes_of_it(Sober()), f"a database in {encoding}")
        if encoding == "LATIN1":
            daemon.start()
            slot = usage.Slot()
            usage.ship(redis, *(batch(slot, usage.row("alice", ONE, endpoint=label)) for label in ("caf\u00e9", "5 \u20ac", "tea")))
            t.ok(wait_for(lambda: usage.is_empty(redis)), "a label that LATIN1 does not have stops nothing")
            t.is_((usage.requests(pg, "user_id = 'alice'"), len(usage.dead(redis))), (2, 1), "it is put aside alone", usage.dead(redis))
            daemon.stop()
