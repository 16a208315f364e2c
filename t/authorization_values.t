#!/usr/bin/python3
# How an Authorization value is read: any case of the scheme, spaces around, other schemes; HTTP/1.1 and HTTP/2 agree.
# Hazards: P4, P5, P6, P7, P13

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

PLAIN, WITH_ERROR = 'Bearer realm="test"', 'Bearer realm="test", error="invalid_token"'
LET_THROUGH = (200, None, None)
MISSING = (401, "missing_api_key", PLAIN)
MALFORMED = (401, "malformed_api_key", WITH_ERROR)
INVALID = (401, "invalid_api_key", WITH_ERROR)

with Test() as t:
    alice = t.key(user="alice")
    key = alice.key
    short = t.key(user="short", text="x")
    proxy = t.redis_proxy(t.redis(keys=[alice, short]))
    nginx = t.nginx(CONF, redis=proxy, upstream=t.upstream())

    TABLE = [
        ("bearer", f"bearer {key}", LET_THROUGH),
        ("BEARER", f"BEARER {key}", LET_THROUGH),
        ("BeArEr", f"BeArEr {key}", LET_THROUGH),
        ("one byte", "Bearer x", LET_THROUGH),
        ("no value", "", MISSING),
        ("Basic", "Basic dXNlcjpwYXNzd29yZA==", MISSING),
        ("Basic with a key in it", f"Basic {key}", MISSING),
        ("Digest", f'Digest username="a", response="{key}"', MISSING),
        ("Token", f"Token {key}", MISSING),
        ("a key alone", key, MISSING),
        ("a longer scheme", f"Bearers {key}", MISSING),
        ("a shorter scheme", f"Beare {key}", MISSING),
        ("a scheme before it", f"Basic Bearer {key}", MISSING),
        ("an equals sign for the space", f"Bearer={key}", MISSING),
        ("a colon for the space", f"Bearer: {key}", MISSING),
        ("Bearer alone", "Bearer", MALFORMED),
        ("Bearer and spaces", "Bearer   ", MALFORMED),
        ("Bearer and a tab", "Bearer\t", MALFORMED),
        ("several spaces", f"Bearer     {key}", LET_THROUGH),
        ("a tab for the space", f"Bearer\t{key}", MALFORMED),
        ("a space, then a tab", f"Bearer \t{key}", MALFORMED),
        ("a space in front", f" Bearer {key}", LET_THROUGH),
        ("a tab in front", f"\tBearer {key}", LET_THROUGH),
        ("a space behind", f"Bearer {key} ", LET_THROUGH),
        ("a tab behind", f"Bearer {key}\t", LET_THROUGH),
        ("spaces and tabs around", f" \t Bearer {key}\t \t", LET_THROUGH),
        ("spaces and tabs alone", " \t ", MISSING),
        ("lower-case letters for all", f"Bearer {key.lower()}", INVALID),
        ("upper-case letters for all", f"Bearer {key.upper()}", INVALID),
        ("one letter of the other case", f"Bearer {key[:3] + key[3:].swapcase()}", INVALID),
    ]

    looked_up = 0
    for name, value, want in TABLE:
        with nginx.connect2(port=nginx.ports["PORT_H2"]) as client:
            for version, r in (("1.1", nginx.get("/", headers=[("Authorization", value)])),
                               ("2", client.request(headers=[("authorization", value)]))):
                t.is_((r.status, r.code, r.header("WWW-Authenticate")), want, f"HTTP/{version}: {name}")
        looked_up += 2 if want in (LET_THROUGH, INVALID) else 0
    t.is_(proxy.count("HMGET"), looked_up, "only what can be a key is looked up")
