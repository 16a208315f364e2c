#!/usr/bin/python3
# An Authorization value is read over HTTP/3 as over HTTP/1.1: two fields are nginx's 400, space around a value is no part of it, and
# a byte that no token has makes it malformed, without a lookup.
# Hazards: P2, P4, P5, P6, P7, P8, P9

from lib.apikeytest import Test, authorization, need_http3
from lib.apikeytest.authorization import MALFORMED, summary
from lib.apikeytest.tls import certificate

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H3% quic;
        %CERTIFICATE%
        location / {
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
        }
    }
}
"""

NGINX_REFUSES = (400, None, None)
TOKEN68 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~+/="

need_http3()

with Test() as t:
    alice, bob, short = t.key(user="alice"), t.key(user="bob"), t.key(user="short", text="x")
    key = alice.key
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob, short])), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream, certificate=certificate(t.folder))
    client = nginx.connect3()

    for name, headers in {
        "the same key twice": [("authorization", f"Bearer {key}")] * 2,
        "two keys": [("authorization", f"Bearer {key}"), ("authorization", f"Bearer {bob.key}")],
        "Basic, then a key": [("authorization", "Basic YTpi"), ("authorization", f"Bearer {key}")],
        "a key, then Basic": [("authorization", f"Bearer {key}"), ("authorization", "Basic YTpi")],
        "an empty one, then a key": [("authorization", ""), ("authorization", f"Bearer {key}")],
        "a key, others between, a key": [("authorization", f"Bearer {key}"), ("x-other", "1"), ("accept", "*/*"),
                                         ("authorization", f"Bearer {bob.key}")],
    }.items():
        t.is_(summary(client.request(headers=headers)), NGINX_REFUSES, f"{name}: nginx's own 400")
    t.is_((proxy.count("HMGET"), upstream.requests), (0, []), "no key was looked up, and the upstream saw none of it")
    t.is_(client.request(key=bob).saw("X-User-Id"), ["bob"], "the connection serves on")

    authorization.check(t, proxy, key, {"3": lambda value: client.request(headers=[("authorization", value)]),
                                        "1.1": lambda value: nginx.get("/", headers=[("Authorization", value)])})

    looked_up = proxy.count("HMGET")
    asked, wrong = len(upstream.requests), []
    for byte in sorted(set(range(256)) - set(TOKEN68)):
        places = [place for place in (0, 5, len(key)) if chr(byte) not in " \t" or place == 5]
        streams = [client.send(headers=[("authorization", f"Bearer {key[:place]}{chr(byte)}{key[place:]}")])
                   for place in places]
        want = NGINX_REFUSES if chr(byte) in "\0\r\n" else MALFORMED
        for stream, place in zip(streams, places):
            client.wait(stream)
            if summary(client.responses[stream]) != want:
                wrong.append(f"byte {byte:#04x} at {place}: {client.responses[stream]}")
    t.ok(not wrong, "each byte outside token68, at three places of a good key", *wrong[:20])
    t.is_((proxy.count("HMGET"), len(upstream.requests)), (looked_up, asked), "no key was looked up, and the upstream saw none of it")
    t.is_(client.request(key=alice).saw("X-User-Id"), ["alice"], "the connection serves on")
    client.close()
