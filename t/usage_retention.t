#!/usr/bin/python3
# usage.keep: what is older is deleted in small batches, by one apikeyd at a time, and nothing else is; without it nothing is.
# Hazards: G6

from lib.apikeytest import Test, wait_for

KEY = "00000000-0000-4000-8000-000000000001"
ROUND = r"usage retention: (\d+) rows? from before (\S+) deleted in \S+ s \(usage\.keep 2d\)"


def fill(pg, rows, age, user="alice", source="live"):
    """So many rows, one per second, the youngest of them older than `age`."""
    pg.sql(f"INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, source, requests) "
           f"SELECT '{user}', '{KEY}', now() - interval '{age}' - n * interval '1 second', '/', '', 'success', "
           f"'{source}', 1 FROM generate_series(1, {rows}) AS n")


def count(pg, where="true"):
    return int(pg.value(f"SELECT count(*) FROM usage_records WHERE {where}"))


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    pg.sql("INSERT INTO usage_sources VALUES ('00000000-0000-4000-8000-000000000002', 0, '{[0,5)}')")
    fill(pg, 10, "1000 days")

    # --- without the setting ---
    daemon = t.apikeyd(pg, redis)
    t.is_(count(pg), 10, "usage is kept for ever unless said otherwise")
    t.unlike(daemon.log(), "retention", "and nothing is said")
    daemon.stop()

    # --- the edge: 2 days and a bucket of 1 hour ---
    pg.sql("TRUNCATE usage_records")
    fill(pg, 100, "2 days 1 hour", user="old")
    fill(pg, 7, "2 days 1 hour", user="import", source="import")
    fill(pg, 100, "2 days 55 minutes", user="edge")          # the bucket's end is younger than 2 days
    fill(pg, 100, "1 hour", user="young")
    fill(pg, 1, "-1 day", user="future")
    keeps = t.apikeyd(pg, redis, wait=False, usage__keep="2d", usage__bucket="1h")
    t.ok(wait_for(lambda: count(pg, "user_id IN ('old', 'import')") == 0), "what is older goes, imported rows too")
    t.ok(wait_for(lambda: "usage retention" in keeps.log()), "a round is over")
    t.is_(pg.sql("SELECT user_id, count(*) FROM usage_records GROUP BY 1 ORDER BY 1"),
          [["edge", "100"], ["future", "1"], ["young", "100"]], "a bucket that reaches into the time to keep stays")
    t.like(keeps.log(), ROUND, "one line with how many")
    t.like(keeps.log(), r"usage retention: 107 rows", "all of them")
    t.is_(pg.value("SELECT count(*) FROM usage_sources"), "1", "which batches were counted is never forgotten")
    t.ok(keeps.stop(3), "it stops at once, though its next round is in an hour")

    # --- many rows: batches, while others use the table; one row is locked ---
    fill(pg, 23_000, "3 days", user="old")
    pg.sql("""CREATE TABLE batches (xid xid8, deleted bigint, began timestamptz, ended timestamptz, pid int, locks bigint);
              GRANT INSERT ON batches TO PUBLIC;
              CREATE FUNCTION note_batch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                  INSERT INTO batches SELECT pg_current_xact_id(), count(*), now(), clock_timestamp(), pg_backend_pid(),
                      (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) FROM gone;
                  RETURN NULL; END $$;
              CREATE TRIGGER note_batch AFTER DELETE ON usage_records REFERENCING OLD TABLE AS gone
                  FOR EACH STATEMENT EXECUTE FUNCTION note_batch()""")
    holder = pg.connect()
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("SELECT 1 FROM usage_records WHERE user_id = 'old' ORDER BY bucket LIMIT 1 FOR UPDATE")
    several = [t.apikeyd(pg, redis, wait=False, usage__keep="2d", usage__bucket="1h") for _ in range(3)]
    t.ok(wait_for(lambda: count(pg, "user_id = 'old'") == 1, 60), "all go but the one that somebody holds")
    holder.rollback()
    largest = int(pg.value("SELECT max(deleted) FROM batches"))
    t.is_(largest, 5000, "5,000 rows at a time")
    t.ok(int(pg.value("SELECT count(*) FROM batches WHERE deleted > 0")) >= 5, "in batches")
    t.is_(pg.value("SELECT count(*) FROM (SELECT xid FROM batches GROUP BY xid HAVING count(*) > 1) AS x"), "0",
          "each in a transaction of its own")
    t.is_(pg.value("SELECT count(*) FROM batches WHERE locks <> 1"), "0", "under the lock that one apikeyd has at a time")
    t.is_(pg.value("SELECT count(*) FROM (SELECT began - lag(ended) OVER (PARTITION BY pid ORDER BY began) AS rest "
                   "FROM batches) AS x WHERE rest < '90 ms'"), "0", "with a rest between them")
    t.is_(count(pg, "user_id <> 'old'"), 201, "and nothing else")
    for one in several:
        one.stop()

    # --- Postgres goes away in the middle ---
    fill(pg, 12_000, "4 days", user="older")
    pg.sql("CREATE OR REPLACE FUNCTION note_batch() RETURNS trigger LANGUAGE plpgsql AS "
           "$$ BEGIN RETURN NULL; END $$")
    pg.stop()
    last = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis, wait=False, usage__keep="2d", usage__bucket="1h")
    t.ok(wait_for(lambda: "usage retention: Postgres" in last.log()), "Postgres that is away is said")
    pg.start()
    t.ok(wait_for(lambda: count(pg, "user_id IN ('old', 'older')") == 0, 40), "and waited for")
    t.is_(count(pg), 201, "nothing else, again")
