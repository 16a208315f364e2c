#!/usr/bin/python3
# Redis is flushed and filled again around a lookup, so that the key was away just when it was asked for: it is asked again,
# and not called unknown. The same for a key that was there only before.
# Hazards: R23, C12

import time

from lib.apikeytest import Test, delay, request_bytes, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=4s;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""


def around(before, after, *keys):
    """What is answered when Redis holds `before` at the lookups and `after` when it is asked for the epoch."""
    redis("FLUSHALL")
    redis.add(*before)
    proxy.on_request("GET", delay(0.6), nth=1)
    clients = [nginx.connect() for _ in keys]
    proxy.forget()
    for client, key in zip(clients, keys):
        client.send(request_bytes(key=key))
    t.ok(wait_for(lambda: proxy.count("HMGET") >= 1, interval=0.001), "asked")
    time.sleep(0.2)                                # and answered, as nothing delays that
    redis("FLUSHALL")
    redis.add(*after)
    redis.trust()
    answers = [client.response().status for client in clients]
    proxy.clear()
    for client in clients:
        client.close()
    return answers


with Test() as t:
    alice, bob = t.key(user="alice"), t.key(user="bob")
    redis = t.redis(keys=[alice])
    proxy = t.redis_proxy(redis)
    nginx = t.nginx(CONF, redis=proxy)
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "Redis is in use")

    t.is_(around([], [alice], alice), [200], "away only when it was asked for: served")
    t.is_(proxy.count("HMGET"), 2, "as it was asked again")
    t.is_(around([alice, bob], [alice], bob), [401], "there only when it was asked for: unknown")
    t.is_(around([], [alice], bob), [401], "never there: unknown")
    t.is_(around([alice], [alice], alice), [200], "always there: served")
    t.is_(proxy.kinds["lookups"], 1, "all on one connection")
