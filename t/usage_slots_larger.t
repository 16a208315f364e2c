#!/usr/bin/python3
# While old workers drain, the zone has small slots left for the youngest workers; these move into a larger one as soon as it is
# free, and nothing is lost on the way.
# Hazards: N23, U1

import time

from lib.apikeytest import Test, request_bytes, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone           keys:16m;
    api_key_redis          %REDIS% timeout=2s;
    api_key_cache          valid=10m;
    api_key_usage_interval 100ms;
    server {
        listen 127.0.0.1:%PORT%;
        location /      { api_key "test"; empty_gif; }
        location /slow/ { api_key "test"; proxy_pass http://%UPSTREAM%; }
        location = /pid { return 200 $pid; }
        location = /metrics { api_key_metrics; }
    }
}
"""
SMALL = {"4", "5"}                                     # the numbers of the slots that were made last

with Test() as t:
    drained, asking = t.key(user="drained"), t.key(user="asking")
    redis, upstream = t.redis(keys=[drained, asking]), t.upstream()
    nginx = t.nginx(CONF, redis=redis, upstream=upstream)
    wait_for(lambda: nginx.get("/metrics").status == 200 and nginx.wait_watching(2))

    upstream.delay = 60
    clients = []
    for turn in range(2):                              # 6 workers then, 4 of which drain
        clients += nginx.connect_each(2).values()
        for client in clients[-2:]:
            client.send(request_bytes(path="/slow/", key=drained))
        t.ok(wait_for(lambda: len(upstream.requests) == len(clients)), "each worker has a request to answer")
        t.ok(nginx.reload(wait_old=False) and wait_for(lambda: len(nginx.draining()) == len(clients)), "a reload: they drain")
    with usage.Load(nginx, [asking]) as load:
        def slots_now():
            before = len(usage.batches(redis))
            load.wait_more(100)
            time.sleep(0.3)
            return {batch["batch"].split()[1] for batch in usage.batches(redis)[before:] if "asking" in batch["rows"]}
        t.ok(wait_for(lambda: slots_now() == SMALL), "the youngest count in small ones", slots_now())
        for client in clients:
            client.close()
        t.ok(wait_for(lambda: len(nginx.workers()) == 2), "the old workers end")
        t.ok(wait_for(lambda: (now := slots_now()) and not now & SMALL), "the workers that are left count in larger ones", slots_now())
    usage.agrees(t, redis, load, "on the way")
