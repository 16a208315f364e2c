#!/usr/bin/python3
# However a role or a database is set up (dates, time zone, encodings, digits, escapes, isolation, timeouts, another's name where ours are kept, what the
# planner may do), exports are the same bytes but for exportDate, and imports the same rows; in a database of another encoding, too.
# Hazards: G16

import re
import time
from datetime import datetime

from lib.apikeytest import Test, apikeyctl
from lib.apikeytest.unix_http import Sidecar

ONE, TWO = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
FORMATS = {
    "DateStyle": "German, DMY", "TimeZone": "Pacific/Chatham", "IntervalStyle": "sql_standard", "extra_float_digits": "-15", "standard_conforming_strings": "off",
    "bytea_output": "escape", "client_encoding": "LATIN1", "array_nulls": "off", "transform_null_equals": "on", "backslash_quote": "off", "quote_all_identifiers": "on",
    "row_security": "off", "default_transaction_isolation": "serializable", "default_transaction_read_only": "on", "client_min_messages": "debug5",
    "search_path": '"$user", pg_catalog, public', "lock_timeout": "1ms", "statement_timeout": "300ms", "idle_in_transaction_session_timeout": "5s",
    "timezone_abbreviations": "Australia", "lc_numeric": "C", "lc_time": "C", "lc_monetary": "C"}
SESSIONS = {
    "DateStyle": "SQL, MDY", "TimeZone": "America/St_Johns", "IntervalStyle": "iso_8601", "extra_float_digits": "3", "standard_conforming_strings": "off",
    "client_encoding": "SQL_ASCII", "default_transaction_isolation": "repeatable read", "default_transaction_deferrable": "on", "client_min_messages": "error",
    "search_path": "public, pg_temp, pg_catalog", "idle_session_timeout": "2s", '"request.jwt.claims"': '{"sub":"bob"}', '"apikey.user"': "bob", '"apikey.from"': "2026-01-01",
    '"apikey.until"': "2026-01-02", '"apikey.id"': "none", '"apikey.endpoint"': "none", "synchronous_commit": "off", "temp_buffers": "800kB"}
PLANS = {
    "enable_indexscan": "off", "enable_indexonlyscan": "off", "enable_nestloop": "off", "enable_memoize": "off", "enable_material": "off", "enable_incremental_sort": "off",
    "force_parallel_mode": "on", "parallel_setup_cost": "0", "parallel_tuple_cost": "0", "min_parallel_table_scan_size": "0", "jit": "on", "jit_above_cost": "0",
    "work_mem": "64kB", "plan_cache_mode": "force_generic_plan", "from_collapse_limit": "1", "join_collapse_limit": "1", "random_page_cost": "1000", "default_statistics_target": "1"}
ASKED = ("usage?format=csv", "usage", "usage?format=csv&startDate=2026-03-29T02:00:00%2B01:00&endDate=2026-10-25", "usage?startDate=2026-10-25&endDate=2026-10-25T01:30:00Z",
         "conversations", "conversations?startDate=2026-03-29", "usage/summary?groupBy=day&timeZone=Europe/Paris", "usage/summary?groupBy=month&timeZone=Pacific/Apia",
         "usage/summary?groupBy=key", "usage/summary?groupBy=endpoint&status=error")
RICH = ["/chat", "=1", "\u202e\U0001f600\ufeff", "a\\b\t'\"$", "", "\x01\r\n"]
LATIN = ["/chat", "=1", "caf\u00e9 \u00ff", "a\\b\t'\"$", "", "\x01\r\n"]


def sober():
    """A connection of the test's own in which a text has one form."""
    connection = pg.connect(f"{pg.dsn} options='-c DateStyle=ISO -c TimeZone=UTC -c default_transaction_read_only=off -c search_path=public -c statement_timeout=0 "
                            "-c idle_in_transaction_session_timeout=0 -c client_min_messages=warning -c standard_conforming_strings=on -c row_security=on'")
    connection.set_client_encoding("UTF8")
    return connection.cursor()


def fill(texts):
    cursor = sober()
    cursor.execute("TRUNCATE usage_records, conversations, messages, api_keys")
    for user in ("alice", "bob"):
        for number, text in enumerate(texts):
            for key, at in ((ONE, "2026-03-29T01:00:00Z"), (TWO, "2026-03-29T01:00:00Z"), (ONE, f"2026-10-25T0{number}:30:00.5Z"), (ONE, "0007-02-03T04:05:06Z")):
                cursor.execute("INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests, tokens_in, tokens_out, cost) VALUES "
                               "(%s, %s, %s, %s, %s, %s, 1, 9007199254740993, %s, %s)",
                               (user, key, at, text, texts[-number], ("success", "error")[number % 2], number, f"0.1000000000000000000{number}"))
            cursor.execute("INSERT INTO conversations (user_id, id, title, metadata, created_at, updated_at) VALUES (%s, %s, %s, %s, '2026-03-29T02:30:00.25Z', '0001-01-01Z')",
                           (user, f"c{number}", text, '{"n": 1.10, "big": 123456789012345678901234567890}'))
            cursor.execute("INSERT INTO messages (user_id, id, conversation_id, position, role, content, created_at) SELECT %s, %s || n, %s, 7 - n, 'user', %s || n, "
                           "'9999-12-31T23:59:59.999999Z' FROM generate_series(1, 5) AS n", (user, f"c{number}-", f"c{number}", text))
    cursor.execute("INSERT INTO api_keys (id, user_id, name, key_hash, prefix, created_at) VALUES (%s, 'alice', 'my key', %s, 'ia_', '2026-01-01Z')", (ONE, "0" * 64))
    cursor.execute("ANALYZE")


