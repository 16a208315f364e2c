#!/usr/bin/python3
# TRACE, CONNECT and lower-case methods are refused by nginx before a lookup; an unknown method is checked like any other.
# Hazards: P18

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

# CONNECT: nginx 1.29.3 and newer reads its target as the method demands, on HTTP/1.
REFUSED = {"TRACE": [405], "CONNECT": [400, 405], "get": [400], "Get": [400], "G@T": [400]}

with Test() as t:
    alice, stranger = t.key(user="alice"), t.key()
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=[alice])), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream)

    def ask(method, key, version):
        if version == "2":
            with nginx.connect2(port=nginx.ports["PORT_H2"]) as client:
                return client.request(method=method, key=key)
        with nginx.connect() as client:
            client.send(request_bytes(method, "/", key))
            return client.response(method)

    for version in ("1.1", "2"):
        for method in ("TRACE", "CONNECT", "get", "Get", "G@T"):
            for key in (alice, None):
                r = ask(method, key, version)
                t.ok(r.status in REFUSED[method], f"HTTP/{version}: nginx refuses {method} {'with' if key else 'without'} a key",
                     r)
                t.is_((r.code, r.header("WWW-Authenticate")), (None, None), "and says nothing of keys")
    with nginx.connect() as client:
        client.send(f"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {alice.key}\r\n\r\n")
        t.ok(client.response().status in (400, 405), "CONNECT as a proxy is asked is refused by nginx, too")
    t.is_(redis_proxy.count("HMGET"), 0, "no key was looked up")
    t.is_(upstream.requests, [], "the upstream saw none of it")

    for version in ("1.1", "2"):
        for method in ("FOO", "PURGE", "PROPFIND", "PATCH", "DELETE", "X_Y-Z"):
            r = ask(method, None, version)
            t.is_((r.status, r.code), (401, "missing_api_key"), f"HTTP/{version}: {method} without a key")
            r = ask(method, stranger, version)
            t.is_((r.status, r.code), (401, "invalid_api_key"), f"HTTP/{version}: {method} with an unknown one")
            r = ask(method, alice, version)
            t.is_((r.status, r.json["method"], r.saw("X-User-Id")), (200, method, ["alice"]),
                  f"HTTP/{version}: {method} with a good one")
