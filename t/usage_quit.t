#!/usr/bin/python3
# nginx ends, by QUIT and by TERM, while Redis takes usage, is silent, or is gone: it does not wait long, and what it counted is in
# Redis, or in the spool and from there in Redis when it starts again; without a spool the log says what may be lost.
# Hazards: N20, N21

import os
import signal
import time

from lib.apikeytest import Test, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% timeout=250ms;
    api_key_cache          valid=10m;
    api_key_usage_interval %INTERVAL%;
    %SPOOL%
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
ASKED = 40
LONG = "30s"                               # nothing is shipped before it ends


def count_some(user):
    """Requests that are counted and not yet shipped: the interval is long."""
    wait_for(lambda: nginx.get("/", user).status == 200 and nginx.wait_watching(2))
    before = usage.by(redis, "user").get(user.user, 0)
    t.is_(sum(nginx.get("/", user).status == 200 for _ in range(ASKED)), ASKED, f"{user.user} asks {ASKED} times")
    return before


def seconds_to_end(number):
    nginx.process.expected_to_end = True
    begun = time.monotonic()
    nginx.process.send_signal(number)
    t.ok(nginx.process.wait(10), "it ends")
    return time.monotonic() - begun


def ends_in(number, most, name):
    took = seconds_to_end(number)
    t.ok(took < most, f"{name}: in less than {most} s", f"{took:.2f} s")
    t.note(f"{name}: {took:.2f} s")


def in_spool():
    return [name for name in os.listdir(spool) if name.endswith(".usage")]


def starts_again(interval):
    proxy.forward()
    proxy.accept()
    nginx.write_config(spool=f"api_key_spool {spool};", interval=interval)
    nginx.start()


with Test() as t:
    users = well, silent, killed, gone, lost = [t.key(user=name) for name in ("well", "silent", "killed", "gone", "lost")]
    redis = t.redis(keys=users)
    proxy = t.redis_proxy(redis, record=False)
    spool = usage.spool_folder(t)
    nginx = t.nginx(CONF, redis=proxy, spool="", interval=LONG)

    count_some(well)
    ends_in(signal.SIGQUIT, 2, "quit, Redis is well")
    t.ok(usage.by(redis, "user").get("well", 0) >= ASKED, "all is in Redis", usage.by(redis, "user"))
    nginx.start()
    count_some(well)
    ends_in(signal.SIGTERM, 1.5, "TERM, Redis is well")
    t.ok(usage.by(redis, "user").get("well", 0) >= 2 * ASKED, "all is in Redis", usage.by(redis, "user"))

    for user, number, most, hole, name in ((silent, signal.SIGQUIT, 2, True, "quit, Redis is silent"),
                                           (killed, signal.SIGTERM, 1.5, True, "TERM, Redis is silent"),
                                           (gone, signal.SIGQUIT, 2, False, "quit, Redis is gone")):
        starts_again(LONG)
        count_some(user)
        if hole:
            proxy.black_hole()
        else:
            proxy.refuse()
            proxy.close_all()
        ends_in(number, most, name)
        t.ok(usage.by(redis, "user").get(user.user, 0) < ASKED and in_spool(), "what it counted is in the spool", in_spool())
        t.is_([f"{os.stat(f'{spool}/{each}').st_mode & 0o777:o}" for each in in_spool()], ["640"] * len(in_spool()), "for nobody else")
        t.unlike(nginx.log(), "has not taken", "nothing is said to be in danger")
        starts_again("200ms")
        t.ok(usage.wait_counted(redis, ASKED, user=user.user) >= ASKED, "nginx starts again: all is counted")
        t.ok(wait_for(lambda: not in_spool()), "and the spool is empty", in_spool())
        seconds_to_end(signal.SIGQUIT)

    nginx.write_config(spool="", interval=LONG)
    nginx.start()
    count_some(lost)
    proxy.black_hole()
    ends_in(signal.SIGTERM, 1.5, "TERM without a spool, Redis is silent")
    t.like(nginx.log(), r"\[warn\] .*Redis has not taken \d+ batches of usage before this worker ended; .*api_key_spool would keep",
           "the log says what may be lost, and what would have kept it")
    t.unlike(nginx.log(), "open socket", "nothing was left open")
    exact = usage.by(redis, "user")
    logged = [line["user"] for line in nginx.requests() if line["status"] == 200 and line["user"]]
    t.is_({user.user: exact.get(user.user) for user in users[:4]}, {user.user: logged.count(user.user) for user in users[:4]},
          "of all others each request is counted once")
    t.is_(usage.differing(redis), [], "what came again was the same")
