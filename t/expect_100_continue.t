#!/usr/bin/python3
# 100 Continue is said when the key is known to be good, not before; a refusal comes instead of it.
# Hazards: P19, P20

import time

from lib.apikeytest import Test, delay, request_bytes

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
            location /scoped/ { api_key_require admin; proxy_pass http://%UPSTREAM%; }
        }
    }
}
"""

BODY = b"0123456789" * 5000
EXPECT = [("Expect", "100-continue"), ("Content-Length", str(len(BODY)))]

with Test() as t:
    alice, late, stranger = t.key(user="alice", scopes="chat"), t.key(expires=1), t.key()
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=[alice, late])), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream)

    def refused(name, status, path="/", key=None):
        with nginx.connect() as client:
            client.send(request_bytes("POST", path, key, EXPECT))
            r = client.response()
            t.is_((r.status, r.interim), (status, []), f"{name}: {status} and no 100")
            # Only a client that gave up on the 100 sends its body now. It is no request, whatever it looks like.
            client.send(request_bytes("GET", "/body", alice).ljust(len(BODY), b"x") + request_bytes("GET", "/next", alice))
            r = client.response()
            t.is_((r.status, r.json["path"]), (200, "/next"), f"{name}: the connection goes on")

    refused("no key", 401)
    refused("a malformed key", 401, key="a b")
    refused("an unknown key", 401, key=stranger)
    refused("an expired key", 401, key=late)
    refused("a scope is missing", 403, "/scoped/", alice)
    t.is_({request["path"] for request in upstream.requests}, {"/next"}, "none of these bodies reached the upstream")

    redis_proxy.on("HMGET", delay(0.6))
    with nginx.connect() as client:
        started = time.monotonic()
        client.send(request_bytes("POST", "/", alice, EXPECT))
        t.ok(client.is_quiet(0.12), "a good key, parked: no 100 while nobody knows")
        t.is_(client.socket.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n", "then it comes")
        t.ok(time.monotonic() - started >= 0.6, "after the decision")
        client.send(BODY)
        r = client.response()
        t.is_((r.status, r.interim, r.saw("X-User-Id"), r.json["body"] == BODY.decode()), (200, [], ["alice"], True),
              "the body arrives whole")
        client.send(request_bytes("POST", "/", stranger, EXPECT))
        t.ok(client.is_quiet(0.12), "a bad key, parked: nothing yet")
        r = client.response()
        t.is_((r.status, r.interim), (401, []), "then 401 and no 100")

    with nginx.connect() as client:        # does not wait for the 100
        client.send(request_bytes("POST", "/", alice, EXPECT) + BODY + request_bytes(key=alice))
        r = client.response()
        t.is_((r.status, r.saw("X-User-Id"), r.json["body"] == BODY.decode()), (200, ["alice"], True),
              "a body that came while the request was parked is whole")
        t.is_(client.response().saw("X-User-Id"), ["alice"], "and so is the request behind it")
