#!/usr/bin/python3
# api_key_zone gets another size, and another name, by reloads under load: the old workers ship what is in the old zone before they
# end, and nothing is lost. A broken configuration with another size changes nothing.
# Hazards: N16, U1

from lib.apikeytest import Test, request_bytes, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone           %ZONE%;
    api_key_redis          %REDIS% timeout=2s;
    api_key_cache          valid=10m;
    api_key_usage_interval %INTERVAL%;
    %MORE%
    server {
        listen 127.0.0.1:%PORT%;
        location /      { api_key "test"; empty_gif; }
        location /slow/ { api_key "test"; proxy_pass http://%UPSTREAM%; }
        location = /metrics { api_key_metrics; }
    }
}
"""


def zones():
    return {zone for zone, _ in usage.slots(redis)}


with Test() as t:
    t.allow_log(r'\[emerg\] .*unknown directive "no_such_directive"')
    keys = [t.key(user=f"user-{n}") for n in range(10)]
    slow = t.key(user="slow")
    redis, upstream = t.redis(keys=[*keys, slow]), t.upstream()
    # Shipped is when a worker ends, and at no other time: the interval is long.
    nginx = t.nginx(CONF, redis=redis, upstream=upstream, zone="keys:1m", more="", interval="1m")
    wait_for(lambda: nginx.get("/", slow).status == 200 and nginx.wait_watching(2))

    with usage.Load(nginx, keys) as load:
        for zone in ("keys:2m", "keys:1m", "other:1m", "other:3m", "keys:1m"):
            load.wait_more(80)
            nginx.write_config(zone=zone)
            t.ok(nginx.reload(), f"a reload to {zone}")
        load.wait_more(40)
        t.is_(len(zones()), 5, "each of the zones before was emptied")
        nginx.write_config(zone="keys:4m", more="no_such_directive on;")
        t.ok(not nginx.reload(timeout=1), "a broken configuration: the old workers go on")
        nginx.wait_log("no_such_directive")
        load.wait_more(40)
        nginx.write_config(more="")
        t.ok(nginx.reload(), "mended: a reload")
        load.wait_more(40)
    t.is_((dict(load.refused), dict(load.perhaps)), ({}, {}), f"no request fails ({load.asked})")
    t.ok(nginx.process.alive(), "the master is the same")
    nginx.write_config(interval="200ms")
    nginx.reload()
    usage.agrees(t, redis, load, "zones that come and go")

    # A worker of an old zone that has work to do long after the reload.
    upstream.delay = 60
    clients = [nginx.connect() for _ in range(8)]
    before = usage.by(redis, "user").get("slow", 0)
    for client in clients:
        client.send(request_bytes(path="/slow/", key=slow))
    wait_for(lambda: len(upstream.requests) == 8)
    nginx.write_config(zone="keys:2m")
    t.ok(nginx.reload(wait_old=False), "a reload to another size, while requests wait for their answers")
    for client in clients:
        client.close()
    t.ok(usage.wait_counted(redis, before + 8, user="slow") >= before + 8, "what ends later is counted from the old zone")
    t.ok(wait_for(lambda: len(nginx.workers()) == 2), "whose workers end then")
