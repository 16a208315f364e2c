#!/usr/bin/python3
# A good key in a place that api_key_source does not name is as no key at all.
# Hazards: P14

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
        api_key "test";
        include %API_KEY_PARAMS%;
        location / { proxy_pass http://%UPSTREAM%; }
        location /header/ { api_key_source header:X-Api-Key; proxy_pass http://%UPSTREAM%; }
        location /arg/ { api_key_source arg:key; proxy_pass http://%UPSTREAM%; }
        location /cookie/ { api_key_source cookie:key; proxy_pass http://%UPSTREAM%; }
    }
}
"""

with Test() as t:
    alice = t.key(user="alice")
    key = alice.key
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=[alice])), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream)
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    NOWHERE_NAMED = {
        "an argument of RFC 6750": dict(path="?access_token=" + key),
        "an argument": dict(path="?key=" + key),
        "a cookie": dict(headers={"Cookie": f"key={key}; access_token={key}; Authorization=Bearer {key}"}),
        "a header": dict(headers={"X-Api-Key": key}),
        "X-Authorization": dict(headers={"X-Authorization": f"Bearer {key}"}),
        "a form": dict(method="POST", headers=form, body=f"access_token={key}&key={key}".encode()),
        "JSON": dict(method="POST", headers={"Content-Type": "application/json"}, body=f'{{"key":"{key}"}}'.encode()),
        "Basic's user": dict(headers={"Authorization": f"Basic {key}"}),
    }
    for place, request in NOWHERE_NAMED.items():
        r = nginx.get(**{"path": "/"} | request | {"path": "/" + request.get("path", "")})
        t.is_((r.status, r.code, r.header("WWW-Authenticate")), (401, "missing_api_key", 'Bearer realm="test"'), place)

    WAYS = {"/": dict(key=alice), "/header/": dict(headers={"X-Api-Key": key}), "/arg/": dict(path="?key=" + key),
            "/cookie/": dict(headers={"Cookie": f"key={key}"})}
    for location in WAYS:
        for meant_for, request in WAYS.items():
            if meant_for != location:
                r = nginx.get(**request | {"path": location + request.get("path", "")})
                t.is_((r.status, r.code), (401, "missing_api_key"), f"{location}: not by the way of {meant_for}")

    t.is_(nginx.get("/arg/?Key=" + key + "&xkey=" + key + "&key2=" + key + "&k%65y=" + key).code, "missing_api_key",
          "an argument of another name")
    t.is_(nginx.get("/cookie/", headers={"Cookie": f"Key={key}; xkey={key}; key2={key}"}).code, "missing_api_key",
          "a cookie of another name")
    t.is_(nginx.get("/header/", headers={"X-Api-Key2": key, "XX-Api-Key": key}).code, "missing_api_key",
          "a header of another name")
    t.is_((redis_proxy.count("HMGET"), upstream.requests), (0, []), "nothing was looked up or let through")

    for location, request in WAYS.items():
        r = nginx.get(**request | {"path": location + request.get("path", "")})
        t.is_(r.saw("X-User-Id"), ["alice"], f"{location}: by its own way")
