#!/usr/bin/python3
# A request with two Authorization headers is refused by nginx itself, before anybody looks a key up.
# Hazards: P1, P2

from lib.apikeytest import Test, request_bytes

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        location / {
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
        }
    }
}
"""

with Test() as t:
    alice, bob = t.key(user="alice"), t.key(user="bob")
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob])), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream)

    PAIRS = {
        "the same key twice": [("Authorization", f"Bearer {alice.key}"), ("Authorization", f"Bearer {alice.key}")],
        "two keys": [("Authorization", f"Bearer {alice.key}"), ("Authorization", f"Bearer {bob.key}")],
        "two spellings of the name": [("authorization", f"Bearer {alice.key}"), ("AUTHORIZATION", f"Bearer {bob.key}")],
        "Basic, then a key": [("Authorization", "Basic YTpi"), ("Authorization", f"Bearer {alice.key}")],
        "a key, then Basic": [("Authorization", f"Bearer {alice.key}"), ("Authorization", "Basic YTpi")],
        "an empty one, then a key": [("Authorization", ""), ("Authorization", f"Bearer {alice.key}")],
        "a key, others between, a key": [("Authorization", f"Bearer {alice.key}"), ("X-Other", "1"), ("Accept", "*/*"),
                                         ("Authorization", f"Bearer {bob.key}")],
    }
    for name, headers in PAIRS.items():
        r = nginx.get("/", headers=headers)
        t.is_((r.status, r.code), (400, None), f"HTTP/1.1: {name}: nginx's own 400")
        with nginx.connect2(port=nginx.ports["PORT_H2"]) as client:
            r = client.request(headers=[(field.lower(), value) for field, value in headers])
            t.is_((r.status, r.code), (400, None), f"HTTP/2: {name}: nginx's own 400")

    with nginx.connect() as client:        # a request in the same bytes behind it is not answered by mistake
        client.send(request_bytes(headers=PAIRS["two keys"]) + request_bytes(key=alice))
        first = client.response()
        t.is_((first.status, first.header("Connection"), client.rest()), (400, "close", b""),
              "the connection ends with the refusal")

    t.is_(redis_proxy.count("HMGET"), 0, "no key was looked up")
    t.is_(upstream.requests, [], "the upstream saw none of it")

    t.is_(nginx.get("/", alice).saw("X-User-Id"), ["alice"], "one header is fine over HTTP/1.1")
    with nginx.connect2(port=nginx.ports["PORT_H2"]) as client:
        t.is_(client.request(key=bob).saw("X-User-Id"), ["bob"], "and over HTTP/2")
