#!/usr/bin/python3
# Postgres' disk is full: no batch is refused for it, apikeyd tries again at longer and longer intervals, its log and the metrics
# say so, requests are answered as before, and when there is room everything counts once. (Where nothing may be mounted a trigger
# raises the same error.)
# Hazards: G5, X9

import re
import time

from lib.apikeytest import Test, usage, wait_for
from lib.apikeytest.usage import Slot, is_empty, requests, row, ship

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% timeout=2s;
    api_key_cache          valid=10m;
    api_key_usage_interval 200ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
BATCHES, ROWS = 40, 50
WATCHED = 4                                # seconds
RAISES = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON usage_records EXECUTE FUNCTION full_disk()"""


class RaisingTrigger:
    """Instead of a disk."""

    def fill(self):
        pg.sql(RAISES)

    def free(self):
        pg.sql("DROP TRIGGER full_disk ON usage_records")


def sessions():
    with open(pg.log_path, encoding="utf-8") as log:
        return len(re.findall("connection authorized: .*application_name=apikeyd usage", log.read()))


def gauge(name):
    return nginx.metrics().get(name, 0)


with Test() as t:
    disk = t.small_disk("4m", "postgres")
    pg, redis = t.postgres(), t.redis()
    if disk:
        pg.sql(f"CREATE TABLESPACE small LOCATION '{disk.folder}'")
        pg.sql("ALTER TABLE usage_records SET TABLESPACE small")
    else:
        t.note("nothing may be mounted here: a trigger raises the error")
        disk = RaisingTrigger()
    pg.sql("ALTER SYSTEM SET log_connections = on")
    pg.sql("SELECT pg_reload_conf()")
    daemon = t.apikeyd(f"host={pg.folder} user=apikeyd dbname={pg.database}", redis)
    key = t.secret(daemon.ctl("keys", "create", "--user", "alice", "--name", "k", json=True)["key"])
    nginx = t.nginx(CONF, redis=redis)
    wait_for(lambda: nginx.get("/", key).status == 200 and nginx.wait_watching(1))
    wait_for(lambda: is_empty(redis) and gauge("usage_requests_total") == requests(pg) > 0)

    disk.fill()
    before, slot, other = requests(pg), Slot(), usage.new_id()
    ship(redis, *[slot.batch(*[row(f"bob-{batch}-{n}", other, endpoint="e" * 100) for n in range(ROWS)]) for batch in range(BATCHES)])
    t.ok(wait_for(lambda: re.search(r"usage: Postgres: .*\(53100\).*trying again", daemon.log())), "the log says it", daemon.log()[-1500:])
    began, already = time.monotonic(), sessions()
    answers = [nginx.get("/", key).status for _ in range(50)]
    t.is_(answers, [200] * 50, "requests are answered as before")
    t.ok(wait_for(lambda: gauge("usage_stream_entries") >= BATCHES and gauge("usage_stream_oldest_seconds") >= 1),
         "the metrics tell what waits, and for how long", gauge("usage_stream_entries"), gauge("usage_stream_oldest_seconds"))
    time.sleep(max(0, WATCHED - (time.monotonic() - began)))
    tried, passed = sessions() - already, time.monotonic() - began
    t.ok(1 < tried < 6 * passed, f"tried {tried} times in {passed:.1f} s")
    t.ok(daemon.log().count("53100") <= passed + 3, "in few lines of the log", daemon.log().count("53100"))
    t.is_((redis("XLEN", usage.STREAM) >= BATCHES, requests(pg)), (True, before), "the stream holds everything, and nothing is half applied")
    t.is_(usage.dead(redis), [], "nothing is refused for it")

    disk.free()
    expected = before + BATCHES * ROWS + len(answers)
    t.ok(wait_for(lambda: is_empty(redis) and requests(pg) >= expected), "there is room: all is applied", daemon.log()[-1500:])
    t.must(requests(pg) == expected, "and counts once", requests(pg), expected)
    t.is_(usage.dead(redis), [], "the dead stream is empty")
    t.ok(wait_for(lambda: gauge("usage_stream_entries") == 0), "the metrics are quiet again")
