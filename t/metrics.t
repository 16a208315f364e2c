#!/usr/bin/python3
# api_key_metrics: Prometheus takes the page (promtool), every verdict and every way through the cache is counted once,
# over all workers and over reloads; nothing in it names a key, a hash or a user.

import subprocess
import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; api_key_cache valid=0 invalid=0; empty_gif; }
        location /write { api_key "test"; api_key_require write; api_key_cache valid=0; empty_gif; }
        location /cached { api_key "test"; api_key_cache valid=1h invalid=1h; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""


def grown(before, after):
    # How usage travels is a matter of time.
    return {name: after[name] - before[name] for name in after if name in before and after[name] != before[name] and
            "seconds" not in name and not name.startswith("usage_batches")}


with Test() as t:
    alice = t.key(user="alice-the-user", scopes="read", name="alices name")
    late, nobody = t.key(user="late", expires=1), t.key(user="nobody")
    redis = t.redis(keys=[alice, late])
    nginx = t.nginx(CONF, redis=redis)
    t.ok(wait_for(lambda: nginx.metrics()["links_up"] == 2 and nginx.metrics()["workers"] == 2), "two workers, each with its link")
    answer = nginx.get("/metrics")
    t.is_(answer.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8", "Prometheus' media type")
    checked = subprocess.run(["promtool", "check", "metrics"], input=answer.text, text=True, capture_output=True)
    t.is_((checked.returncode, checked.stdout + checked.stderr), (0, ""), "promtool finds nothing to say")
    t.is_((nginx.get("/metrics", method="HEAD").status, nginx.get("/metrics", method="POST").status), (200, 405),
          "GET and HEAD only")

    t.ok(nginx.wait_watching(2), "both hear of changes")
    before = nginx.metrics()
    for _ in range(3):
        nginx.get("/", alice)
    for path, key, headers in (("/", nobody, ()), ("/", late, ()), ("/write", alice, ()), ("/", None, ()),
                               ("/", None, [("Authorization", "Bearer a,b")])):
        nginx.get(path, key, headers)
    expected = {'requests_total{verdict="valid"}': 3, 'requests_total{verdict="invalid"}': 1,
                'requests_total{verdict="expired"}': 1, 'requests_total{verdict="forbidden"}': 1,
                'requests_total{verdict="missing"}': 1, 'requests_total{verdict="malformed"}': 1,
                'cache_requests_total{result="miss"}': 6,
                'lookups_total{outcome="found"}': 5, 'lookups_total{outcome="unknown"}': 1,
                'usage_requests_total': 4}
    wait_for(lambda: grown(before, nginx.metrics()) == expected)   # the other worker may have answered before it counts
    time.sleep(0.1)                                    # one too many shows as well
    t.is_(grown(before, nginx.metrics()), expected, "each request is counted once")
    after = nginx.metrics()
    t.is_(after["lookup_duration_seconds_count"] - before["lookup_duration_seconds_count"], 6, "every lookup took a time")

    before = nginx.metrics()
    nginx.get("/cached", alice)
    nginx.get("/cached", nobody)
    t.ok(wait_for(lambda: [nginx.get("/cached", key).status for key in (alice, nobody)] and
                  grown(before, nginx.metrics()).get('cache_requests_total{result="hit"}', 0) >= 2 and
                  grown(before, nginx.metrics()).get('cache_requests_total{result="negative"}', 0) >= 2), "hits and negatives")
    after = nginx.metrics()
    t.is_((after['cache_entries{area="known"}'], after['cache_entries{area="unknown"}']), (1, 1), "two entries")
    t.ok(0 < after['cache_places_used{area="known"}'] < after['cache_places{area="known"}'] and
         after["zone_bytes"] == 1 << 20 and 0 < after["zone_free_bytes"] < 1 << 18, "how full the zone is", after)

    nginx.reload()
    t.ok(wait_for(lambda: nginx.metrics()["workers"] == 2 and nginx.metrics()["links_up"] == 2), "after a reload: two workers again")
    reloaded = nginx.metrics()
    t.is_([name for name in after if name.endswith("_total") and reloaded[name] < after[name]], [], "no counter went back")

    redis.stop()
    t.ok(wait_for(lambda: nginx.metrics()["links_up"] == 0 and nginx.metrics()["watching_workers"] == 0), "Redis away: no link, no watch")
    t.is_(nginx.get("/", alice).status, 503, "a request that cannot be answered")
    t.ok(wait_for(lambda: grown(reloaded, nginx.metrics()).get('requests_total{verdict="unavailable"}') == 1), "is counted as such")
    t.ok(nginx.metrics()["link_failures_total"] > reloaded["link_failures_total"], "and the link's failures are")

    page = nginx.get("/metrics").text
    t.is_([word for word in (alice.hash, alice.key, alice.id, alice.user, alice.name, alice.prefix, nobody.hash)
           if word in page], [], "nothing of a key is in it")
