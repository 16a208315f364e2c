#!/usr/bin/python3
# A bearer value with any byte that a token cannot have is malformed: refused without a lookup, and never logged.
# Hazards: P8, P9

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
        listen 127.0.0.1:%PORT_H2% http2;
        location / {
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
        }
    }
}
"""

MALFORMED = (401, "malformed_api_key", 'Bearer realm="test", error="invalid_token"')
NGINX_REFUSES = b"\0\r\n"                  # see bytes_that_no_header_has.t
TOKEN68 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~+/="


def summary(r):
    return r.status, r.code, r.header("WWW-Authenticate")


with Test() as t:
    alice, bob = t.key(user="alice"), t.key(user="bob")
    every_token_byte = t.key(user="every byte", text="-._~+/" + TOKEN68.decode())
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob, every_token_byte])), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream)

    client, client2 = nginx.connect(), nginx.connect2(port=nginx.ports["PORT_H2"])
    for name, value in {
        "two credentials": f"Bearer {alice.key}, Bearer {bob.key}",
        "two keys": f"Bearer {alice.key} {bob.key}",
        "quotes": f'Bearer "{alice.key}"',
        "single quotes": f"Bearer '{alice.key}'",
        "angle brackets": f"Bearer <{alice.key}>",
        "a semicolon behind": f"Bearer {alice.key};",
        "a comma behind": f"Bearer {alice.key},",
        "a parameter": f"Bearer token={alice.key}",
        "an equals sign within": f"Bearer {alice.key[:9]}={alice.key[9:]}",
        "nothing but equals signs": "Bearer ==",
    }.items():
        t.is_(summary(client.request(headers=[("Authorization", value)])), MALFORMED, f"HTTP/1.1: {name}")
        t.is_(summary(client2.request(headers=[("authorization", value)])), MALFORMED, f"HTTP/2: {name}")

    wrong = []
    for byte in sorted(set(range(256)) - set(TOKEN68) - set(NGINX_REFUSES)):
        for place in (0, 5, 20, len(alice.key)):
            if chr(byte) in " \t" and place in (0, len(alice.key)):
                continue                   # space around a value is no part of it
            value = f"Bearer {alice.key[:place]}{chr(byte)}{alice.key[place:]}"
            for version, r in (("1.1", client.request(headers=[("Authorization", value)])),
                               ("2", client2.request(headers=[("authorization", value)]))):
                if summary(r) != MALFORMED:
                    wrong.append(f"HTTP/{version}: byte {byte:#04x} at {place}: {r}")
    t.ok(not wrong, "each byte outside token68, at four places of a good key, over HTTP/1.1 and HTTP/2", *wrong[:20])

    t.is_(redis_proxy.count("HMGET"), 0, "no key was looked up")
    t.is_(upstream.requests, [], "the upstream saw none of it")
    t.is_([line for line in nginx.log().splitlines() if "[notice]" not in line], [], "the error log says nothing of it")
    client.close()
    client2.close()
    t.is_(nginx.get("/", every_token_byte).saw("X-User-Id"), ["every byte"], "all the bytes of token68 are a key")
