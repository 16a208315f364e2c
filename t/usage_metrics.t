#!/usr/bin/python3
# The metrics of usage: each is there from the beginning and moves with what it names, and the stream's tell whether apikeyd applies it.
# Hazards: R8, X9

from lib.apikeytest import Test, usage, wait_for

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
        location / { api_key "test"; api_key_usage_tokens $arg_tokens; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
NAMES = ["usage_requests_total", "usage_lost_total", "usage_other_labels_total", "usage_bad_values_total", "usage_saturated_total",
         "usage_spool_failures_total", "usage_slots_adopted_total", "usage_batches_pending", "usage_spool_files",
         *(f'usage_batches_total{{event="{event}"}}' for event in ("sealed", "taken", "refused", "repeated", "spooled", "replayed", "hurried")),
         *(f'usage_slots{{memory="{memory}"}}' for memory in ("zone", "private")),
         *(f'usage_responses_total{{result="{result}"}}' for result in ("found", "absent", "malformed", "encoded", "other_type"))]


def batches(event):
    return nginx.metrics()[f'usage_batches_total{{event="{event}"}}']


def gauge(name):
    return nginx.metrics().get(name)


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg, redis)
    key = t.secret(daemon.ctl("keys", "create", "--user", "alice", "--name", "k", json=True)["key"])
    proxy = t.redis_proxy(redis, record=False)
    nginx = t.nginx(CONF, redis=proxy)
    seen = nginx.metrics()
    t.is_([name for name in NAMES if name not in seen], [], "each metric is there from the beginning")
    wait_for(lambda: nginx.get("/", key).status == 200 and nginx.wait_watching(1))

    t.ok(wait_for(lambda: gauge("usage_stream_entries") == 0), "apikeyd applies: nothing waits in the stream")
    daemon.stop()
    before = nginx.metrics()
    for number in range(10):
        nginx.get(f"/?tokens={number or 'many'}", key)
    moved = nginx.metrics()
    t.is_(moved["usage_requests_total"] - before["usage_requests_total"], 10, "requests are counted")
    t.is_(moved["usage_bad_values_total"] - before["usage_bad_values_total"], 1, "and what is no number")
    t.ok(wait_for(lambda: batches("sealed") == batches("taken") >= 1), "batches are sealed, and taken by Redis")
    t.ok(wait_for(lambda: gauge("usage_batches_pending") == 0), "after a while none is pending")
    t.ok(wait_for(lambda: gauge("usage_stream_entries") > 0 and gauge("usage_stream_oldest_seconds") >= 1),
         "without apikeyd they wait in the stream", gauge("usage_stream_entries"))

    redis("CONFIG", "SET", "maxmemory", "1")
    nginx.get("/", key)
    t.ok(wait_for(lambda: batches("refused") > 0 and gauge("usage_batches_pending") > 0), "Redis is full: refused, and pending")
    redis("CONFIG", "SET", "maxmemory", "0")
    taken = batches("taken")
    t.ok(wait_for(lambda: batches("taken") > taken), "there is room: taken")
    proxy.close_all()
    t.ok(wait_for(lambda: batches("repeated") > 0), "the connection breaks: repeated")

    daemon.start()
    t.ok(wait_for(lambda: gauge("usage_stream_entries") == 0 and gauge("usage_stream_oldest_seconds") == 0),
         "apikeyd is back: nothing waits in the stream")
    asked = int(gauge("usage_requests_total"))
    t.ok(wait_for(lambda: usage.requests(pg) >= asked), "Postgres has what the metrics say", asked)
    t.is_((usage.requests(pg), gauge("usage_dead_entries")), (asked, 0), "exactly")
