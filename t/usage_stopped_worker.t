#!/usr/bin/python3
# A worker that is stopped (SIGSTOP) is not dead: nobody takes over what it counted, and when it goes on, it ships it itself, once.
# A killed one beside it is taken over.
# Hazards: N25, U4

import signal
import os
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
    api_key_usage_interval 500ms;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { api_key "test"; empty_gif; }
        location = /pid { return 200 $pid; }
        location = /metrics { api_key_metrics; }
    }
}
"""
STOPPED = 3.0


with Test() as t:
    warm, alice = t.key(user="warm"), t.key(user="alice")
    redis = t.redis(keys=[warm, alice])
    nginx = t.nginx(CONF, redis=redis)
    clients = nginx.connect_each(2)
    wait_for(lambda: all(client.request(key=warm).status == 200 and client.request(key=alice).status == 200
                         for client in clients.values()))
    usage.wait_counted(redis, 2, user="alice")
    before = usage.counted(redis, user="alice")

    pid, client = clients.popitem()
    _, other = clients.popitem()
    asked = sum(client.request(key=alice).status == 200 for _ in range(50))
    os.kill(pid, signal.SIGSTOP)
    shipped = usage.wait_counted(redis, before + asked, 1, user="alice") - before
    ends = time.monotonic() + STOPPED
    while time.monotonic() < ends:
        asked_other = other.request(key=warm).status
        time.sleep(0.05)
    t.is_(asked_other, 200, "a worker is stopped, the other one serves")
    t.is_(usage.counted(redis, user="alice") - before, shipped, f"for {STOPPED} s nobody ships what it holds ({asked - shipped} of {asked} requests)")
    t.is_(other.request(path="/metrics").text.count("usage_slots_adopted_total 0"), 1, "no slot is taken over")
    os.kill(pid, signal.SIGCONT)
    t.is_(usage.wait_counted(redis, before + asked, user="alice") - before, asked, "it goes on, and all is counted, once")
    t.ok(asked == 50, "all were answered", asked)

    asked = sum(client.request(key=alice).status == 200 for _ in range(50))
    before = usage.counted(redis, user="alice")
    os.kill(pid, signal.SIGSTOP)
    nginx.kill_worker(pid)
    t.is_(usage.wait_counted(redis, 2 * asked, user="alice") >= 2 * asked, True, "stopped and then killed: taken over")
    t.is_(usage.differing(redis), [], "what came again was the same")
