#!/usr/bin/python3
# The spool: files of others are left alone, a damaged one is set aside with a line in the log, two nginx share one folder, and
# one that cannot be written is said to be so.
# Hazards: U1, N20

import os
import shutil

from lib.apikeytest import Test, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% timeout=500ms;
    api_key_cache          valid=10m;
    api_key_usage_interval %INTERVAL%;
    api_key_spool          %SPOOL%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
ASKED = 30


def in_spool(suffix=".usage"):
    return sorted(name for name in os.listdir(spool) if name.endswith(suffix))


def leave_some(nginx, proxy, user):
    """Ends this nginx with usage that Redis has not taken."""
    wait_for(lambda: nginx.get("/", user).status == 200 and nginx.wait_watching(1))
    t.is_(sum(nginx.get("/", user).status == 200 for _ in range(ASKED)), ASKED, f"{user.user} asks")
    proxy.refuse()
    proxy.close_all()
    t.ok(nginx.quit(5), "Redis is away, nginx ends")


def logged(nginx, user):
    return sum(line["user"] == user.user and line["status"] == 200 for line in nginx.requests())


with Test() as t:
    alice, bob, carol = t.key(user="alice"), t.key(user="bob"), t.key(user="carol")
    redis = t.redis(keys=[alice, bob, carol])
    proxies = [t.redis_proxy(redis, record=False) for _ in "12"]
    spool = usage.spool_folder(t)
    one, two = (t.nginx(CONF, redis=proxy, spool=spool, interval="1m") for proxy in proxies)
    leave_some(one, proxies[0], alice)
    leave_some(two, proxies[1], bob)
    files = in_spool()
    t.ok(len(files) >= 2, "two nginx leave their usage in one folder", files)
    t.is_(sorted(os.listdir(spool)), files, "and nothing else")

    # What else may lie there.
    damaged = "0" * 32 + "-0-7.usage"
    for name, text in ((damaged, "api-key-usage 1 cut o"), ("README", "not ours"), ("x.usage", "not ours"), (files[0] + ".99.tmp", "half")):
        with open(f"{spool}/{name}", "w", encoding="ascii") as file:
            file.write(text)
        shutil.chown(f"{spool}/{name}", "www-data") if os.geteuid() == 0 else None
    for nginx, proxy in zip((one, two), proxies):
        proxy.accept()
        nginx.write_config(interval="200ms")
        nginx.start()
    counts = {"alice": logged(one, alice), "bob": logged(two, bob)}
    t.ok(wait_for(lambda: usage.by(redis, "user") == counts), "both start again: each request is counted once", usage.by(redis, "user"), counts)
    t.ok(wait_for(lambda: in_spool() == ["x.usage"]), "the spool is empty", in_spool())
    t.is_(sorted(os.listdir(spool)), sorted([damaged + ".bad", "README", "x.usage", files[0] + ".99.tmp"]), "but for what is not ours")
    t.like(one.log() + two.log(), rf'\[error\] .*api_key_spool: ".*/{damaged}" is no whole batch of usage; renamed to ".*\.bad"',
           "the damaged one is set aside, and the log says so")
    t.is_(usage.differing(redis), [], "what came again was the same")
    sent = sum(nginx.metrics()['usage_batches_total{event="replayed"}'] for nginx in (one, two))
    t.is_(sent, len(files), "each file was sent by one of them")

    # A folder that has become useless while nginx runs.
    two.quit()
    os.chmod(spool, 0o500)
    if os.geteuid() == 0:
        shutil.chown(spool, "root", "root")
    one.write_config(interval="1m")
    one.reload()
    leave_some(one, proxies[0], carol)
    t.like(one.log(), r'\[error\] .*api_key_spool: cannot create ".*Permission denied', "one that cannot be written: the log says so")
    t.like(one.log(), r"\[warn\] .*Redis has not taken \d+ batches of usage before this worker ended", "and what may be lost")
