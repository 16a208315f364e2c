#!/usr/bin/python3
# A key is refused from the second that its `expires` names, by nginx's clock, though Redis still has it, and whatever Redis'
# own clock and expiry would say; also by who has the key in its cache.
# Hazards: C17, R28

import time

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            api_key    "test";
            api_key_cache valid=0 invalid=0;
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
            location /cached/ { api_key_cache valid=1h invalid=1h; proxy_pass http://%UPSTREAM%; }
        }
        location = /metrics { api_key_metrics; }
    }
}
"""

EXPIRED = (401, "expired_api_key", 'Bearer realm="test", error="invalid_token"')

LIFE = 3                                   # seconds that the key whose end is watched has still to live

with Test() as t:
    redis, upstream = t.redis(keys=[]), t.upstream()
    nginx = t.nginx(CONF, redis=redis, upstream=upstream)
    t.ok(nginx.wait_watching(1), "the worker hears of changes")
    now = int(time.time())
    soon = t.key(user="soon", expires=now + LIFE)
    past = {name: t.key(user=name, expires=when) for name, when in
            {"a second ago": now - 1, "this second": now, "a year ago": now - 31536000, "1970": 0, "1970 + 1": 1}.items()}
    future = {name: t.key(user=name, expires=when) for name, when in
              {"in an hour": now + 3600, "in the year 9999": 253402300799, "18 digits": "9" * 18, "never": ""}.items()}
    redis.add(soon, *past.values(), *future.values())

    t.is_(nginx.get("/", soon).saw("X-User-Id"), ["soon"], "shortly before its time")
    for name, key in future.items():
        t.is_(nginx.get("/", key).saw("X-User-Id"), [name], f"{name}: let through")
    asked = len(upstream.requests)
    for name, key in past.items():
        r = nginx.get("/", key)
        t.is_((r.status, r.code, r.header("WWW-Authenticate")), EXPIRED, f"{name}: refused")
    t.is_(len(upstream.requests), asked, "the upstream saw none of them")

    # Somebody let Redis expire keys: by a clock that goes wrong they stay too long, or are gone too early.
    redis("PEXPIREAT", f"apikey:k:{past['a second ago'].hash}", (now + 7200) * 1000)
    r = nginx.get("/", past["a second ago"])
    t.is_((r.status, r.code, r.header("WWW-Authenticate")), EXPIRED, "one that Redis would keep for two hours: refused")
    gone = t.key(user="gone", expires=now + 3600)
    redis.add(gone)
    redis("PEXPIRE", f"apikey:k:{gone.hash}", 1)
    time.sleep(0.05)
    t.is_(nginx.get("/", gone).code, "invalid_api_key", "one that Redis let go is unknown, not let through")

    hits = nginx.metrics()['cache_requests_total{result="hit"}']
    last_cached = first_refusal_cached = last_pass = first_refusal = None
    while first_refusal is None and time.time() < now + 2 * LIFE:
        before = time.time()
        r = nginx.get("/", soon)
        if r.status == 200:
            last_pass = before
        else:
            first_refusal = time.time()
            t.is_((r.status, r.code, r.header("WWW-Authenticate")), EXPIRED, "its time comes, and it is refused")
        before = time.time()
        if nginx.get("/cached/", soon).status == 200:
            last_cached = before
        else:
            first_refusal_cached = first_refusal_cached or time.time()
        time.sleep(0.01)
    t.ok(nginx.metrics()['cache_requests_total{result="hit"}'] > hits + 5, "it was let in from the cache as well")
    t.ok(last_cached and last_cached < now + LIFE + 0.05, "not later than that either", f"{last_cached} {now + LIFE}")
    r = nginx.get("/cached/", soon)
    t.is_((r.status, r.code, r.header("WWW-Authenticate")), EXPIRED, "there it is refused, too")
    t.ok(first_refusal_cached is None or now + LIFE <= first_refusal_cached, "and was not before it",
         f"{first_refusal_cached} {now + LIFE}")
    t.ok(last_pass and last_pass < now + LIFE + 0.05, "not let through later than that", f"{last_pass} {now + LIFE}")
    t.ok(first_refusal and now + LIFE <= first_refusal <= now + LIFE + 1, "and not refused before it", f"{first_refusal} {now + LIFE}")
    t.ok(redis("EXISTS", f"apikey:k:{soon.hash}"), "Redis still has it")

    redis.add(soon, expires=str(now + 3600))
    t.is_(nginx.get("/", soon).saw("X-User-Id"), ["soon"], "a later `expires` brings it back")
    expired = [x["key_status"] for x in nginx.wait_requests(1) if not x["uri"].startswith("/cached/")]
    t.is_(expired.count("expired"), len(past) + 2, "the log says `expired`")
