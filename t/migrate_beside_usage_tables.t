#!/usr/bin/python3
# `apikeyctl migrate` where the application has tables named usage_records or usage_sources: they are refused, with what is
# wrong and what to do, and nothing of them is changed. Tables that are as ours are kept.
# Hazards: V6

from lib.apikeytest import Test, apikeyctl

THEIRS = "CREATE TABLE usage_records (id bigserial PRIMARY KEY, user_id text, endpoint text, cost numeric, created_at timestamptz)"
OURS = """CREATE TABLE usage_records (user_id text, key_id uuid, bucket timestamptz, endpoint text, model text, status text,
    source text NOT NULL DEFAULT 'live', requests bigint, tokens_in bigint, tokens_out bigint, tokens_cached bigint, cost numeric{0});
    ALTER TABLE usage_records {1} ROW LEVEL SECURITY"""
KEY = ", UNIQUE (user_id, bucket, key_id, endpoint, model, status, source)"
SHAPE = """SELECT relname, relrowsecurity, relacl, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid),
    (SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0)
    FROM pg_class c WHERE relname IN ('usage_records', 'usage_sources')"""

with Test() as t:
    pg = t.postgres(migrated=False)

    def refused(what, sql, *words):
        pg.sql(f"DROP TABLE IF EXISTS usage_records, usage_sources; DROP VIEW IF EXISTS usage_sources")
        pg.sql(sql)
        before = pg.sql(SHAPE)
        status, _, error = apikeyctl("migrate", "--postgres", pg.dsn, status=None)
        t.is_(status, 1, f"{what}: refused")
        for word in words:
            t.like(error, word, f"{what}: says {word}")
        t.is_(pg.sql(SHAPE), before, f"{what}: nothing is changed")

    refused("an application's table", THEIRS, "public.usage_records is not the table", "key_id must be uuid", "bucket must be timestamp",
            "ALTER TABLE public.usage_records RENAME TO")
    refused("without the key", OURS.format("", "ENABLE"), r"unique index on \(bucket, endpoint, key_id")
    refused("another type", OURS.format(KEY, "ENABLE").replace("key_id uuid", "key_id text"), "not the table .*: key_id must be uuid")
    refused("a column that nobody would fill", OURS.format(KEY + ", tenant int NOT NULL", "ENABLE"), "nullable: tenant")
    refused("no row-level security", OURS.format(KEY, "DISABLE"), "ALTER TABLE public.usage_records ENABLE ROW LEVEL SECURITY")
    refused("usage_sources", "CREATE TABLE usage_sources (id int, applied text)", "usage_sources is not the table .*: zone must be uuid")
    pg.sql("DROP TABLE usage_sources; CREATE VIEW usage_sources AS SELECT 1 AS one")
    t.like(apikeyctl("migrate", "--postgres", pg.dsn, status=None)[2], "it is no table", "a view is refused")
    pg.sql("DROP VIEW usage_sources;" + OURS.format(KEY + ", note text", "ENABLE"))
    apikeyctl("migrate", "--postgres", pg.dsn)
    t.is_(pg.value("SELECT count(*) FROM apikey_schema WHERE version = 2"), "1", "one that is as ours, with a column more, is kept")
    redis = t.redis()
    daemon = t.apikeyd(f"host={pg.folder} user=apikeyd dbname={pg.database}", redis)
    t.ok(daemon.process.alive(), "and apikeyd works with it")
