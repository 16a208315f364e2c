#!/usr/bin/python3
# master_process off: the one process verifies keys, over one link (and hears of changes over another), and ends cleanly.
# Hazards: N28

from lib.apikeytest import Test, delay, request_bytes, wait_for

CONF = """
master_process off;
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""

with Test() as t:
    alice, bob, stranger = t.key(user="alice"), t.key(user="bob"), t.key(user="nobody")
    proxy = t.redis_proxy(t.redis(keys=[alice, bob]))
    nginx = t.nginx(CONF, redis=proxy, upstream=t.upstream())
    t.is_(nginx.get("/", alice).saw("X-User-Id"), ["alice"], "a good key")
    t.is_(nginx.get("/", stranger).code, "invalid_api_key", "a bad one")
    baseline = nginx.fds()

    proxy.on("HMGET", delay(0.3), nth=1)
    with nginx.connect() as leaver, nginx.connect() as other:
        leaver.send(request_bytes(key=alice))
        wait_for(lambda: proxy.count("HMGET") == 3)
        other.send(request_bytes(key=bob))
        leaver.reset()
        t.is_(other.response().saw("X-User-Id"), ["bob"], "one parked request leaves, the next is himself")
    t.is_(dict(proxy.kinds), {"lookups": 1, "subscription": 1}, "one link to Redis, and one subscription")
    t.logged_once(nginx, 4)
    t.fds_return(nginx, baseline)
    t.ok(nginx.quit(3), "it quits")
    t.ok(wait_for(lambda: not proxy.links), "and its connections with it")
