#!/usr/bin/python3
# An export looks at the user's own rows only, also where these are a good part of a large table: not through everybody's in the order
# of time.

from lib.apikeytest import Test, wait_for

READ = """SELECT coalesce(sum(idx_tup_read) FILTER (WHERE indexrelname = 'usage_records_pkey'), 0),
    coalesce(sum(idx_tup_read) FILTER (WHERE indexrelname <> 'usage_records_pkey'), 0),
    (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'usage_records')
    FROM pg_stat_user_indexes WHERE relname = 'usage_records'"""
USERS, ROWS = 12, 10_000

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis, wait=None)
    pg.sql(f"INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests) SELECT 'user' || n % {USERS}, "
           f"'00000000-0000-4000-8000-00000000000a', timestamptz '2026-01-01' + n / 100 * interval '1 minute', '/e' || n / {USERS} % 9, 'gpt', 'success', 1 "
           f"FROM generate_series(0, {USERS * ROWS - 1}) n")
    pg.sql("VACUUM ANALYZE usage_records")

    def read():
        return [int(value) for value in pg.sql(READ)[0]]

    for options in ((), ("--from", "2026-01-01"), ("--from", "2026-01-01", "--to", "2026-12-31", "--model", "gpt")):
        before = read()
        text = daemon.ctl("export", "usage", "--user", "user3", "--format", "csv", *options)
        t.ok(text.count("\n") > ROWS / 2, "an export", text[:200])
        wait_for(lambda: read()[0] > before[0], 5)
        own, others, scanned = (after - was for after, was in zip(read(), before))
        t.is_((own, scanned), (ROWS, 0), f"{options}: as many entries of the primary key as there are rows, and the table is not scanned")
        t.ok(others <= 4, "nor read by another index, into which only the planner looks", others)
