#!/usr/bin/python3
# Reloads under load, one after another: no request fails, each is counted once, and the slots in which usage is counted are used
# again, so that the zone does not fill.
# Hazards: N15, U1

from lib.apikeytest import Test, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone           keys:8m;
    api_key_redis          %REDIS% timeout=5s;
    api_key_cache          valid=10m;
    api_key_usage_interval 100ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "version %VERSION%"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
RELOADS = 30


def reload_often(first, last):
    done = 0
    for version in range(first, last):
        nginx.write_config(version=version)
        done += nginx.reload(timeout=30)
    return done


def only_the_workers():
    """What earlier workers left is in safe hands."""
    now = nginx.metrics()
    return [now[f'usage_slots{{memory="{kind}"}}'] for kind in ("zone", "private")] == [2, 0]


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(10)]
    redis = t.redis(keys=keys)
    nginx = t.nginx(CONF, redis=redis, version=0)
    wait_for(lambda: nginx.get("/", keys[0]).status == 200 and nginx.wait_watching(2))
    early = usage.wait_counted(redis, 1)

    with usage.Load(nginx, keys) as load:
        reloaded = reload_often(1, RELOADS // 2)
        t.ok(wait_for(only_the_workers, interval=0.1), "after half of the reloads only the workers have slots")
        reloaded += reload_often(RELOADS // 2, RELOADS + 1)
        t.ok(wait_for(only_the_workers, interval=0.1), "after the other half, too")
    t.is_(reloaded, RELOADS, "every reload brought new workers, and the old ones ended")
    t.is_((dict(load.refused), dict(load.perhaps)), ({}, {}), "no request failed")
    t.ok(load.asked > 10 * RELOADS, "in the thick of it", load.asked)
    load.answered[keys[0].user] += early
    usage.agrees(t, redis, load, "reloads")
    t.ok(len(usage.slots(redis)) <= 16, "slots are used again", f"{len(usage.slots(redis))} slots for {2 * (RELOADS + 1)} workers")
    t.note(f"{load.asked} requests, {len(usage.slots(redis))} slots, {redis('XLEN', usage.STREAM)} entries")
