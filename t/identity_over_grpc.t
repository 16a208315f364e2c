#!/usr/bin/python3
# A gRPC upstream sees one x-user-id, ours, however a client spells or repeats its own; trailers of a call change nothing.
# Hazards: V10, V12, V18

import itertools

from lib.apikeytest import Test
from lib.apikeytest.recorders import Grpc

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    underscores_in_headers %UNDERSCORES%;
    server {
        listen 127.0.0.1:%PORT% http2;
        listen 127.0.0.1:%PORT_H1%;
        api_key "test";
        include %API_KEY_PARAMS%;
        location / { grpc_pass %GRPC%; }
        location /scoped/ { api_key_require admin; grpc_pass %GRPC%; }
        location /off/ { api_key off; grpc_pass %GRPC%; }
    }
}
"""


def spellings(name):
    words = name.split("-")
    for separators in itertools.product("-_", repeat=len(words) - 1):
        yield words[0] + "".join(s + word for s, word in zip(separators, words[1:]))


NAMES = ("x-user-id", "x-api-key-id", "x-api-key-scopes")
FORGED = [(spelling, "mallory") for name in NAMES for spelling in spellings(name)]
CALL = [("content-type", "application/grpc"), ("te", "trailers"), ("x-other", "kept")]

with Test() as t:
    alice, none, stranger = t.key(user="alice", scopes="chat"), t.key(user="bob", scopes=""), t.key()
    redis, grpc = t.redis(keys=[alice, none]), Grpc(t)

    def identity(received):
        """What the server could take for an identity."""
        t.ok(("x-other", "kept") in received, "other headers pass")
        named = [(name.lower().replace("_", "-"), value) for name, value in received]
        return sorted(pair for pair in named if pair[0].startswith(("x-user", "x-api", "auth", "proxy")))

    ours = [("x-api-key-id", alice.id), ("x-api-key-scopes", "chat"), ("x-user-id", "alice")]
    for state in ("off", "on"):
        nginx = t.nginx(CONF, redis=redis, grpc=grpc, underscores=state)
        with nginx.connect2() as client:
            for name, headers in {
                "nothing forged": [],
                "x-user-id": [("x-user-id", "mallory")],
                "twice": [("x-user-id", "mallory")] * 2,
                "every spelling": FORGED,
                "every spelling twice": FORGED * 2,
                "trailer names it": [("trailer", "x-user-id"), *FORGED],
                "Proxy-Authorization": [("proxy-authorization", f"Bearer {stranger.key}"), *FORGED],
            }.items():
                r = client.request("POST", "/package.Service/Method", alice, CALL + headers, bytes(5))
                t.is_((r.status, identity(grpc.requests[-1])), (200, ours), f"underscores {state}: {name}")
            client.request("POST", "/package.Service/Method", none, CALL + FORGED, bytes(5))
            t.is_(identity(grpc.requests[-1]), [("x-api-key-id", none.id), ("x-user-id", "bob")], "no scopes, forged ones")
            for key in (alice, None):
                client.request("POST", "/off/package.Service/Method", key, CALL + FORGED, bytes(5))
                t.is_(identity(grpc.requests[-1]), [], "no key was verified: nothing")

            count = len(grpc.requests)
            for path, key, status in (("/", None, 401), ("/", stranger, 401), ("/scoped/", alice, 403)):
                r = client.request("POST", path, key, CALL + FORGED, bytes(5))
                t.is_((r.status, len(grpc.requests)), (status, count), f"{path}: {status}, and no call")

        with nginx.connect2() as client:   # fields behind the body of a call: nginx 1.22 ends the connection
            stream = client.send("POST", "/package.Service/Method", alice, [*CALL, ("content-length", "5")],
                                 open_end=bytes(5))
            client.trailers(stream, [("x-user-id", "mallory"), ("authorization", f"Bearer {stranger.key}")])
            r = client.wait(stream)
            t.ok(client.closed if r is None else r.status == 200, "trailers of a call: refused or dropped", r)
            t.is_(grpc.trailers, [], "and not passed on")
        r = nginx.get("/package.Service/Method", alice, [("X-Other", "kept"), *FORGED], port=nginx.ports["PORT_H1"])
        t.is_((r.status, identity(grpc.requests[-1])), (200, ours), "HTTP/1.1 in front of gRPC")
    t.unlike(str(grpc.requests), f"{alice.key}|{none.key}|{stranger.key}|mallory", "the server saw no key, and no mallory")
