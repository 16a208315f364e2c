#!/usr/bin/python3
# An Authorization value is read over HTTP/3 as over HTTP/1.1: two fields are nginx's 400, space around a value is no part of it, and
# a byte that no token has makes it malformed, without a lookup.
# Hazards: P2, P4, P5, P6, P7, P8, P9

from lib.apikeytest import Test, need_http3
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

PLAIN, WITH_ERROR = 'Bearer realm="test"', 'Bearer realm="test", error="invalid_token"'
LET_THROUGH = (200, None, None)
MISSING = (401, "missing_api_key", PLAIN)
MALFORMED = (401, "malformed_api_key", WITH_ERROR)
INVALID = (401, "invalid_api_key", WITH_ERROR)
NGINX_REFUSES = (400, None, None)
TOKEN68 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~+/="


def summary(r):
    return r.status, r.code, r.header("WWW-Authenticate")


need_http3()

with Test() as t:
    alice, bob = t.key(user="alice"), t.key(user="bob")
    key = alice.key
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob])), t.upstream()
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

    looked_up = proxy.count("HMGET")
    for name, value, want in [
        ("bearer", f"bearer {key}", LET_THROUGH),
        ("BEARER", f"BEARER {key}", LET_THROUGH),
        ("no value", "", MISSING),
        ("Basic with a key in it", f"Basic {key}", MISSING),
        ("a key alone", key, MISSING),
        ("a longer scheme", f"Bearers {key}", MISSING),
        ("Bearer alone", "Bearer", MALFORMED),
        ("Bearer and spaces", "Bearer   ", MALFORMED),
        ("several spaces", f"Bearer     {key}", LET_THROUGH),
        ("a tab for the space", f"Bearer\t{key}", MALFORMED),
        ("a space in front", f" Bearer {key}", LET_THROUGH),
        ("a tab in front", f"\tBearer {key}", LET_THROUGH),
        ("a space behind", f"Bearer {key} ", LET_THROUGH),
        ("a tab behind", f"Bearer {key}\t", LET_THROUGH),
        ("spaces and tabs around", f" \t Bearer {key}\t \t", LET_THROUGH),
        ("spaces and tabs alone", " \t ", MISSING),
        ("one letter of the other case", f"Bearer {key[:3] + key[3:].swapcase()}", INVALID),
        ("two credentials", f"Bearer {key}, Bearer {bob.key}", MALFORMED),
        ("a comma behind", f"Bearer {key},", MALFORMED),
    ]:
        t.is_(summary(client.request(headers=[("authorization", value)])), want, name)
        t.is_(summary(nginx.get("/", headers=[("Authorization", value)])), want, f"{name}: as over HTTP/1.1")
        looked_up += 2 if want in (LET_THROUGH, INVALID) else 0
    t.is_(proxy.count("HMGET"), looked_up, "only what can be a key is looked up")

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
