#!/usr/bin/python3
# Postgres is away while nginx serves: requests are answered as before, usage gathers in Redis, of which nothing is trimmed, the metrics
# tell of it, and when Postgres is back the sums are those of the clients.
# Hazards: X9, G1, G2, U1

import time

from lib.apikeytest import Test, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% timeout=2s;
    api_key_cache          valid=10m;
    api_key_usage_interval 100ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
AWAY = 7                                   # seconds


def gauge(name):
    return nginx.metrics().get(name, 0)


def applied():
    return {user: int(count) for user, count in pg.sql("SELECT user_id, sum(requests) FROM usage_records GROUP BY 1")}


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    keys = [t.key(user=f"user-{n}") for n in range(6)]
    values = ", ".join(f"('{k.id}', '{k.user}', '{k.name}', '{k.hash}', '{k.prefix}')" for k in keys)
    pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) VALUES {values}")
    daemon = t.apikeyd(pg, redis)
    nginx = t.nginx(CONF, redis=redis)
    nginx.wait_watching(2)
    with usage.Load(nginx, keys) as load:
        load.wait_more(50)
        for stop in (pg.stop, pg.kill):
            stop()
            began, entries = time.monotonic(), []
            while time.monotonic() - began < AWAY / 2:
                load.wait_more(20)
                entries.append(redis("XLEN", usage.STREAM))
            t.ok(entries[-1] > entries[len(entries) // 2] > 0 and entries == sorted(entries), "Postgres is away: usage gathers in Redis", entries)
            t.ok(wait_for(lambda: gauge("usage_stream_entries") > 0 and gauge("usage_stream_oldest_seconds") >= 2, 10),
                 "the metrics tell of it", gauge("usage_stream_entries"), gauge("usage_stream_oldest_seconds"))
            t.is_(gauge("usage_batches_pending") < 200, True, "Redis takes it from nginx")
            pg.start()
            least = sum(load.answered.values())
            t.ok(wait_for(lambda: sum(applied().values()) >= least, interval=0.1), "it is back: what waited is applied",
                 sum(applied().values()), least, daemon.log()[-1500:])
            t.ok(wait_for(lambda: gauge("usage_stream_oldest_seconds") < 2), "and nothing waits for long, though some always wait",
                 gauge("usage_stream_entries"), gauge("usage_stream_oldest_seconds"))
    t.is_((dict(load.refused), dict(load.perhaps)), ({}, {}), f"no request failed ({load.asked})")
    t.ok(wait_for(lambda: usage.is_empty(redis) and sum(applied().values()) >= sum(load.answered.values())), "all is applied")
    load.agrees(t, applied, "Postgres away")
    t.ok(wait_for(lambda: gauge("usage_stream_oldest_seconds") == gauge("usage_stream_entries") == 0), "the metrics are quiet again")
    t.is_((gauge("usage_lost_total"), usage.dead(redis)), (0, []), "nothing is lost or refused")
