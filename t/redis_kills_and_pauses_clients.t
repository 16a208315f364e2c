#!/usr/bin/python3
# An operator who kills Redis' clients, or pauses them: requests are served or unavailable in time, and all is as before.
# Hazards: R29, R2, R3

import threading
import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=250ms;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""
TIMEOUT, SLACK, PAUSE, KILLS = 0.25, 1.0, 5.0, 10


class Load:
    """Clients that ask all the time; `seen`: what they got and how long it took."""
    def __init__(self):
        self.seen, self.stop = [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(key, right))
                        for key, right in ((alice, ["alice"]), (bob, ["bob"]), (nobody, 401))]

    def run(self, key, right):
        while not self.stop.wait(0.005):
            begun = time.monotonic()
            r = nginx.get("/", key)
            got = r.saw("X-User-Id") if r.status == 200 else r.status
            self.seen.append(("right" if got == right else got, time.monotonic() - begun))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def answers(self):
        return {got for got, _ in self.seen}

    def slowest(self):
        return max(took for _, took in self.seen)


def all_served():
    return all(nginx.get("/", alice).status == 200 for _ in range(10))


with Test() as t:
    alice, bob, nobody = t.key(user="alice"), t.key(user="bob"), t.key(user="nobody")
    redis, upstream = t.redis(keys=[alice, bob]), t.upstream()
    nginx = t.nginx(CONF, redis=redis, upstream=upstream)
    t.ok(wait_for(all_served), "Redis is in use")
    before = nginx.fds()

    with Load() as load:
        for _ in range(KILLS):
            time.sleep(0.3)  # a connection that lived so long is made anew at once; one that flaps is not
            redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(0.2)
    t.ok(load.answers() <= {"right", 503} and "right" in load.answers(), "killed: right or unavailable", load.answers())
    t.ok(load.slowest() < TIMEOUT + SLACK, "in time", f"{load.slowest():.3f} s")
    refused = sum(got == 503 for got, _ in load.seen)
    t.ok(refused <= KILLS * len(load.threads), "only what Redis had not answered: it is asked anew at once", refused)
    t.note(f"{KILLS} kills: {len(load.seen)} answers, {refused} unavailable, slowest {load.slowest():.3f} s")
    t.ok(wait_for(all_served), "afterwards all is well")

    for kind in ("ALL", "WRITE"):
        with Load() as load:
            redis("CLIENT", "PAUSE", str(int(PAUSE * 1000)), kind)
            begun = time.monotonic()
            time.sleep(1)
        if kind == "WRITE":
            t.ok(load.answers() <= {"right", 503}, "writers paused: what nginx itself writes may hold lookups up", load.answers())
            with Load() as load:
                time.sleep(0.6)
            t.is_(load.answers(), {"right"}, "but not for as long as the pause lasts")
            continue
        t.is_(load.answers() - {"right"}, {503}, "paused: unavailable")
        t.ok(load.slowest() < TIMEOUT + SLACK, "in time", f"{load.slowest():.3f} s")
        t.note(f"paused: slowest {load.slowest():.3f} s, timeout {TIMEOUT} s")
        with Load() as load:
            time.sleep(max(0, begun + PAUSE - 0.5 - time.monotonic()))
        t.is_(load.answers(), {503}, "for as long as the pause lasts")
        t.ok(nginx.fds() <= before + 2, "while no file is left open", f"{nginx.fds()}, was {before}")
        time.sleep(max(0, begun + PAUSE - time.monotonic()))
        ended = time.monotonic()
        t.ok(wait_for(all_served), "then served")
        t.ok(time.monotonic() - ended < 2, "within a second", f"{time.monotonic() - ended:.3f} s")
        t.note(f"served {time.monotonic() - ended:.3f} s after the pause")
    t.fds_return(nginx, before)
    t.ok(set(upstream.saw("X-User-Id")) <= {"alice", "bob"}, "the upstream saw nobody else")
