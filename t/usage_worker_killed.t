#!/usr/bin/python3
# Workers are killed, idle, under load, all at once, and while an old one still drains: what they counted is taken over by another
# worker, with the ids that it has, and the clients' ledger is exact. Without their master workers go on.
# Hazards: N23, N24, U1

import os
import signal

from lib.apikeytest import Test, request_bytes, usage, wait_for
from lib.apikeytest.process import running

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% timeout=2s;
    api_key_cache          valid=10m;
    api_key_usage_interval %INTERVAL%;
    server {
        listen 127.0.0.1:%PORT%;
        location /      { api_key "test"; empty_gif; }
        location /slow/ { api_key "test"; proxy_pass http://%UPSTREAM%; }
        location = /metrics { api_key_metrics; }
    }
}
"""


def two_workers():
    return wait_for(lambda: len(found := nginx.workers()) == 2 and found)


def have_slots():
    """Else what a worker holds when it is killed dies with it."""
    return nginx.metrics()['usage_slots{memory="private"}'] == 0


with Test(limit=180) as t:
    keys = [t.key(user=f"user-{n}") for n in range(10)]
    idle, draining, orphan = t.key(user="idle"), t.key(user="draining"), t.key(user="orphan")
    redis, upstream = t.redis(keys=[*keys, idle, draining, orphan]), t.upstream()
    nginx = t.nginx(CONF, redis=redis, upstream=upstream, interval="30s")
    wait_for(lambda: nginx.get("/", idle).status == 200 and nginx.wait_watching(2))
    answered = 1 + sum(nginx.get("/", idle).status == 200 for _ in range(20))
    t.is_(usage.counted(redis, user="idle"), 0, "the workers hold what they counted")
    for pid in two_workers():
        nginx.kill_worker(pid)
    nginx.write_config(interval="200ms")
    t.ok(two_workers() and nginx.reload(), "all are killed while idle")
    t.is_(usage.wait_counted(redis, answered, user="idle"), answered, "what they held is counted, once")
    t.is_(len({name for name, _ in usage.slots(redis)}), 1, "as batches of the same zone")

    with usage.Load(nginx, keys) as load:
        for _ in range(6):
            load.wait_more(60)
            nginx.kill_worker(two_workers()[0])
        for _ in range(3):
            load.wait_more(60)
            for pid in two_workers():
                nginx.kill_worker(pid)
        load.wait_more(60)
        two_workers()
    usage.agrees(t, redis, load, "kills under load")
    t.ok(nginx.metrics()["usage_slots_adopted_total"] > 0, "the metrics tell of slots that were taken over")
    t.note(f"{sum(load.answered.values())} answered, {sum(load.perhaps.values())} perhaps, {len(usage.slots(redis))} slots")
    wait_for(have_slots)                               # so many deaths at a time, and all slots were taken

    # An old worker that drains has no successor of its own.
    upstream.delay = 60
    old = set(two_workers())
    client = nginx.connect()
    client.send(request_bytes(path="/slow/", key=draining))
    wait_for(lambda: upstream.requests)
    for _ in range(8):
        nginx.get("/", draining)
    t.ok(nginx.reload(wait_old=False), "a reload; one old worker has a request that goes on")
    drains = wait_for(lambda: len(left := old & set(nginx.workers())) == 1 and left.pop())
    nginx.kill_worker(drains)
    t.is_(usage.wait_counted(redis, 8, user="draining"), 8, "killed: what it had counted is taken over")
    client.close()

    # The master.
    t.ok(wait_for(have_slots), "the new workers have slots in the zone")
    orphans = two_workers()
    nginx.process.expected_to_end = True
    os.kill(nginx.master, signal.SIGKILL)
    wait_for(lambda: not running(nginx.process.pid))
    asked = sum(nginx.get("/", orphan).status == 200 for _ in range(20))
    t.is_(asked, 20, "the master is killed: the workers go on")
    t.is_(usage.wait_counted(redis, 20, user="orphan"), 20, "and count")
    nginx.signalled.add(orphans[0])
    asked += sum(nginx.get("/", orphan).status == 200 for _ in range(5))
    os.kill(orphans[0], signal.SIGKILL)
    wait_for(lambda: not running(orphans[0]))          # or the kernel might wake it, and only it, for the next connection
    asked += sum(nginx.get("/", orphan).status == 200 for _ in range(5))
    t.is_(usage.wait_counted(redis, asked, user="orphan"), asked, "one of them is killed: the last one takes over what it held")
    os.kill(orphans[1], signal.SIGQUIT)
    t.ok(wait_for(lambda: not running(orphans[1])), "it quits when it is told to")
    nginx.start()
    t.ok(wait_for(lambda: nginx.get("/", orphan).status == 200), "nginx starts again")
    t.is_(usage.wait_counted(redis, asked + 1, user="orphan"), asked + 1, "and counts from there")
    t.must(not (found := usage.differing(redis)), "what came again was the same", found)
