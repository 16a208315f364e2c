#!/usr/bin/python3
# The disk of api_key_spool is full while Redis is away: the log names the folder, a metric counts it, no half-written file is left,
# and usage stays in the zone, also when its worker ends. Where the zone is full, too, requests are answered all the same, and those
# that find no room are counted as lost; as soon as there is room the spool takes the rest. Everything else is counted once.
# Hazards: U1, X9, N20

import collections
import os
import re

from lib.apikeytest import Test, skip_all, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% timeout=500ms;
    api_key_cache          valid=10m;
    api_key_usage_interval 100ms;
    api_key_spool          %SPOOL%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; api_key_usage_endpoint $uri; api_key_usage_model $arg_model; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
ROWS, MOST = 24, 6000                      # requests that surely fill the little zone


def ask(requests, until=lambda: False):
    """Over a kept connection, in turn for everybody; whether it came true."""
    client = nginx.connect()
    for number in range(requests):
        user = users[number % len(users)]
        r = client.request(path=f"/{number % ROWS}?model={'m' * 100}{number % 7}", key=user, headers={"Keep-Alive": "1"})
        statuses[r.status] += 1
        client = nginx.connect() if r.header("Connection") == "close" else client
        if number % 20 == 19 and until():
            return True
    return False


def metric(name):
    return int(nginx.metrics()[name])


def away():
    proxy.refuse()
    proxy.close_all()
    wait_for(lambda: metric("links_up") == 0)


def agrees(name):
    """Redis is back."""
    proxy.accept()
    expected = statuses[200] - metric("usage_lost_total")
    t.ok(wait_for(lambda: usage.counted(redis) >= expected and not os.listdir(disk.folder), 30, 0.1), name, os.listdir(disk.folder)[:5],
         usage.counted(redis), expected)
    t.must(usage.wait_counted(redis, expected) == expected, "and counted once", usage.counted(redis), expected)
    t.is_(usage.differing(redis), [], "what came again was the same")


with Test() as t:
    disk = t.small_disk("4m", "www-data")
    if disk is None:
        skip_all("nothing may be mounted here")
    users = [t.key(user=f"{n}-{'u' * 100}") for n in range(40)]
    statuses = collections.Counter()
    redis = t.redis(keys=users)
    proxy = t.redis_proxy(redis, record=False)
    nginx = t.nginx(CONF, redis=proxy, spool=disk.folder)
    wait_for(lambda: nginx.wait_watching(1))
    ask(len(users))

    away()
    disk.fill()
    ask(len(users))
    old = nginx.workers()
    nginx.reload()
    t.ok(wait_for(lambda: not set(nginx.workers()) & set(old)), "a worker ends: Redis is away, and the disk of the spool is full")
    t.like(nginx.log(), rf'\[error\] .*api_key_spool: cannot write "{re.escape(disk.folder)}/.*": No space left on device',
           "the log says why, and which folder")
    failures = metric("usage_spool_failures_total")
    t.ok(failures > 0, "a metric counts it")
    t.is_(os.listdir(disk.folder), [], "nothing half-written is left there")
    t.is_(metric("usage_lost_total"), 0, "nothing is lost")
    agrees("Redis is back, the disk is still full: the next worker sends it all from the zone")

    away()
    t.ok(ask(MOST, until=lambda: metric("usage_lost_total") > 0), "the zone is full, too: what finds no room is counted as lost",
         metric("usage_batches_pending"))
    t.ok(metric("usage_spool_failures_total") > failures, "the metric of the spool grows")
    t.is_(os.listdir(disk.folder), [], "nothing half-written is left there")
    disk.free()
    t.ok(ask(MOST, until=lambda: os.listdir(disk.folder)), "there is room: the spool takes what the zone has")
    lost = metric("usage_lost_total")
    ask(200)
    t.is_(metric("usage_lost_total"), lost, "nothing more is lost")
    t.is_(set(statuses), {200}, "all the while each request was answered", statuses)
    agrees(f"Redis is back: the spool empties, and all but these {lost} is counted")
