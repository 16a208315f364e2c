#!/usr/bin/python3
# After FLUSHALL nothing is known: 503, never 401 for a good key, until the epoch is back.
# Hazards: R23

import threading

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""

with Test() as t:
    keys = [t.key(user=f"u{n}") for n in range(20)]
    nobody = t.key(user=None)
    redis = t.redis(keys=keys)
    nginx = t.nginx(CONF, redis=redis)
    t.is_(nginx.get("/", keys[0]).status, 200, "to begin with")
    redis("FLUSHALL")
    t.is_({nginx.get("/", key).status for key in keys + [nobody]}, {503}, "flushed: nothing is known")
    redis.add(*keys[:10])
    t.is_({nginx.get("/", key).status for key in keys + [nobody]}, {503}, "half filled: nothing is known")
    t.like(nginx.log(), r"has not been filled by apikeyd", "the log says why")
    redis.add(*keys)
    redis.trust()
    t.is_({nginx.get("/", key).status for key in keys}, {200}, "filled: everything is")
    t.is_(nginx.get("/", nobody).status, 401, "also what is not there")

    # Flushed and filled again and again under load: a good key is never called unknown, nobody's never let through.
    seen, stop = {"good": set(), "nobody": set()}, threading.Event()

    def load(name, key):
        with nginx.connect() as client:
            for _ in range(800):
                seen[name].add(client.request(path="/", key=key).status)
                if stop.is_set():
                    return

    threads = [threading.Thread(target=load, args=item) for item in (("good", keys[3]), ("good", keys[7]), ("nobody", nobody))]
    for thread in threads:
        thread.start()
    client = redis.client()
    for _ in range(60):
        client("FLUSHALL")
        redis.add(*keys)
        redis.trust()
    stop.set()
    for thread in threads:
        thread.join()
    t.is_(seen["good"] - {200, 503}, set(), "a good key is served or unavailable")
    t.is_(seen["nobody"] - {401, 503}, set(), "nobody's is refused or unavailable")
    t.ok(wait_for(lambda: nginx.get("/", keys[3]).status == 200, 2), "and in the end all is well")

    # A replica's data is not believed: the epoch names another run.
    redis("SET", "apikey:epoch", "0" * 40 + " 1234")
    t.is_(nginx.get("/", keys[3]).status, 503, "an epoch of another run proves nothing")
