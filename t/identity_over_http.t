#!/usr/bin/python3
# An HTTP upstream sees one X-User-Id, ours, however a client spells, repeats or disguises its own.
# Hazards: V10, V12, V18

import itertools

from lib.apikeytest import Test, request_bytes

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key "test";
    include %API_KEY_PARAMS%;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        location / { proxy_pass http://%UPSTREAM%; }
        location /1.1/ { proxy_http_version 1.1; proxy_request_buffering off; proxy_pass http://%UPSTREAM%; }
    }
    server {
        listen 127.0.0.1:%PORT_UNDERSCORES%;
        listen 127.0.0.1:%PORT_UNDERSCORES_H2% http2;
        underscores_in_headers on;
        location / { proxy_pass http://%UPSTREAM%; }
    }
    server {
        listen 127.0.0.1:%PORT_LAX%;
        ignore_invalid_headers off;
        underscores_in_headers on;
        location / { proxy_pass http://%UPSTREAM%; }
    }
}
"""


def spellings(name):
    """The name with every mix of hyphens and underscores, in three cases."""
    words = name.split("-")
    for separators in itertools.product("-_", repeat=len(words) - 1):
        mixed = words[0] + "".join(s + word for s, word in zip(separators, words[1:]))
        yield from (mixed, mixed.lower(), mixed.upper())


NAMES = ("X-User-Id", "X-Api-Key-Id", "X-Api-Key-Scopes")
FORGED = [(spelling, "mallory") for name in NAMES for spelling in spellings(name)]

with Test() as t:
    alice = t.key(user="alice", scopes="chat")
    none = t.key(user="bob", scopes="")
    nginx = t.nginx(CONF, redis=t.redis(keys=[alice, none]), upstream=t.upstream())

    def identity(r):
        """What the upstream could take for an identity: headers by the name that a CGI-like application sees."""
        t.is_(r.status, 200, "let through")
        return sorted((name.upper().replace("-", "_"), value) for name, value in r.json["headers"]
                      if name.upper().replace("-", "_").startswith(("X_USER", "X_API", "AUTH", "PROXY")))

    ours = [("X_API_KEY_ID", alice.id), ("X_API_KEY_SCOPES", "chat"), ("X_USER_ID", "alice")]
    anyway = [("X_API_KEY_ID", none.id), ("X_USER_ID", "bob")]
    pairs = {
        "nothing forged": [],
        "X-User-Id": [("X-User-Id", "mallory")],
        "twice": [("X-User-Id", "mallory"), ("X-User-Id", "mallory")],
        "twice, spelt otherwise": [("X-User-Id", "mallory"), ("x-USER-id", "mallory")],
        "ours and another's": [("X-User-Id", "alice"), ("X-User-Id", "mallory")],
        "empty": [("X-User-Id", ""), ("X-Api-Key-Scopes", "")],
        "every spelling": FORGED,
        "every spelling twice": FORGED + FORGED,
        "Connection names it": [("Connection", "X-User-Id, X-Api-Key-Id, close"), *FORGED],
        "Keep-Alive and Connection": [("Connection", "keep-alive, x-user-id"), ("Keep-Alive", "X-User-Id")],
        "TE and Trailer": [("TE", "trailers"), ("Trailer", "X-User-Id"), *FORGED],
        "Upgrade": [("Connection", "Upgrade, X-User-Id"), ("Upgrade", "websocket"), *FORGED],
    }
    for server in ("PORT", "PORT_UNDERSCORES", "PORT_LAX"):
        for name, headers in pairs.items():
            t.is_(identity(nginx.get("/", alice, headers, port=nginx.ports[server])), ours, f"{server}: {name}")
        t.is_(identity(nginx.get("/", none, FORGED, port=nginx.ports[server])), anyway, f"{server}: no scopes, forged ones")
    t.is_(identity(nginx.get("/1.1/", alice, pairs["Connection names it"])), ours, "HTTP/1.1 to the upstream")
    for server in ("PORT_H2", "PORT_UNDERSCORES_H2"):
        with nginx.connect2(port=nginx.ports[server]) as client:
            lower = [(name.lower(), value) for name, value in FORGED]
            t.is_(identity(client.request(key=alice, headers=[("te", "trailers"), *lower, *lower])), ours, server)

    for line in ("X-User-Id : mallory", "X-User-Id\t: mallory", " X-User-Id: mallory", "X-User-Id\0: mallory"):
        for server in ("PORT", "PORT_UNDERSCORES", "PORT_LAX"):
            with nginx.connect(port=nginx.ports[server]) as client:
                client.send(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.key}\r\n{line}\r\n\r\n")
                t.is_(client.response().status, 400, f"{server}: {line!r} is nginx's 400")

    for path in ("/", "/1.1/"):            # fields behind a chunked body
        for trailer in ("X-User-Id: mallory", "x_user_id: mallory", "Authorization: Bearer x"):
            with nginx.connect() as client:
                client.send(request_bytes("POST", path, alice, [("Transfer-Encoding", "chunked"), ("Trailer", "X-User-Id"),
                                                                ("Connection", "X-User-Id, TE"), ("TE", "trailers")]) +
                            f"5\r\nhello\r\n0\r\n{trailer}\r\n\r\n".encode() + request_bytes("GET", path, none))
                t.is_(identity(client.response()), ours, f"{path}: a trailer of {trailer!r} is dropped")
                t.is_(identity(client.response()), anyway, f"{path}: and is no part of the next request")
