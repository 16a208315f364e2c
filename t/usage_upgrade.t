#!/usr/bin/python3
# nginx is replaced while it runs (USR2, WINCH, QUIT), under load: both have a zone of their own, both ship what they counted, and the
# sums are exact.
# Hazards: N19, U1

import os
import signal

from lib.apikeytest import Test, usage, wait_for
from lib.apikeytest.process import children_of, read, running

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% timeout=2s;
    api_key_cache          valid=10m;
    api_key_usage_interval 500ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""


def workers_of(master):
    return [pid for pid in children_of(master) if running(pid) and "worker" in read(f"/proc/{pid}/cmdline")]


def new_master(old):
    """The master that USR2 to this one has started."""
    os.kill(old, signal.SIGUSR2)
    return wait_for(lambda: (made := [pid for pid in children_of(old) if "master" in read(f"/proc/{pid}/cmdline")])
                    and len(workers_of(made[0])) == 2 and made[0])


def ended(pid):
    return bool(wait_for(lambda: not running(pid)))


def zones():
    return {zone for zone, _ in usage.slots(redis)}


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(10)]
    redis = t.redis(keys=keys)
    nginx = t.nginx(CONF, detached=True, redis=redis)
    old = nginx.master
    wait_for(lambda: nginx.get("/", keys[0]).status == 200)
    early = usage.wait_counted(redis, 1)
    with usage.Load(nginx, keys) as load:
        load.wait_more(100)
        new = new_master(old)
        t.ok(new, "a second nginx runs beside the first", nginx.log()[-500:])
        load.wait_more(100)
        t.ok(wait_for(lambda: len(zones()) == 2), "both ship, each from its own zone", zones())
        os.kill(old, signal.SIGWINCH)
        t.ok(wait_for(lambda: not workers_of(old)), "the old workers end")
        load.wait_more(100)
        os.kill(old, signal.SIGHUP)
        t.ok(wait_for(lambda: len(workers_of(old)) == 2), "a way back: the old master takes workers again")
        os.kill(new, signal.SIGQUIT)
        t.ok(wait_for(lambda: new not in children_of(old)), "and the new one goes")
        wait_for(lambda: f"process {new} exited" in nginx.log())
        load.wait_more(100)
        new = new_master(old)
        os.kill(old, signal.SIGWINCH)
        t.ok(wait_for(lambda: not workers_of(old)), "forth again: the old workers end")
        os.kill(old, signal.SIGQUIT)
        t.ok(ended(old), "the old master ends")
        load.wait_more(100)
    t.is_((dict(load.refused), dict(load.perhaps)), ({}, {}), f"no request fails ({load.asked})")
    os.kill(new, signal.SIGQUIT)
    t.ok(ended(new), "the new one ends")
    load.answered[keys[0].user] += early
    usage.agrees(t, redis, load, "all of them")
    t.is_(len(zones()), 3, "from three zones")
    t.unlike(nginx.log(), "has not taken", "nothing was left behind")
