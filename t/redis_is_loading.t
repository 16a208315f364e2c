#!/usr/bin/python3
# Redis that still loads its dataset knows no key: that is no refusal of the key, and soon over.
# Hazards: R6

import threading
import time

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


def restart_loading(seconds):
    """Redis begins again, and takes so long to load."""
    redis("SAVE")
    redis.stop()
    redis.options |= {"key-load-delay": int(seconds * 1e6 / redis_keys), "loading-process-events-interval-bytes": "1024"}

    def life():                            # the process ends with the thread that started it
        redis.start()
        loaded.set()
        over.wait()

    threading.Thread(target=life, daemon=True).start()


with Test() as t:
    alice, nobody = t.key(user="alice"), t.key(user="nobody")
    redis = t.redis(keys=[alice])
    redis_keys = 200
    redis("MSET", *sum(([f"padding:{n}", "x" * 300] for n in range(redis_keys)), []))
    nginx = t.nginx(CONF, redis=redis)
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "Redis is in use")

    loaded, over, seen = threading.Event(), threading.Event(), set()
    restart_loading(2.0)
    begun = time.monotonic()
    while not loaded.is_set() and time.monotonic() - begun < 20:
        seen |= {(r.status, r.code) for r in (nginx.get("/", alice), nginx.get("/", nobody))}
        time.sleep(0.02)
    t.ok(time.monotonic() - begun > 1, "it loaded for a while", f"{time.monotonic() - begun:.2f} s")
    t.is_(seen, {(503, "api_key_unavailable")}, "no key is judged meanwhile")
    t.like(nginx.log(), r"Redis refused GET of the epoch: LOADING;", "the log says why")

    seen = {nginx.get("/", key).status for key in (alice, nobody)}
    t.is_(seen, {503}, "nor by what it loaded, as it is another process now")
    redis.trust()
    begun = time.monotonic()
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "once apikeyd vouches for it, keys are served")
    t.ok(time.monotonic() - begun < 2, "within a second", f"{time.monotonic() - begun:.2f} s")
    t.is_(nginx.get("/", nobody).status, 401, "and unknown ones unknown")
    nginx.stop()
