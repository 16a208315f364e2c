#!/usr/bin/python3
# The module is replaced by one from another path, under load and while Redis is away: the new one has a zone of its own, the old workers
# bring what is in theirs to Redis or to the spool, and every request counts once. One of them lays its zone out in another way.
# Hazards: N18, U1

import os
import shutil

from lib.apikeytest import Test, places, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
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


def another_module(name, build=places.MODULE):
    """A copy of it, from the next reload on."""
    path = f"{folder}/api_key_{name}.so"
    shutil.copy(build, path)
    nginx.write_config(load_module=f"load_module {path};")
    return nginx.reload()


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(5)]
    redis, folder, spool = t.redis(keys=keys), t.new_folder("modules"), usage.spool_folder(t)
    proxy = t.redis_proxy(redis, record=False)
    nginx = t.nginx(CONF, redis=proxy, spool=spool, interval="1m")
    wait_for(lambda: nginx.wait_watching(2))
    with usage.Load(nginx, keys) as load:
        for name, build in (("second", places.MODULE), ("third", places.OTHER_LAYOUT)):
            load.wait_more(60)
            t.ok(another_module(name, build), f"the {name} module")
    zones = {zone for zone, _ in usage.slots(redis)}
    t.is_(len(zones), 2, "two zones were emptied by those who had them", zones)
    wait_for(lambda: nginx.wait_watching(2))
    answered = sum(nginx.get("/", keys[n % 5]).status == 200 for n in range(20))
    proxy.refuse()
    proxy.close_all()
    t.ok(another_module("fourth"), "the fourth, while Redis is away")
    t.ok(wait_for(lambda: os.listdir(spool)), "what the third had is in the spool")
    proxy.accept()
    nginx.quit(10)
    nginx.write_config(interval="200ms")
    nginx.start()
    for key in keys:
        load.answered[key.user] += answered // 5
    t.ok(wait_for(lambda: not os.listdir(spool)), "the next nginx brings it to Redis", os.listdir(spool))
    usage.agrees(t, redis, load, "a module that is replaced")
