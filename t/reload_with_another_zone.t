#!/usr/bin/python3
# A reload that changes the zone's size starts a new zone, and the old workers end with the old one; a reload with a broken
# configuration changes nothing, whatever else it would have changed.
# Hazards: N16

import time

from lib.apikeytest import Test, request_bytes, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  %ZONE%;
    api_key_redis %REDIS% timeout=2s;
    api_key_cache valid=10m;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; %MORE% }
    }
}
"""


def is_cached(key):
    """Would it be let in without Redis?"""
    links = len(proxy.links)
    proxy.refuse()
    proxy.close_all()
    status = nginx.get("/", key).status
    proxy.accept()
    wait_for(lambda: len(proxy.links) == links and nginx.get("/", None).status == 401)
    wait_for(lambda: nginx.get("/", warmer).status == 200)
    return status == 200


def signal_reload(**values):
    """A reload that must fail: the workers stay."""
    nginx.write_config(**values)
    before, lines = nginx.workers(), len(nginx.log().splitlines())
    nginx.process.send_signal(1)
    wait_for(lambda: any("[emerg]" in line for line in nginx.log().splitlines()[lines:]))
    time.sleep(0.2)
    return nginx.workers() == before and nginx.process.alive()


with Test() as t:
    t.allow_log(r"\[emerg\] .*(unknown directive|needs at least|cannot load|invalid)")
    alice, warmer = t.key(user="alice"), t.key(user="warmer")
    proxy = t.redis_proxy(t.redis(keys=[alice, warmer]))
    nginx = t.nginx(CONF, redis=proxy, zone="keys:1m", more="")
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "nginx serves")
    t.ok(is_cached(alice), "the key is cached")

    t.ok(nginx.reload(), "a reload that changes nothing")
    t.ok(is_cached(alice), "it still is")

    # Broken ones.
    for name, values in (("an unknown directive", {"more": "no_such_directive;"}),
                         ("another size and an unknown directive", {"zone": "keys:2m", "more": "no_such_directive;"}),
                         ("a size that is too small", {"zone": "keys:8k", "more": ""}),
                         ("another name and an unknown directive", {"zone": "other:1m", "more": "no_such_directive;"})):
        t.ok(signal_reload(**values), f"{name}: nothing changes")
        t.is_(nginx.get("/", alice).status, 200, f"{name}: nginx serves")
        t.ok(is_cached(alice), f"{name}: from the cache it had")

    # Another size, while an old worker has a parked request.
    nginx.write_config(zone="keys:2m", more="")
    proxy.redis.process.pause()
    slow = t.key(user="slow")
    parked = nginx.connect()
    parked.send(request_bytes(key=slow))
    time.sleep(0.2)
    t.ok(nginx.reload(wait_old=False), "another size")
    nginx.wait_log("gracefully shutting down")
    proxy.redis.process.resume()
    t.is_(parked.response().status, 401, "the request that was parked in an old worker is answered there")
    parked.close()
    t.ok(wait_for(lambda: len(nginx.workers()) == 2, 10), "and the old workers end")
    t.ok(not is_cached(alice), "the new zone begins empty")
    t.is_(nginx.get("/", alice).status, 200, "it is looked up")
    t.ok(is_cached(alice), "and cached again")

    nginx.write_config(zone="other:2m")
    t.ok(nginx.reload(), "another name")
    t.ok(not is_cached(alice), "a new zone as well")
    t.is_(nginx.get("/", alice).status, 200, "that serves")
    t.unlike(nginx.log(), r"open socket|\[alert\]", "and nothing was left open")
