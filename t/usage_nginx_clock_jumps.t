#!/usr/bin/python3
# The clock of nginx's host is set a day ahead and an hour back while nginx runs, and before workers start: rows are of the minute that
# it showed, late ones too, last_used_at neither goes back nor into the future, nothing is taken for something that was applied
# before, and the metrics stay sensible.
# Hazards: S7, U6

from lib.apikeytest import Test, skip_all, usage, wait_for
from lib.apikeytest.clock import Clock
from lib.apikeytest.places import SANITIZED

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% timeout=2s;
    api_key_cache          valid=10m;
    api_key_usage_interval 100ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; api_key_usage_endpoint $uri; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
DAY, HOUR, REQUESTS = 86400, 3600, 10


def last_used():
    return float(pg.value("SELECT coalesce(extract(epoch FROM last_used_at), 0) FROM api_keys"))


def now():
    return float(pg.value("SELECT extract(epoch FROM now())"))


def at(seconds, name, what=None):
    """The clock jumps, and the key is used."""
    global latest, expected
    clock.jump(seconds)
    if what:
        what()
    t.is_([nginx.get(f"/{name}", key).status for _ in range(REQUESTS)], [200] * REQUESTS, f"{name}: the key is good")
    expected += REQUESTS
    t.ok(wait_for(lambda: usage.requests(pg) >= expected and usage.is_empty(redis)), f"{name}: applied", usage.requests(pg), expected)
    t.must(usage.requests(pg) == expected, f"{name}: counted once", usage.requests(pg), expected)
    off = pg.value(f"SELECT max(abs(extract(epoch FROM bucket - now()) - ({seconds}))) FROM usage_records WHERE endpoint = '/{name}'")
    t.ok(float(off) < 90, f"{name}: the rows are of the minute that nginx's clock shows", off)
    # What a killed worker had shipped comes again, and what was in the future then counts as now once more.
    wait_for(lambda: latest < last_used() or seconds < 0)
    t.ok(latest <= last_used() <= now() and last_used() > now() - (120 if seconds < 0 else 20),
         f"{name}: last_used_at neither goes back nor into the future", latest, last_used(), now())
    latest = last_used()
    if what:
        return
    t.ok(wait_for(lambda: nginx.metrics()["usage_batches_pending"] == 0), f"{name}: nothing is kept longer than usual")
    t.ok(wait_for(lambda: nginx.metrics()["usage_stream_oldest_seconds"] == 0), f"{name}: the metrics know that nothing waits",
         nginx.metrics()["usage_stream_oldest_seconds"])


def new_worker():
    old = nginx.workers()
    nginx.reload()
    wait_for(lambda: not set(nginx.workers()) & set(old) and nginx.wait_watching(1))


def kill_worker():
    victim, = nginx.workers()
    nginx.kill_worker(victim)
    wait_for(lambda: set(nginx.workers()) - {victim} and nginx.wait_watching(1))


def restart():
    nginx.quit(5)
    nginx.start()
    wait_for(lambda: nginx.wait_watching(1))


with Test() as t:
    if SANITIZED:
        skip_all("the sanitizer's library is preloaded already")
    clock, pg, redis = Clock(t.folder), t.postgres(), t.redis()
    daemon = t.apikeyd(pg, redis)
    key = t.secret(daemon.ctl("keys", "create", "--user", "alice", "--name", "k", json=True)["key"])
    nginx = t.nginx(CONF, redis=redis, start=False)
    nginx.env = clock.env
    nginx.start()
    wait_for(lambda: nginx.wait_watching(1))
    latest, expected = 0, 0

    at(0, "right")
    t.unlike(daemon.log(), "in the future", "no use is in the future")
    at(DAY, "ahead")
    t.like(daemon.log(), "usage: keys were used in the future; is nginx' clock right", "the log says that its clock is ahead")
    at(-HOUR, "behind")
    daemon.process.pause()
    nginx.get("/behind", key)
    expected += 1
    t.ok(wait_for(lambda: nginx.metrics()["usage_stream_entries"] > 0), "the metrics go on telling what waits")
    daemon.process.resume()
    at(0, "right_again")
    at(DAY, "a_worker_starts_ahead", new_worker)
    at(-HOUR, "one_starts_behind", new_worker)
    at(-HOUR, "killed_behind", kill_worker)
    at(DAY, "nginx_starts_ahead", restart)
    t.is_(usage.dead(redis), [], "nothing is refused")
    daemon.stop()
    t.like(daemon.log(), r"\d+ uses in the future", "uses in the future are counted")