def what_comes_of_it(name):
    """All exports, and what the imports of three of them make, as text."""
    daemon.start()
    seen, dates = {}, 0
    for path in ASKED:
        before = time.time()
        answer = sidecar.get(f"/export/{path}")
        seen[path] = (answer.status, re.sub(rb'(?<="exportDate":")[^"]*', b"", answer.body, count=1))
        if date := re.search(rb'"exportDate":"([^"]+)Z"', answer.body):
            t.ok(before - 1 <= datetime.fromisoformat(date[1].decode().ljust(26, "0") + "+00:00" if b"." in date[1] else date[1].decode() + "+00:00").timestamp() <= time.time() + 1,
                 f"{name}: {path}: exportDate is now")
            dates += 1
    t.is_(dates, 4, f"{name}: each export in JSON has its date")
    for user, kind, path in (("carol", "csv", ASKED[0]), ("dave", "json", ASKED[1]), ("dave", "json", "conversations")):
        where = f"/import/{path.partition('?')[0]}?format={kind}"
        seen[f"{where} of {user}"] = [(answer.status, answer.body) for answer in (sidecar.post(where, seen[path][1], user=user) for _ in "12")]
    cursor = sober()
    for statement in ("SELECT user_id, key_id, bucket::text, endpoint, model, status, source, requests, tokens_in, tokens_out, cost::text FROM usage_records WHERE user_id IN ('carol', 'dave') "
                      'ORDER BY user_id, bucket, endpoint COLLATE "C", model COLLATE "C", status', "SELECT id, title, model, metadata::text, created_at::text, updated_at::text FROM conversations "
                      "WHERE user_id = 'dave' ORDER BY id", "SELECT id, conversation_id, position, role, content, metadata::text, created_at::text FROM messages WHERE user_id = 'dave' ORDER BY id"):
        cursor.execute(statement)
        seen[statement] = cursor.fetchall()
    cursor.execute("DELETE FROM usage_records WHERE user_id IN ('carol', 'dave'); DELETE FROM conversations WHERE user_id = 'dave'")
    daemon.stop()
    return seen


def compare(seen, name):
    for what, normal in normally.items():
        t.ok(seen[what] == normal, f"{name}: {what[:90]}", f"{seen[what]!a:.1500}", f"not {normal!a:.1500}")


def reset():
    for whose in ("DATABASE apikey", "ROLE apikeyd"):
        pg.sql(f"ALTER {whose} RESET ALL", pg.dsn.replace("dbname=apikey", "dbname=postgres"))


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis, wait=None)
    sidecar = Sidecar(daemon)
    fill(RICH)
    normally = what_comes_of_it("normally")
    t.is_({what: seen[0] for what, seen in normally.items() if what in ASKED}, dict.fromkeys(ASKED, 200), "normally all is served")
    t.is_([len(rows) for what, rows in normally.items() if what.startswith("SELECT")], [2 * 3 * len(RICH), len(RICH), 5 * len(RICH)], "and imported")
    for whose, settings in (("DATABASE apikey", FORMATS), ("ROLE apikeyd", SESSIONS), ("ROLE apikeyd", PLANS)):
        for name, value in settings.items():
            sober().execute(f"ALTER {whose} SET {name} = " + (value if name == "search_path" else f"'{value}'"))
        compare(what_comes_of_it(whose), f"{whose} is odd")
        if settings is FORMATS:        # longer than statement_timeout has it
            sober().execute("CREATE FUNCTION slow(text) RETURNS boolean LANGUAGE plpgsql STABLE COST 1 AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN true; END $$; "
                            "CREATE POLICY slow ON usage_records AS RESTRICTIVE FOR SELECT TO apikey_user USING (slow(endpoint))")
            compare(what_comes_of_it("slowly"), "slower than statement_timeout has it")
            sober().execute("DROP POLICY slow ON usage_records")
        else:
            reset()

    fill(LATIN)
    normally = what_comes_of_it("in UTF-8")
    for encoding in ("LATIN1", "SQL_ASCII"):
        pg.sql(f"CREATE DATABASE {encoding.lower()} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'", pg.dsn.replace("dbname=apikey", "dbname=postgres"))
        pg.database = encoding.lower()
        apikeyctl("migrate", "--postgres", pg.dsn)
        daemon.settings["postgres"] = pg.dsn.replace("user=postgres", "user=apikeyd")
        daemon.write_config()
        fill(LATIN)
        compare(what_comes_of_it(encoding), f"a database in {encoding}")
        if encoding == "LATIN1":
            daemon.start()
            t.is_([sidecar.get(f"/export/{path}").status for path in ("usage?endpoint=%E2%82%AC", "usage/summary?model=%E2%82%AC", "conversations?conversationId=%E2%82%AC")],
                  [400] * 3, "a parameter that LATIN1 does not have is the caller's mistake")
            answer = sidecar.post("/import/usage?format=csv", "date,endpoint,requests,tokens,cost,model,status\n2026-11-28,\u20ac,1,1,1,,error\n".encode())
            t.is_((answer.status, answer.code), (422, "invalid_rows"), "such a row, too")
            daemon.stop()
